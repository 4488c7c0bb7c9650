"In-painting, generation and the report against slow loops and models whose answer is known."
import json
import statistics
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from skelbench import inpainting as ip
from skelbench.clips import SkeletonBatch
from skelbench.generation import as_clips, between_samples, comparable, distance_mm, evaluate_generation, generate, halves, same_class_pairs
from skelbench.published import MAIN, PUBLISHED, published_on, source_of
from skelbench.report import (
    MEASURES,
    once,
    read_result,
    read_results,
    shown,
    table,
    tables,
    to_csv,
    to_html,
    to_latex,
    to_markdown,
)
from skelbench.skeleton import get_skeleton
from skelbench.streams import fixed_length

BODY = get_skeleton("body17")


def batch_of(joints, valid=None):
    "A batch of clips (N, M, T, V, 3)."
    joints = torch.as_tensor(joints, dtype=torch.float32)
    valid = torch.ones(joints.shape[:-1], dtype=torch.bool) if valid is None else valid
    n = torch.arange(len(joints))
    return SkeletonBatch(joints * valid[..., None], valid, n % 2, n, n, n, torch.full_like(n, joints.shape[2]), n)


class Copy(nn.Module):
    "A stand-in method: its reconstruction is what it got, plus a constant; z_clr and z_var move the pelvis' neighbours."
    outputs = ("joint",)

    def __init__(self, skeleton, offset=0.0):
        super().__init__()
        self.skeleton, self.arguments, self.offset = skeleton, {"offset": offset}, nn.Parameter(torch.tensor(offset))
        self.asked = []

    def embed(self, batch):
        from skelbench.evaluation import align_body
        return align_body(batch.joints, batch.valid, self.skeleton).apply(batch.joints, batch.valid).mean((1, 2)).flatten(1)[:, None]

    def latent(self, batch):
        mean = batch.joints[:, None, :, 0, 0]  # (N, 1, M, 3)
        return SimpleNamespace(mean=mean, z_clr=mean * 2)

    def reconstruct(self, batch, output="joint", z_var=None, z_clr=None):
        assert not self.training and not torch.is_grad_enabled()
        self.asked.append((output, batch))
        joints = batch.joints + self.offset
        return joints if z_var is None else joints + z_var[:, :, None, None] * torch.linspace(0, 1, joints.shape[3])[:, None]


@pytest.fixture
def clips():
    torch.manual_seed(0)
    walk = torch.randn(5, 2, 20, 17, 3).cumsum(2) / 10
    valid = torch.rand(5, 2, 20, 17) > 0.2
    valid[1, 1] = False  # an absent person
    return batch_of(walk, valid)


# --- what is removed ------------------------------------------------------------------------------------------------

def test_removed_frames_and_joints(clips):
    frames = ip.removed_frames(clips, 5, 9)
    assert frames[:, :, 5:9].all() and frames.sum() == 5 * 2 * 4 * 17
    joints = ip.removed_joints(clips, "left_arm, head", BODY)
    chosen = {*BODY.limbs["left_arm"], *(BODY.limbs["head"] if "head" in BODY.limbs else (BODY.index("head"),))}
    assert joints[0, 0, 0].nonzero().flatten().tolist() == sorted(chosen) and (joints == joints[:1, :1, :1]).all()
    assert ip.joint_indices(["left_wrist", "pelvis"], BODY) == [BODY.index("pelvis"), BODY.index("left_wrist")]
    kept = ip.remove(clips, frames & joints)
    assert not kept.valid[frames & joints].any() and not kept.joints[frames & joints].any()
    assert torch.equal(kept.joints[~(frames & joints)], clips.joints[~(frames & joints)])


@pytest.mark.parametrize("first, last", [(0, 20), (-1, 4), (5, 5), (9, 5), (15, 21)])
def test_impossible_gaps(clips, first, last):
    with pytest.raises(ValueError, match="20 frames"):
        ip.removed_frames(clips, first, last)


def test_unknown_joints_and_whole_bodies(clips):
    with pytest.raises(ValueError, match="'left_paw'.*limbs: .*left_arm.*joints: "):
        ip.removed_joints(clips, "left_arm,left_paw", BODY)
    with pytest.raises(ValueError, match="nothing would be left"):
        ip.removed_joints(clips, list(BODY.limbs), BODY)
    with pytest.raises(ValueError):
        ip.removed_joints(clips, "", BODY)
    removed = ip.removed_frames(clips, 3, 8)
    only = clips.replace(valid=clips.valid.clone())
    only.valid[2, 0, :3] = only.valid[2, 0, 8:] = False  # person 0 of clip 2 was seen in the gap only
    with pytest.raises(ValueError, match="clip 2"):
        ip.remove(only, removed)
    assert ip.left_over(only, removed).tolist() == [True, True, False, True, True]


# --- filling in -----------------------------------------------------------------------------------------------------

def test_lines_and_holds_against_numpy(clips):
    removed = ip.removed_frames(clips, 0, 4) | ip.removed_frames(clips, 9, 14) | (torch.rand(clips.valid.shape) < 0.3)
    kept = ip.remove(clips, removed)
    line, held = ip.linear_interpolation(clips, removed), ip.hold_last(clips, removed)
    checked = 0
    for n, m, v in removed.any(2).nonzero().tolist():
        known = kept.valid[n, m, :, v].nonzero().flatten().numpy()
        for t in removed[n, m, :, v].nonzero().flatten().tolist():
            if len(known):
                values, checked = kept.joints[n, m, known, v].numpy(), checked + 1
                assert np.allclose(line[n, m, t, v], [np.interp(t, known, values[:, k]) for k in range(3)], atol=1e-5)
                assert np.allclose(held[n, m, t, v], values[known < t][-1] if (known < t).any() else values[0])
    assert checked > 1000
    assert torch.equal(line[~removed], clips.joints[~removed]) and torch.equal(held[~removed], clips.joints[~removed])
    assert torch.isfinite(line).all()


def test_a_straight_motion_is_filled_exactly_and_a_still_one_held():
    time = torch.arange(12.0)[None, None, :, None, None]
    straight = batch_of(time * torch.randn(2, 1, 1, 17, 3) + torch.randn(2, 1, 1, 17, 3))
    removed = ip.removed_frames(straight, 4, 9)
    assert ip.error_mm(ip.linear_interpolation(straight, removed), straight.joints, removed) < 1e-2
    assert ip.error_mm(ip.hold_last(straight, removed), straight.joints, removed) > 100


def test_never_observed_joints_stand_on_the_mean_pose(synthetic):
    "A body that moves and turns as a whole, at any size, is a similarity of its own pose: its removed arm comes back exactly."
    from skelbench.geometry import rotation_about

    whole = fixed_length(synthetic.select(list(range(40))), 16)
    body = whole.joints[int(whole.valid[:, 0].flatten(1).float().mean(1).argmax()), 0, 8]
    turns = torch.stack([rotation_about("y", torch.tensor(0.1 * t)) @ rotation_about("x", torch.tensor(0.05 * t)) for t in range(16)])
    batch = batch_of(torch.stack([scale * body @ turns + torch.arange(16.0)[:, None, None] * 0.05 for scale in (0.8, 1.3)])[:, None])
    removed, others = ip.removed_joints(batch, "left_arm", BODY), [j for j in range(17) if j not in BODY.limbs["left_arm"]]
    for fill in (ip.linear_interpolation, ip.hold_last):
        assert ip.error_mm(fill(batch, removed, body * 7 + 3), batch.joints, removed) < 0.1
    middle = ip.linear_interpolation(batch, removed)
    assert ip.error_mm(middle, batch.joints, removed) > 100
    expected = batch.joints[:, :, :, others].mean(3, keepdim=True).expand(-1, -1, -1, len(BODY.limbs["left_arm"]), -1)
    assert torch.allclose(middle[..., list(BODY.limbs["left_arm"]), :], expected, atol=1e-5)


def test_a_fitted_pose_is_never_a_mirror_image():
    pose = torch.randn(17, 3)
    mirrored = batch_of((pose * torch.tensor([-1.0, 1, 1])).expand(1, 1, 4, 17, 3))
    known = torch.ones(1, 1, 17, dtype=torch.bool)
    known[..., 5] = False
    filled = ip.attach(mirrored.joints, known, pose)
    assert torch.isfinite(filled).all() and not torch.allclose(filled, mirrored.joints, atol=0.05)


def test_error_is_the_mean_distance_in_millimetres(clips):
    removed = ip.removed_frames(clips, 5, 9) & clips.valid
    other = clips.joints + torch.tensor([0.003, 0.0, 0.004])
    assert abs(ip.error_mm(other, clips.joints, removed) - 5) < 1e-3
    assert ip.error_mm(other.where(removed[..., None], other + 9), clips.joints, removed) < 5.001  # nothing else counts
    with pytest.raises(ValueError, match="nothing to measure"):
        ip.error_mm(other, clips.joints, torch.zeros_like(removed))


def test_the_model_sees_only_what_is_left_and_blending_meets_the_edges(clips):
    model, removed = Copy(BODY, offset=0.25), ip.removed_frames(clips, 6, 12)
    rubbish = clips.replace(joints=torch.where(removed[..., None], torch.tensor(float("nan")), clips.joints))
    for blend in (True, False):
        assert torch.equal(ip.inpaint(model, clips, removed, blend), ip.inpaint(model, rubbish, removed, blend))
    assert not any(batch.joints[removed].any() or batch.valid[removed].any() for _, batch in model.asked)
    plain, blended = ip.inpaint(model, clips, removed, blend=False), ip.inpaint(model, clips, removed)
    assert torch.allclose(plain[removed], torch.tensor(0.25)) and torch.equal(plain[~removed], clips.joints[~removed])
    assert blended[removed & clips.present[:, :, None, None]].abs().max() < 1e-5  # the constant is known from the edges and taken away
    assert model.training  # given back as it was


def test_a_perfect_model_has_no_error_and_a_shifted_one_none_when_blended(clips):
    class Oracle(Copy):
        def reconstruct(self, batch, output="joint", **_):
            return clips.joints + self.offset

    removed = ip.removed_frames(clips, 6, 12)
    mask = removed & clips.valid & ip.remove(clips, removed).valid.any(2)[:, :, None]
    assert ip.error_mm(ip.inpaint(Oracle(BODY), clips, removed, blend=False), clips.joints, mask) == 0
    shifted = Oracle(BODY, offset=0.1)
    assert ip.error_mm(ip.inpaint(shifted, clips, removed, blend=False), clips.joints, mask) > 170
    assert ip.error_mm(ip.inpaint(shifted, clips, removed), clips.joints, mask) < 1e-2


def test_models_that_cannot(clips):
    removed, model = ip.removed_frames(clips, 6, 12), Copy(BODY)
    model.outputs = ("motion",)
    with pytest.raises(ValueError, match="motion only"):
        ip.inpaint(model, clips, removed)
    model.outputs = ("angle", "motion")
    ip.inpaint(model, clips, removed)
    assert model.asked[-1][0] == "angle"
    with pytest.raises(ValueError, match="cannot reconstruct"):
        ip.reconstruction(nn.Linear(1, 1), clips)
    with pytest.raises(ValueError, match="cannot generate"):
        halves(nn.Linear(1, 1), clips)


def test_evaluation_over_a_set_by_hand(synthetic):
    data, model = synthetic.select(list(range(30))), Copy(synthetic.skeleton, offset=0.02)
    result = ip.evaluate_inpainting(model, data, frames=20, batch_size=7, protocol="all")
    batch = fixed_length(data, 20)
    removed = ip.removed_frames(batch, 6, 14)
    usable = ip.left_over(batch, removed) & (removed & batch.valid).flatten(1).any(1)
    batch, removed = batch[usable], removed[usable]
    mask = removed & batch.valid
    expected = {"model": ip.inpaint(model, batch, removed, blend=False), "model_blended": ip.inpaint(model, batch, removed),
                "linear": ip.linear_interpolation(batch, removed), "hold_last": ip.hold_last(batch, removed)}
    for name, joints in expected.items():
        assert abs(result[name] - ip.error_mm(joints, batch.joints, mask)) < 0.02, name
        one = int(batch.label[0])
        per_class = ip.error_mm(joints[batch.label == one], batch.joints[batch.label == one], mask[batch.label == one])
        assert abs(result["per_class"][data.classes[one]][name] - per_class) < 0.02
    assert result["drop"] == [6, 14] and result["points"] == int(mask.sum()) and result["clips"] + result["left_out"] == 30
    assert result["linear"] < result["hold_last"] < 1000 and result["units"] == "mm" and json.dumps(result)
    limb = ip.evaluate_inpainting(model, data, frames=20, joints="left_arm", train=synthetic)
    assert limb["drop"] is None and limb["joints"] == [BODY.joints[j] for j in BODY.limbs["left_arm"]]
    assert limb["linear"] < ip.evaluate_inpainting(model, data, frames=20, joints="left_arm")["linear"]
    with pytest.raises(ValueError, match="kinect20"):
        ip.evaluate_inpainting(Copy(get_skeleton("kinect20")), data)


# --- generation -----------------------------------------------------------------------------------------------------

def test_generate_draws_z_var_and_keeps_z_clr(clips):
    model, draw = Copy(BODY), torch.Generator().manual_seed(3)
    motions = generate(model, clips, samples=4, generator=draw)
    assert motions.shape == (4, *clips.joints.shape)
    z = torch.randn(4, 5, 2, 3, generator=torch.Generator().manual_seed(3))
    expected = clips.joints + z[:, :, :, None, None] * torch.linspace(0, 1, 17)[:, None]
    assert torch.allclose(motions, expected * clips.present[:, :, None, None, None])
    assert not motions[:, 1, 1].any()  # the absent person stays absent
    assert torch.allclose(generate(model, clips, 1, temperature=0)[0], clips.joints)
    with pytest.raises(ValueError, match="at least 1"):
        generate(model, clips, 0)


def test_distances_against_slow_loops(clips):
    torch.manual_seed(1)
    motions = torch.randn(4, *clips.joints.shape)
    slow = []
    for n in range(5):
        for i in range(4):
            for k in range(i):
                apart = (motions[i, n] - motions[k, n]).norm(dim=-1)[clips.valid[n]]
                slow.append(float(apart.sum()) / len(apart) * 1000)
    assert abs(between_samples(motions, clips.valid) - statistics.mean(slow)) < 0.1
    for count in (2, 3, 5):
        odd = torch.randn(count, *clips.joints.shape)
        pairs = [float(distance_mm(odd[i], odd[k], clips.valid).mean()) for i in range(count) for k in range(i)]
        assert abs(between_samples(odd, clips.valid) - statistics.mean(pairs)) < 0.1
    assert np.isnan(between_samples(motions[:1], clips.valid))


def test_place_and_heading_are_no_distance(synthetic):
    from skelbench.geometry import rotation_about

    batch = fixed_length(synthetic.select(list(range(8))), 16)
    batch = batch.replace(valid=batch.present[:, :, None, None].expand_as(batch.valid).contiguous())
    moved = batch.joints @ rotation_about("y", torch.tensor(2.0)).T + torch.tensor([3.0, 0, -1])
    same = [comparable(j, batch.valid, BODY) for j in (batch.joints, moved)]
    assert distance_mm(*same, batch.valid).max() < 0.5


def test_same_class_pairs_are_pairs_of_one_class():
    labels = torch.tensor([0, 1, 0, 2, 1, 0, 3])
    first, second = same_class_pairs(labels, torch.Generator().manual_seed(0))
    assert (labels[first] == labels[second]).all() and {3, 6}.isdisjoint(first.tolist()) and (first != second).all()
    assert len(first) == 3  # a chain through each class: 2 + 1


def test_generation_from_a_model_that_copies(synthetic):
    "z_var moves the copied seed a little or a lot: class kept falls, distances grow in proportion."
    train, test = synthetic.split("xview")
    kept = [evaluate_generation(Copy(synthetic.skeleton), train, test, samples=3, temperature=t, frames=16) for t in (0.0, 0.01, 5.0)]
    assert kept[0]["distance_between"] == 0 and kept[0]["class_kept"] == pytest.approx(kept[0]["class_kept"])
    assert kept[0]["distance_between"] < kept[1]["distance_between"] < kept[2]["distance_between"]
    assert kept[1]["class_kept"] > kept[2]["class_kept"] and kept[0]["class_kept"] >= kept[0]["chance"]
    again = evaluate_generation(Copy(synthetic.skeleton), train, test, samples=3, temperature=0.01, frames=16)
    assert {k: v for k, v in again.items() if k != "seconds"} == {k: v for k, v in kept[1].items() if k != "seconds"}
    assert json.dumps(again) and {"class_kept", "chance", "distance_to_seed", "distance_between"} <= set(again)
    one = evaluate_generation(Copy(synthetic.skeleton), train, test, samples=1, frames=16, seed_clips=[test.table["name"][0]])
    assert one["seed_clips"] == 1 and one["distance_between"] is None and one["distance_real"] is None


def test_generated_clips_have_everybody_everywhere(clips):
    made = as_clips(clips, torch.ones_like(clips.joints))
    assert made.valid[0].all() and not made.valid[1, 1].any() and not made.joints[1, 1].any()


# --- report ---------------------------------------------------------------------------------------------------------

def result_of(row="a", seed=0, official=80.0, **changes):
    floors = {"raw_coordinates": {"official": 76.0}, "random_encoder": {"official": 50.0 + seed}}
    return {"row": row, "evaluation": "linear", "method": "m", "data": "d", "fingerprint": "f", "protocol": "p", "seed": seed, "epochs": 3,
            "command": "c", "official": official, **floors, **changes}


def test_table_means_spreads_and_floors(tmp_path):
    numbers = [80.0, 83.0, 78.5]
    for seed, number in enumerate(numbers):
        (tmp_path / f"a{seed}.json").write_text(json.dumps(result_of(seed=seed, official=number)))
    (tmp_path / "b.json").write_text(json.dumps(result_of("b", official=70.0)))
    (tmp_path / "z.json").write_text(json.dumps(result_of("z", evaluation="nearest", official=1.0)))
    (tmp_path / "all.rows.json").write_text('{"rows": []}')  # what is to be measured, not a result
    frame = table(read_results(tmp_path)).set_index("row")
    assert frame.loc["a", "official"] == pytest.approx(statistics.mean(numbers)) and frame.loc["a", "seeds"] == 3
    assert frame.loc["a", "official spread"] == pytest.approx(statistics.stdev(numbers))
    assert (frame.loc["a", "official min"], frame.loc["a", "official max"]) == (78.5, 83.0)
    assert np.isnan(frame.loc["b", "official spread"]) and "z" not in frame.index
    assert list(frame.index) == ["a", "b", "raw coordinates", "random encoder"]
    assert frame.loc["raw coordinates", "official"] == 76 and frame.loc["random encoder", "seeds"] == 3
    text = shown(table(read_results(tmp_path)), published=[p for p in PUBLISHED if p["published"] == "SwapCLR, Table 4"])
    assert "80.5 ± 2.3" in to_markdown(text) and "| b |  | 70.0 |" in to_markdown(text)
    assert sum(s.startswith("published") for s in text["source"]) == 5 and to_html(text).count('class="published"') == 5


def test_clusters_of_both_models_stand_apart(tmp_path):
    for model, purity in (("gmm", .6), ("kmeans", .5)):
        made = result_of(evaluation="cluster", settings={"model": model, "on": "test"}, purity=purity, ari=.4)
        made |= {"raw_coordinates": {"purity": purity - .1, "ari": .3}, "random_encoder": {"purity": purity - .2, "ari": .2}}
        (tmp_path / f"{model}.json").write_text(json.dumps(made))
    frame = table(read_results(tmp_path), "cluster")
    assert len(frame) == 6
    raw = frame[frame["row"] == "raw coordinates"].set_index("setting")
    assert raw.loc["gmm, on test", "purity"] == pytest.approx(.5) and raw.loc["kmeans, on test", "purity"] == pytest.approx(.4)
    text = to_markdown(shown(frame, "cluster", [p for p in PUBLISHED if p["published"] == "FoCoViL, Table 7"]))
    assert "| 0.600 | 0.400 |" in text and "| FoCoViL, kmeans |  | 0.618 | 0.478 |" in text


def test_rows_that_differ_are_not_averaged(tmp_path):
    for name, r in {"x": result_of(), "y": result_of(epochs=9), "w": result_of(fingerprint="g"),
                    "v": result_of(settings={"representation": "z_clr"})}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(r))
    assert (table(read_results(tmp_path))["row"] == "a").sum() == 4
    (tmp_path / "twice.json").write_text(json.dumps(result_of()))
    with pytest.raises(ValueError, match="twice.json and x.json|x.json and twice.json"):
        table(read_results(tmp_path))
    with pytest.raises(ValueError, match="linear, nearest, cluster, segment, inpainting, generation"):
        table([], "magic")


def test_other_protocols_and_data_are_other_tables():
    results = [result_of("a"), result_of("b"), result_of("a", protocol="q"), result_of("a", fingerprint="g"), result_of("a", data="e"),
               result_of("a", evaluation="nearest")]
    results = [r | {"file": str(k)} for k, r in enumerate(results)]
    found = tables(results, ())
    assert [(t["evaluation"], t["data"], t["fingerprint"], t["protocol"]) for t in found] == [
        ("linear", "d", "f", "p"), ("linear", "d", "f", "q"), ("linear", "d", "g", "p"), ("linear", "e", "f", "p"), ("nearest", "d", "f", "p")]
    assert list(found[0]["frame"]["row"]) == ["a", "b", "raw coordinates", "random encoder"]
    for t in found:
        assert all(len(set(t["frame"][k])) == 1 for k in ("data", "fingerprint", "protocol"))


def test_supervised_networks_are_the_ceiling():
    scratch = {"official": 88.0, "leak_free": 90.0}
    def settings(k, share): return {"share": share, "labels_seed": k, "epochs": 30, "from_scratch": scratch}
    learned = [result_of(seed=k, evaluation="finetune", file=f"t{k}", settings=settings(k, share)) for k, share in ((0, 1.0), (1, 1.0), (2, .1))]
    alone = result_of(evaluation="supervised", official=86.0, file="s", settings={"labels_seed": 5, "epochs": 30})
    elsewhere = [r | {"protocol": "q", "file": r["file"] + "q"} for r in learned[:1]]
    frame = table([result_of(file="l"), *learned, alone, *elsewhere]).set_index("row")
    assert list(frame.index) == ["a", "with labels, from scratch: m", "raw coordinates", "random encoder"]
    line = frame.loc["with labels, from scratch: m"]
    assert (line["seeds"], line["epochs"]) == (3, 30) and line["official"] == pytest.approx((88 + 88 + 86) / 3)
    assert "a" in table(learned, "finetune")["row"].to_list() and not table(learned, "semi").shape[0]


def test_every_share_of_labels_is_a_row():
    shares = [{"share": s, "official": 50 + 100 * s, "leak_free": 40.0, "raw_coordinates": {"official": 30 + s}, "random_encoder": {"official": 20.0}}
              for s in (.1, .4)]
    frame = table([result_of(evaluation="semi", shares=shares, settings={"how": "linear"}, file="s", share=.1)], "semi")
    assert sorted(frame["row"]) == ["a", "a", "random encoder", "random encoder", "raw coordinates", "raw coordinates"]
    assert list(frame[frame["row"] == "a"]["official"]) == [60, 90] and frame[frame["row"] == "a"]["setting"].str.contains("share").all()
    assert list(frame[frame["row"] == "raw coordinates"]["official"]) == [30.1, 30.4]


def test_numbers_inside_others_are_found():
    gaps = result_of(evaluation="gaps", lengths={"0.4": {"model": 100.0, "model_blended": 90.0, "linear": 80.0, "hold_last": 120.0}}, file="g")
    frame = table([gaps | {"raw_coordinates": None, "random_encoder": None}], "gaps")
    assert frame["lengths/0.4/linear"].iloc[0] == 80 and "lengths 0.4 linear" in to_markdown(shown(frame, "gaps"))


def test_latex_and_csv_mark_what_was_published():
    found = tables([result_of("50 % & a_b", data="nw_ucla", protocol="xview", file="x")])
    text = to_latex(shown(found[0]["frame"], "linear", found[0]["published"]), "x < y")
    assert r"50 \% \& a\_b &" in text and r"\toprule" in text and "x $<$ y" in text
    assert text.count("{") == text.count("}") + text.count(r"\{") - text.count(r"\}")
    body = text.split(r"\midrule")
    assert len(body) == 3 and "textit" not in body[1] and r"\textit{FoCoViL} &" in body[2] and r"\textit{84.2}" in body[2] and "FoCoViL, Table 1" in body[2]
    lines = to_csv(found).splitlines()
    assert lines[0].startswith("evaluation,data,fingerprint,protocol,row,")
    assert any(line.endswith('"published, CRRL, Table V, pp. 6224-6238"') and ",83.8," in line for line in lines)
    assert sum(line.endswith("measured") for line in lines) == 3


def test_what_two_folders_hold_alike_counts_once():
    first = result_of(file="x")
    again = {**first, "command": "another list of rows", "seconds": 9.0}
    assert once([first, again]) == [first] and table([first, again])["seeds"].tolist() == table([first])["seeds"].tolist()
    for other in ({**again, "official": first["official"] + 1}, {**again, "file": "y"}):
        with pytest.raises(ValueError, match="and x hold the same row and seed: a, seed 0"):
            table([first, other])


def test_a_ceiling_is_of_one_network():
    three, one = ({"official": n, "evaluation": "finetune", "settings": {"share": 1.0, "from_scratch": {"official": n}}} for n in (90.0, 80.0))
    both = [result_of("three", **three, file="x"), result_of("one", file="y", options={"streams": ["joint"]}, **one)]
    frame = table(both, "finetune").set_index("row")
    assert frame.loc["with labels, from scratch: m", "official"] == 90 and frame.loc["with labels, from scratch: m, joint", "official"] == 80


def test_published_rows_of_a_set():
    rows = published_on("nw_ucla", "linear", "xview")
    assert {p["published"] for p in rows} == {"CRRL, Table V", "FoCoViL, Table 1"} and [p["value"] for p in rows if p["row"] == "CRRL"] == [83.8]
    assert published_on("NTU60", "linear", "xview") and not published_on("nw_ucla", "linear", "xsub") and not published_on("my own set")
    assert {p["published"] for p in published_on("nw_ucla", "nearest")} == {"CRRL, Table VI", "FoCoViL, Table 1"}
    assert {p["measure"].split()[0] for p in PUBLISHED} <= set(MEASURES) and "SwapCLR, Table 4" not in MAIN
    assert not any("paper" in p["published"] for p in PUBLISHED), "every number names its table"
    assert all(source_of(p["published"]).startswith(f"published, {p['published']}, pp. ") for p in PUBLISHED), "and the pages of its paper"
    assert source_of("CRRL, Table V", "FoCoViL, Table 1") == "published, CRRL, Table V, pp. 6224-6238; FoCoViL, Table 1, pp. 198-209"


@pytest.mark.parametrize("text, words", [
    ('{"row": 1, "ev', "not readable"), ("[1]", "expected a JSON object"), ('{"row": "a", "evaluation": "linear"}', "lacks method"),
    (json.dumps(result_of(evaluation="magic")), "known are linear"), (json.dumps(result_of(official=None)), "no number under 'official'"),
    (json.dumps(result_of()).replace("80.0", "NaN"), "no number under 'official'"), (json.dumps(result_of())[:60], "not readable"),
    ("\x00\xff", "not readable")])
def test_damaged_results_are_named(tmp_path, text, words):
    (tmp_path / "bad.json").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=words) as error:
        read_results(tmp_path)
    assert "bad.json" in str(error.value) and "\n" not in str(error.value)


def test_missing_results_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.json"):
        read_result(tmp_path / "none.json")
    with pytest.raises(FileNotFoundError, match="no result"):
        read_results(tmp_path)


def test_published_numbers():
    def value(where, row, protocol="xview", measure="linear"):
        return [p["value"] for p in PUBLISHED if (p["published"], p["row"], p["protocol"], p["measure"]) == (where, row, protocol, measure)]

    assert value("SwapCLR, Table 1", "3s-SwapCLR") == [91.1] and value("SwapCLR, Table 1", "3s-SwapCLR", "xsub") == [83.3]
    assert value("SwapCLR, Table 2", "3s-SwapCLR", "xset") == [75.1] and value("SwapCLR, Table 3", "3s-SwapCLR", "xsub") == [57.2]
    assert value("SwapCLR, Table 4", "Auto-Encoder, SatRec + InfoNCE") == [90.1] and value("SwapCLR, Table 7", "z_gen") == [83.6]
    assert value("SwapCLR, Table 5", "J+M+B -> A") == [90.3] and value("SwapCLR, Table 6", "256") == [87.8]
    assert value("FoCoViL, Table 1", "FoCoViL", measure="nearest") == [88.3] and value("SwapCLR, Table 1", "CP-STN") == [76.6]
    assert value("FoCoViL, Table 8", "CoViL", measure="cluster purity") == [.569] and value("FoCoViL, Table 7", "P&C, kmeans", measure="cluster ari") == [.412]
    assert value("CRRL, Table V", "CRRL") == [83.8] and value("CRRL, Table VI", "CRRL", measure="nearest") == [86.4]
    assert value("CRRL, Table V", "VA-RNN-Aug (S)") == [90.7] and value("FoCoViL, Table 1", "ST-CL") == [81.2]
    assert not value("SwapCLR, Table 1", "MS2L", "xsub") and len(PUBLISHED) == 226 + 6 + 4 + 14
