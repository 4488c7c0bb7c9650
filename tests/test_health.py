"Representation health: formulas against slow loops and libraries, what must not change them, and alarms."
import json
from math import comb, log

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import entropy, special_ortho_group
from sklearn.decomposition import PCA
from torch import nn

from skelbench.clips import SkeletonSet
from skelbench.evaluation import FLOORS
from skelbench.health import (
    across_cameras,
    alarms,
    alignment,
    choose_positives,
    dead_numbers,
    directions,
    effective_rank,
    health,
    held_out,
    leading,
    pair_cosines,
    positive_pairs,
    singular_values,
    table_of,
    uniformity,
    unit,
)
from skelbench.skeleton import BODY17


def cloud(seed=0, clips=120, streams=2, width=24):
    "Features whose directions differ in size."
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(clips, streams, width, generator=draw) * torch.linspace(1, 0.1, width) + 0.3


def filmed(scenes=24, cameras=3, classes=4, subjects=6, seed=0, scene_names=True, twin=False):
    "A set whose pose tells the class and a little of the subject; every scene by every camera."
    draw, clips = np.random.default_rng(seed), []
    poses, habits = draw.standard_normal((classes, 17, 3)), 0.3 * draw.standard_normal((subjects, 17, 3))
    for s in range(scenes):
        own = poses[s % classes] + habits[s % subjects] + 0.2 * draw.standard_normal((17, 3))
        for c in range(1, cameras + 1):
            joints = (own + 0.05 * draw.standard_normal((9, 1, 17, 3))).astype(np.float32)
            clip = {"joints": joints, "name": f"{s}-{c}", "label": s % classes, "subject": s % subjects, "camera": c}
            clips.append(clip | ({"scene": f"scene {s}"} if scene_names else {}))
    if twin: clips.append({**clips[0], "name": "copy", "camera": cameras, "scene": "of its own"})
    rule = {"xview": {"column": "camera", "train": list(range(1, cameras)), "test": [cameras]}}
    return SkeletonSet.from_clips(clips, BODY17, [f"class {k}" for k in range(classes)], "filmed", rule)


class Look(nn.Module):
    "A method that gives the mean pose, twice; or what is wrong with a collapsed one."

    def __init__(self, skeleton, broken=None):
        super().__init__()
        self.skeleton, self.arguments = skeleton, {"broken": broken}
        self.weight = nn.Parameter(torch.randn(51, 16) / 7)

    def embed(self, batch):
        features = (batch.joints.mean((1, 2)).flatten(1) @ self.weight)[:, None].repeat(1, 2, 1)
        match self.arguments["broken"]:
            case "constant": return torch.full_like(features, 0.2)
            case "stream": return torch.cat([features[:, :1], torch.ones_like(features[:, :1])], 1)
            case "line": return features[..., :1] * torch.ones(16) + 1e-3 * torch.arange(16)
            case "far": return features + 300
        return features


# --- formulas -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("seed, clips", [(0, 120), (1, 20), (2, 49)])
def test_rank_against_scipy_and_scikit_learn(seed, clips):
    rows = unit(cloud(seed, clips))
    values = singular_values(rows)
    expected = np.linalg.svd(rows.numpy() - rows.numpy().mean(0), compute_uv=False)
    shares = expected[expected > 1e-9] / expected[expected > 1e-9].sum()
    assert effective_rank(values) == pytest.approx(np.exp(entropy(shares)), rel=1e-6)
    held = np.cumsum(PCA().fit(rows.numpy()).explained_variance_ratio_)
    assert directions(values) == int(np.searchsorted(held, 0.95)) + 1
    axes = leading(rows - rows.mean(0), 10)
    own, theirs = (rows - rows.mean(0)) @ axes, PCA(10).fit_transform(rows.numpy())
    assert np.allclose(own.abs().numpy()[:, ::-1], np.abs(theirs), atol=1e-6)


def test_alignment_and_uniformity_against_loops():
    one, two = unit(cloud(0, 30)), unit(cloud(1, 30))
    slow = sum(sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) for x, y in zip(one.tolist(), two.tolist(), strict=True)) / 30
    assert alignment(one, two) == pytest.approx(slow)
    total = sum(np.exp(-2 * float((one[i] - one[j]).square().sum())) for i in range(30) for j in range(i)) / 435
    assert uniformity(pair_cosines(one)) == pytest.approx(log(total))
    assert len(pair_cosines(one)) == 435 and len(pair_cosines(one, 10)) == 45


def test_a_rotation_changes_nothing_and_neither_does_a_scale():
    first, second = cloud(0, streams=1), cloud(1, streams=1)
    turn = torch.as_tensor(special_ortho_group.rvs(24, random_state=0), dtype=torch.float32)
    for change in (lambda x: x @ turn, lambda x: 7 * x):
        before, after = [(unit(f(first)), unit(f(second))) for f in (lambda x: x, change)]
        assert effective_rank(singular_values(before[0])) == pytest.approx(effective_rank(singular_values(after[0])), rel=1e-4)
        assert directions(singular_values(before[0])) == directions(singular_values(after[0]))
        assert alignment(*before) == pytest.approx(alignment(*after), rel=1e-4)
        assert uniformity(pair_cosines(before[0])) == pytest.approx(uniformity(pair_cosines(after[0])), rel=1e-4)


def test_rank_of_known_clouds():
    corners = torch.eye(8).repeat(5, 1)[:, None]
    values = singular_values(unit(corners))
    assert effective_rank(values) == pytest.approx(7) and directions(values) == 7
    assert effective_rank(singular_values(unit(torch.ones(9, 1, 4)))) == 0 and directions(singular_values(unit(torch.ones(9, 1, 4)))) == 0
    line = torch.linspace(-1, 1, 20)[:, None, None] * torch.tensor([[[0.0, 1.0]]]) + torch.tensor([[[1.0, 0.0]]])
    assert 1 < effective_rank(singular_values(unit(line))) < 2  # unit rows lie on an arc


# --- alarms ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("features, words", [
    (torch.full((60, 2, 20), 0.1), ["collapsed", "streams 1, 2 of 2", "few directions", "look alike", "dead numbers: 40 of 40"]),
    (torch.cat([cloud()[:, :1], torch.ones(120, 1, 24)], 1), ["stream 2 of 2", "dead numbers: 24 of 48"]),
    (cloud() + 50, ["look alike"]),
    (cloud() * (torch.arange(24) > 2), ["dead numbers: 6 of 48"]),
    (torch.randn(80, 1, 1, generator=torch.Generator().manual_seed(0)) * torch.ones(30), ["few directions"]),
    (cloud(), []), (cloud(3, 2000, 1, 8), []), (cloud(4, 12, 1, 200), [])])
def test_alarms_are_raised_by_what_they_name_and_by_nothing_else(features, words):
    said = alarms(features)
    assert len(said) == len(words), said
    for sentence, word in zip(said, words, strict=True): assert word in sentence


def test_dead_numbers():
    features = cloud()
    features[:, 1, 5] = 3.0
    assert dead_numbers(features).nonzero().tolist() == [[1, 5]]
    assert dead_numbers(torch.ones(5, 1, 3)).all() and dead_numbers(torch.full((5, 1, 3), 0.1)).all()


# --- camera, subject, retrieval -------------------------------------------------------------------------------------

def known_table(scenes=20, cameras=3):
    return pd.DataFrame([{"label": s % 4, "subject": s % 5, "camera": c, "scene": s} for s in range(scenes) for c in range(cameras)])


def test_retrieval_against_a_loop():
    table = known_table()
    draw = torch.Generator().manual_seed(0)
    rows = unit(torch.randn(20, 9, generator=draw)[table["scene"].tolist()][:, None] + torch.randn(60, 1, 9, generator=draw))
    found, hits, named = across_cameras(rows, table, chunk=7), [], []
    for i in range(60):
        others = sorted((j for j in range(60) if table["camera"][j] != table["camera"][i]), key=lambda j: -float(rows[i] @ rows[j]))
        hits.append([any(table["scene"][j] == table["scene"][i] for j in others[:k]) for k in (1, 5)])
        named.append(table["label"][others[0]] == table["label"][i])
    for name, values in zip(("same_scene_at_1", "same_scene_at_5", "same_class_at_1"), (*zip(*hits, strict=True), named), strict=True):
        assert found[name] == pytest.approx(100 * np.mean(values), abs=0.01)
    for k in (1, 5): assert found[f"chance_at_{k}"] == pytest.approx(100 * (1 - comb(38, k) / comb(40, k)), abs=0.01)
    assert across_cameras(rows, table.assign(camera=0)) is None
    assert across_cameras(torch.ones(60, 1).double(), table)["same_scene_at_5"] == 0  # ties find nothing


def test_what_is_memorised_of_a_scene_does_not_count():
    table = known_table(40)
    mark = torch.eye(40)[table["scene"].tolist()][:, None]  # names the scene, and so its subject, to who has seen it
    assert held_out(mark, table["subject"], np.arange(120) // 3)["accuracy"] <= 30
    leaky = held_out(mark, table["subject"], np.arange(120))  # every clip a group of its own
    assert leaky["accuracy"] > 90 and leaky["chance"] == 20 and leaky["names"] == 5
    seen = torch.cat([mark, torch.eye(3)[table["camera"].tolist()][:, None]], -1)
    assert held_out(seen, table["camera"], table["subject"])["accuracy"] == 100
    assert held_out(mark, table["camera"] * 0, table["subject"]) is None and held_out(mark, table["camera"], table["subject"] * 0) is None


def test_positives():
    table = known_table(6)
    first, second = positive_pairs(table, "scenes")
    slow = {(i, j) for i in range(18) for j in range(i + 1, 18) if table["scene"][i] == table["scene"][j]}
    assert set(zip(first.tolist(), second.tolist(), strict=True)) == slow and len(first) == len(slow)
    first, second = positive_pairs(table, "classes")
    label = table["label"].to_numpy()
    assert (label[first] == label[second]).all() and (first != second).all() and len(first) == 18 - 4  # the last of a class has no next
    assert choose_positives(table, None) == "scenes" and choose_positives(table.assign(camera=0), None) == "classes"
    alone = table.assign(camera=0, label=range(18))
    assert choose_positives(alone, None) == "augmented"
    with pytest.raises(ValueError, match="no positives of kind 'scenes': there are classes, augmented"): choose_positives(table.assign(camera=0), "scenes")


def test_scenes_of_different_sets_are_different():
    data = filmed(8)
    other = SkeletonSet.from_clips([{"joints": np.random.default_rng(1).standard_normal((9, 1, 17, 3)), "name": "x", "label": 0, "scene": "scene 0"}],
                                   BODY17, data.classes, "other")
    table = table_of([data, other])
    assert table["scene"].nunique() == 9 and table["subject"].nunique() == 7


# --- the whole ------------------------------------------------------------------------------------------------------

def test_health_of_a_healthy_method():
    torch.manual_seed(0)
    train, test = filmed().split("xview")
    found = health(Look(BODY17), train, test, frames=6, protocol="xview")
    assert {"evaluation", "method", "data", "fingerprint", "protocol", "seed", "epochs", "device", "version", "clips", "settings", "seconds"} <= set(found)
    assert json.loads(json.dumps(found)) == found and found["alarms"] == [] and found["positives"] == "scenes" and found["not_asked"] == []
    assert found["retrieval"]["same_scene_at_1"] > 80 and found["camera"]["accuracy"] < 60 and found["subject"]["accuracy"] > found["subject"]["chance"]
    assert found["alignment_share"] < 0.2 and found["raw_coordinates"]["width"] == 6 * 51 and found["random_encoder"]["streams"] == 2
    known = len(FLOORS)
    again = health(Look(BODY17), train, test, frames=6, protocol="xview")
    assert len(FLOORS) == known and again["raw_coordinates"] == found["raw_coordinates"]


@pytest.mark.parametrize("broken, word", [("constant", "collapsed"), ("stream", "stream 2 of 2"), ("line", "few directions"), ("far", "look alike")])
def test_a_broken_method_raises_its_alarm(broken, word):
    torch.manual_seed(0)
    train, test = filmed(12).split("xview")
    found = health(Look(BODY17, broken), train, test, frames=6, folds=2)
    assert any(word in said for said in found["alarms"]), found["alarms"]
    if broken == "constant":
        assert len(found["alarms"]) == 5 and found["effective_rank"] == 0 and found["alignment_share"] is None
        assert found["camera"]["accuracy"] <= 50 and found["retrieval"]["same_scene_at_1"] == 0


def test_copies_of_training_clips_do_not_count():
    torch.manual_seed(0)
    method, folds = Look(BODY17), 2
    train, test = filmed(12, twin=True).split("xview")
    with_copy, without = (health(method, train, part, frames=6, folds=folds) for part in (test, test.select(slice(0, 12))))
    assert with_copy["clips"] == {"train": 24, "test": 13, "leaked": 1, "used": 36}
    assert all(with_copy[k] == without[k] for k in ("effective_rank", "alignment", "uniformity", "camera", "subject", "retrieval", "raw_coordinates"))


def test_what_cannot_be_asked_is_said():
    torch.manual_seed(0)
    train, test = filmed(12).split("xview")
    method = Look(BODY17)
    found = health(method, train, test, on="test", frames=6, folds=2)
    assert found["camera"] is None and found["retrieval"] is None and found["positives"] == "classes"
    assert found["not_asked"] == ["camera: all clips are of one camera", "retrieval: no scene was filmed by two cameras"]
    views = health(method, train, test, on="test", positives="augmented", frames=6, folds=2)
    assert 0 < views["alignment"] and views == {**views, **{k: found[k] for k in ("effective_rank", "uniformity", "subject")}}


@pytest.mark.parametrize("words, text", [({"on": "all"}, "unknown part 'all': there are both, train, test"), ({"folds": 1}, "folds must be at least 2"),
                                         ({"positives": "friends"}, "unknown kind of positives"), ({"on": "test", "positives": "scenes"}, "have no positives")])
def test_bad_wishes_are_refused_in_a_sentence(words, text):
    train, test = filmed(8).split("xview")
    with pytest.raises(ValueError, match=text) as found: health(Look(BODY17), train, test, frames=6, **words)
    assert "\n" not in str(found.value)
