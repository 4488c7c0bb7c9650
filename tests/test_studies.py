"Reconstruction studies: tests against scipy and slow loops, gaps against the in-painting evaluation, and the distance of Frechet."
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from scipy.linalg import sqrtm
from scipy.stats import mannwhitneyu
from torch import nn

from skelbench.clips import SkeletonSet
from skelbench.inpainting import FILLS, evaluate_inpainting
from skelbench.skeleton import BODY17
from skelbench.streams import fixed_length
from skelbench.studies import (
    as_set,
    draw_gaps,
    draw_reconstruct,
    extrapolated,
    frechet,
    frechet_by_size,
    gaps,
    generation_study,
    middle_gap,
    rebuilt_errors,
    reconstruct,
    right_against_wrong,
    sizes_of,
    within_classes,
)

FRAMES = 10


def clips(count=60, classes=3, seed=0, missing=0.05):
    "A set of poses that tell the class and sway; a third of it is filmed by camera 2."
    draw = np.random.default_rng(seed)
    poses, made = 0.5 * draw.standard_normal((classes, 17, 3)), []
    for i in range(count):
        sway = np.sin(np.linspace(0, 3, 14) + draw.random())[:, None, None, None] * 0.1 * draw.standard_normal((1, 1, 17, 3))
        label = i // 3 % classes
        joints = poses[label] + 0.25 * draw.standard_normal((1, 1, 17, 3)) + sway
        made.append({"joints": joints.astype(np.float32), "valid": draw.random((14, 1, 17)) > missing, "name": f"clip {i}", "label": label,
                     "subject": i % 4, "camera": 1 if i % 3 else 2})
    rule = {"xview": {"column": "camera", "train": [1], "test": [2]}}
    return SkeletonSet.from_clips(made, BODY17, [f"class {k}" for k in range(classes)], "poses", rule)


class Still(nn.Module):
    "Rebuilds a clip as its mean pose; z_clr is that pose, z_var what is added to it."

    def __init__(self, skeleton, amount=0.05):
        super().__init__()
        self.skeleton, self.arguments, self.amount = skeleton, {"amount": amount}, amount
        self.weight = nn.Parameter(torch.eye(51))

    def pose(self, batch):
        seen = batch.valid[..., None]
        return ((batch.joints * seen).sum(2) / seen.sum(2).clamp(min=1)).flatten(2)  # (N, M, 51)

    def embed(self, batch): return (self.pose(batch) @ self.weight)[:, 0][:, None]

    def latent(self, batch): return SimpleNamespace(mean=torch.zeros_like(self.pose(batch))[:, None], z_clr=self.pose(batch)[:, None])

    def reconstruct(self, batch, z_var=None, z_clr=None):
        pose = (self.pose(batch) if z_clr is None else z_clr) + (0 if z_var is None else self.amount * z_var)
        return pose.unflatten(-1, (17, 3))[:, :, None].expand(-1, -1, batch.joints.shape[2], -1, -1)


class Blind(nn.Module):
    "A method that embeds and does nothing else."

    def __init__(self, skeleton):
        super().__init__()
        self.skeleton, self.arguments = skeleton, {}

    def embed(self, batch): return batch.joints.mean(2).flatten(1)[:, None]


@pytest.fixture(scope="module")
def sides(): return clips(120).split("xview")


@pytest.fixture(scope="module")
def still():
    torch.manual_seed(0)
    return Still(BODY17)


# --- right and wrong clips ------------------------------------------------------------------------------------------

def test_one_class_is_the_test_of_mann_and_whitney():
    draw = np.random.default_rng(0)
    error, wrong = np.round(draw.gamma(3, 20, 90)), draw.random(90) < 0.3
    error[wrong] += 8
    expected = mannwhitneyu(error[wrong], error[~wrong], method="asymptotic", use_continuity=False)
    z, p = within_classes(error, wrong, np.zeros(90))
    assert p == pytest.approx(expected.pvalue, rel=1e-6) and z > 0
    row = right_against_wrong(error, ~wrong, np.zeros(90))
    pairs = [(a > b) + 0.5 * (a == b) for a in error[wrong] for b in error[~wrong]]
    assert row["larger_when_wrong"] == pytest.approx(np.mean(pairs), abs=1e-4)
    assert row["median_wrong"] == np.median(error[wrong]) and row["clips_right"] + row["clips_wrong"] == 90


def test_classes_of_different_error_and_accuracy_do_not_count_within():
    draw = np.random.default_rng(1)
    label = draw.integers(0, 4, 400)
    error, wrong = draw.gamma(3, 10, 400) + 60 * label, draw.random(400) < 0.1 + 0.2 * label
    row = right_against_wrong(error, ~wrong, label)
    assert row["p"] < 1e-6 and row["p_within_classes"] > 0.01 and row["larger_when_wrong"] > 0.6
    other = right_against_wrong(error + 15 * wrong, ~wrong, label)
    assert other["p_within_classes"] < 1e-6 and other["z_within_classes"] > 4
    permuted = draw.permutation(400)
    assert within_classes(error[permuted], wrong[permuted], label[permuted]) == pytest.approx(within_classes(error, wrong, label))


def test_all_right_or_all_wrong_says_nothing():
    for right in (np.ones(6, bool), np.zeros(6, bool)):
        row = right_against_wrong(np.arange(6.0), right, np.zeros(6))
        assert row["p"] is None and row["p_within_classes"] is None and row["larger_when_wrong"] is None
        assert json.loads(json.dumps(row)) == row
    assert within_classes(np.ones(6), np.arange(6) < 3, np.zeros(6)) == (None, None)  # no error differs


def test_errors_of_clips_against_a_loop(sides, still):
    _, test = sides
    errors, batch = rebuilt_errors(still, test, FRAMES, batch_size=7), fixed_length(test, FRAMES)
    made = still.reconstruct(batch)
    for i in range(0, len(test), 5):
        seen = batch.valid[i].nonzero().tolist()
        slow = [float((made[i][tuple(at)] - batch.joints[i][tuple(at)]).norm()) for at in seen]
        off = made[i] - batch.joints[i]
        rooted = [float((off[m, t, v] - off[m, t, 0]).norm()) for m, t, v in seen if batch.valid[i, m, t, 0]]
        assert errors["model"][i] == pytest.approx(1000 * np.mean(slow), rel=1e-4) and errors["pose"][i] == pytest.approx(1000 * np.mean(rooted), rel=1e-4)
    assert np.allclose(errors["model"], errors["still"], rtol=1e-4)  # this method does no more than that


@pytest.mark.parametrize("classifier, settings", [("linear", {"epochs": 3}), ("nearest", {})])
def test_reconstruct(sides, still, classifier, settings):
    found = reconstruct(still, *sides, classifier=classifier, bins=9, frames=FRAMES, protocol="xview", **settings)
    assert {"method", "data", "fingerprint", "protocol", "seed", "epochs", "device", "version", "clips", "settings", "seconds", "official"} <= set(found)
    whole = json.loads(json.dumps(found))
    assert whole["evaluation"] == "reconstruct" and whole["classifier"] == classifier and "raw_coordinates" in whole and "random_encoder" in whole
    row, histogram = found["errors"]["all"], found["histogram"]
    assert row["clips_right"] == round(found["official"] * len(sides[1]) / 100) and len(histogram["edges"]) == 10
    assert [sum(histogram[k]) for k in ("right", "wrong")] == [row["clips_right"], row["clips_wrong"]]
    by = found["error_by_class"].values()
    assert sum(c["clips"] for c in by) == len(sides[1]) and sum(c["wrong_clips"] for c in by) == row["clips_wrong"]
    assert sum(c["clips"] * c["error"] for c in by) / len(sides[1]) == pytest.approx(found["error_model"], abs=0.02)
    assert isinstance(draw_reconstruct(found), Figure)


# --- gaps -----------------------------------------------------------------------------------------------------------

def test_gaps_are_the_in_painting_evaluation(sides, still):
    train, test = sides
    found = gaps(still, train, test, lengths=(0.2, 0.6), limbs=["left_arm", "head"], limb_lengths=(0.4, 1.0), frames=FRAMES, batch_size=7)
    for share, drop in (("0.2", (4, 6)), ("0.6", (2, 8))):
        other = evaluate_inpainting(still, test, drop=drop, train=train, frames=FRAMES)
        assert all(found["lengths"][share][k] == pytest.approx(other[k], abs=0.02) for k in (*FILLS, "points", "clips"))
    for share, drop in (("0.4", (3, 7)), ("1", None)):
        other = evaluate_inpainting(still, test, drop=drop, joints="left_arm", train=train, frames=FRAMES)
        assert all(found["limbs"]["left_arm"][share][k] == pytest.approx(other[k], abs=0.02) for k in (*FILLS, "points", "clips"))
    assert json.loads(json.dumps(found)) == found and found["evaluation"] == "gaps" and isinstance(draw_gaps(found), Figure)
    assert set(gaps(still, train, test, lengths=(0.5,), frames=FRAMES)["limbs"]) == set(BODY17.limbs)
    assert gaps(still, train, test, limbs="head", lengths=(0.5,), limb_lengths=(1,), frames=FRAMES)["limbs"]["head"]["1"]["points"] > 0


def test_gaps_in_the_middle():
    assert [middle_gap(share, 50) for share in (0.4, 0.01, 0.99, 1, 1.0)] == [(15, 35), (24, 25), (0, 49), None, None]
    for frames in (2, 3, 7):
        for share in (0.05, 0.5, 0.95):
            first, last = middle_gap(share, frames)
            assert 0 <= first < last <= frames and last - first < frames


# --- the distance of Frechet ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("n, m, width", [(60, 80, 6), (9, 70, 20), (8, 8, 30), (2, 3, 4)])
def test_frechet_against_scipy(n, m, width):
    draw = np.random.default_rng(n)
    a, b = draw.standard_normal((n, width)) * 2, draw.standard_normal((m, width)) @ draw.standard_normal((width, width)) + 1
    one, two = (np.cov(x, rowvar=False) + 1e-9 * np.eye(width) for x in (a, b))
    slow = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(one + two - 2 * sqrtm(one @ two).real)
    assert frechet(a, b) == pytest.approx(slow, rel=2e-3) and frechet(a, b) == pytest.approx(frechet(b, a))
    turn = np.linalg.qr(draw.standard_normal((width, width)))[0]
    assert frechet(a @ turn - 3, b @ turn - 3) == pytest.approx(frechet(a, b)) and frechet(a, a) == pytest.approx(0, abs=1e-8)
    assert frechet(3 * a, 3 * b) == pytest.approx(9 * frechet(a, b))


def test_frechet_of_known_gaussians():
    draw = np.random.default_rng(0)
    a, b = draw.standard_normal((60000, 3)), draw.standard_normal((60000, 3)) * 2 + [1, 0, 0]
    assert frechet(a, b) == pytest.approx(1 + 3 * (2 - 1) ** 2, rel=0.02)


def test_the_bias_of_few_clips_is_seen_and_taken_away():
    draw = np.random.default_rng(0)
    real, made = draw.standard_normal((600, 10)), {"same": draw.standard_normal((3, 600, 10)), "moved": draw.standard_normal((900, 10)) + 1}
    found = frechet_by_size(real, made, draws=12)
    assert found["sizes"] == [300, 200, 150, 120, 100]
    for name, truth in (("real", 0), ("same", 0), ("moved", 10)):
        values = found[name]["by_size"]
        assert values[-1] - truth > 2 * (values[0] - truth) > 0.1, name
        assert found[name]["extrapolated"] == pytest.approx(truth, abs=0.35), name
    assert found == frechet_by_size(real, made, draws=12) and found != frechet_by_size(real, made, draws=12, seed=1)


def test_extrapolation_and_sizes():
    assert extrapolated([10, 20, 40], [3 + 7 / n for n in (10, 20, 40)]) == pytest.approx((3, 7))
    assert sizes_of(464) == [232, 154, 116, 92, 77]
    with pytest.raises(ValueError, match="40 clips are too few"): sizes_of(40)
    for sizes in ([8], [8, 8], [31, 8], [8, 1]):
        with pytest.raises(ValueError, match="at least two different sizes"): frechet_by_size(np.zeros((60, 2)), {}, sizes)
    for a, b in ((np.zeros((1, 3)), np.zeros((4, 3))), (np.zeros((4, 3)), np.zeros((4, 2))), (np.zeros(4), np.zeros(4))):
        with pytest.raises(ValueError, match="at least 2 rows"): frechet(a, b)


# --- generation -----------------------------------------------------------------------------------------------------

def test_generation_study(sides, still):
    train, test = sides
    found = generation_study(still, train, test, samples=2, components=4, sizes=[20, 14, 10], draws=6, frames=FRAMES, protocol="xview")
    assert json.loads(json.dumps(found)) == found and found["evaluation"] == "generation_study"
    assert found["class_kept_reconstructed"] == found["class_kept_real"] > 60  # the mean pose is what this method looks at
    wild = generation_study(Still(BODY17, amount=4.0), train, test, samples=2, components=4, sizes=[20, 14, 10], draws=6, frames=FRAMES)
    assert wild["frechet"]["generated"]["by_size"][0] > 3 * found["frechet"]["generated"]["by_size"][0]
    assert wild["frechet"]["real"] == found["frechet"]["real"] and wild["same_class_generated"] > 2 * wild["same_class_real"]
    assert found["same_class_real"] == pytest.approx(found["same_class_generated"], rel=0.35)
    other = generation_study(still, train, test, samples=2, probe=Blind(BODY17), components=4, sizes=[20, 14, 10], draws=6, frames=FRAMES)
    assert other["settings"]["frechet_of"] == "Blind" and other["frechet"] != found["frechet"] and other["class_kept"] == found["class_kept"]


def test_motions_as_a_set_keep_what_was_observed(sides):
    _, test = sides
    batch = fixed_length(test, FRAMES)
    again = as_set(batch, batch.joints, test)
    back = fixed_length(again, FRAMES)
    assert torch.equal(back.valid, batch.valid) and torch.equal(back.label, batch.label)
    assert torch.allclose(back.joints * back.valid[..., None], batch.joints * batch.valid[..., None], atol=1e-6)


# --- bad input ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("ask, text", [
    (lambda still, train, test: reconstruct(Blind(BODY17), train, test), "Blind cannot reconstruct motions"),
    (lambda still, train, test: gaps(Blind(BODY17), train, test), "Blind cannot reconstruct motions"),
    (lambda still, train, test: generation_study(Blind(BODY17), train, test), "Blind cannot generate"),
    (lambda still, train, test: generation_study(still, train, test, probe=still), "the probe is the generator itself"),
    (lambda still, train, test: reconstruct(still, train, test, classifier="forest"), "unknown classifier 'forest': there are linear, nearest"),
    (lambda still, train, test: gaps(still, train, test, lengths=(0.4, 1.0)), "share of the frames above 0"),
    (lambda still, train, test: gaps(still, train, test, limb_lengths=(0.0,)), "share of the frames above 0"),
    (lambda still, train, test: gaps(still, train, test, limbs=["tail"]), "no joint or limb 'tail'"),
    (lambda still, train, test: gaps(still, train, test, frames=1), "at least 2 frames"),
    (lambda still, train, test: reconstruct(still, train, test.select(slice(0, 0))), "no test clip")])
def test_what_cannot_be_done_is_said_in_a_sentence(sides, still, ask, text):
    with pytest.raises(ValueError, match=text) as found: ask(still, *sides)
    assert "\n" not in str(found.value)
