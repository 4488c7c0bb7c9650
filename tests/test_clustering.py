"Purity, ARI and kin against slow loops, and clusters of sets made by hand."
import json
from itertools import permutations
from math import comb
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from skelbench import evaluation
from skelbench.clips import SkeletonSet
from skelbench.clustering import (
    MODELS,
    adjusted_rand,
    assignment,
    best_assignment_accuracy,
    cluster,
    components_of,
    contingency,
    find_clusters,
    mutual_information,
    purity,
    row_of,
    scores_of,
    side_by_side,
    silhouette,
)
from skelbench.probes import nearest_rows
from skelbench.skeleton import get_skeleton

MEASURES = (purity, adjusted_rand, mutual_information, best_assignment_accuracy)


def sorting(seed, clips=50, classes=4, clusters=5, agree=0.6):
    "Labels, and clusters that agree with them in part."
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes, clips)
    return np.where(draw.random(clips) < agree, labels, draw.integers(0, clusters, clips)), labels


def slow_table(clusters, labels):
    "omega_kl, clip by clip."
    omega = {}
    for k, l in zip(clusters, labels, strict=True):
        omega[int(k), int(l)] = omega.get((int(k), int(l)), 0) + 1
    return omega


# --- measures -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("seed, agree, clusters", [(0, 0.6, 5), (1, 0.0, 4), (2, 1.0, 3), (3, 0.3, 2), (4, 0.5, 9)])
def test_purity_and_ari_against_the_papers_formulas(seed, agree, clusters):
    found, labels = sorting(seed, clusters=clusters, agree=agree)
    omega, n = slow_table(found, labels), len(labels)
    slow = 0
    for k in set(found.tolist()):
        slow += max(omega.get((k, l), 0) for l in set(labels.tolist()))
    assert purity(found, labels) == pytest.approx(slow / n)  # Eq. 8
    cells = rows = columns = 0
    for k in set(found.tolist()):
        rows += comb(sum(v for (a, _), v in omega.items() if a == k), 2)
    for l in set(labels.tolist()):
        columns += comb(sum(v for (_, b), v in omega.items() if b == l), 2)
    for count in omega.values():
        cells += comb(count, 2)
    chance = rows * columns / comb(n, 2)
    assert adjusted_rand(found, labels) == pytest.approx((cells - chance) / ((rows + columns) / 2 - chance), abs=1e-12)  # Eq. 9
    table = contingency(found, labels)
    assert table.sum() == n and sorted(table[table > 0].tolist()) == sorted(omega.values())


def test_mutual_information_from_entropies():
    found, labels = sorting(7)
    n, omega = len(labels), slow_table(*sorting(7))

    def entropy(x): return -sum((c / n) * np.log(c / n) for c in np.unique(x, return_counts=True)[1])
    shared = sum(v / n * np.log(n * v / ((found == k).sum() * (labels == l).sum())) for (k, l), v in omega.items())
    assert mutual_information(found, labels) == pytest.approx(shared / ((entropy(found) + entropy(labels)) / 2))


@pytest.mark.parametrize("clusters, classes", [(4, 4), (3, 5), (5, 3)])
def test_best_assignment_against_all_assignments(clusters, classes):
    found, labels = sorting(5, classes=classes, clusters=clusters)
    known, size = np.unique(found), max(len(np.unique(found)), classes)
    best = max(sum(order[int(np.searchsorted(known, k))] == l for k, l in zip(found, labels, strict=True)) for order in permutations(range(size)))
    assert best_assignment_accuracy(found, labels) == pytest.approx(best / len(labels))
    names = assignment(found, labels)
    assert len(set(names.values())) == len(names)  # one to one
    assert sum(names.get(int(k)) == l for k, l in zip(found, labels, strict=True)) == best


@pytest.mark.parametrize("measure", MEASURES)
def test_the_number_that_a_cluster_bears_does_not_matter(measure):
    found, labels = sorting(0)
    assert measure(np.array([40, 7, -3, 12, 5])[found], np.array([9, 2, 30, 4])[labels]) == pytest.approx(measure(found, labels))
    order = np.random.default_rng(0).permutation(len(labels))
    assert measure(found[order], labels[order]) == pytest.approx(measure(found, labels))
    assert measure(torch.as_tensor(found), labels.tolist()) == measure(found, labels)


def test_perfect_all_in_one_each_alone_and_chance():
    labels = np.repeat(np.arange(5), [10, 20, 5, 8, 7])
    one, alone = np.zeros(50, int), np.arange(50)
    assert [m((labels + 2) % 5, labels) for m in MEASURES] == [1, 1, 1, 1]
    assert purity(one, labels) == best_assignment_accuracy(one, labels) == 20 / 50 and adjusted_rand(one, labels) == mutual_information(one, labels) == 0
    assert purity(alone, labels) == 1 and best_assignment_accuracy(alone, labels) == 5 / 50 and adjusted_rand(alone, labels) == pytest.approx(0)
    draw = np.random.default_rng(0)
    random = [adjusted_rand(draw.integers(0, 5, 50), labels) for _ in range(300)]
    assert abs(np.mean(random)) < 0.01 and min(random) < 0  # chance is zero
    split = np.where(labels == 1, labels + draw.integers(0, 2, 50) * 10, labels)
    assert purity(split, labels) == 1 and adjusted_rand(split, labels) < 1
    assert purity(np.minimum(labels, 3), labels) == 43 / 50  # 3 and 4 merged: the smaller is lost


@pytest.mark.parametrize("clusters, labels", [([0, 1], [0, 1, 1]), ([], []), ([[0, 1]], [[0, 1]])])
def test_what_is_not_one_cluster_and_one_label_a_clip(clusters, labels):
    for measure in (*MEASURES, contingency, assignment):
        with pytest.raises(ValueError, match="one cluster and one label a clip"):
            measure(clusters, labels)


def test_silhouette_against_a_slow_loop():
    draw = np.random.default_rng(0)
    rows, groups = draw.normal(size=(24, 6)) + 2 * np.eye(6)[draw.integers(0, 3, 24)], draw.integers(0, 3, 24)
    groups[0] = 7  # alone: counts as 0

    def far(i, j): return 1 - rows[i] @ rows[j] / np.linalg.norm(rows[i]) / np.linalg.norm(rows[j])
    slow = []
    for i in range(24):
        own = [far(i, j) for j in range(24) if j != i and groups[j] == groups[i]]
        other = min(np.mean([far(i, j) for j in range(24) if groups[j] == g]) for g in set(groups.tolist()) - {int(groups[i])})
        slow.append((other - np.mean(own)) / max(other, np.mean(own)) if own else 0)
    assert silhouette(rows, groups) == pytest.approx(np.mean(slow))
    assert silhouette(rows, np.zeros(24)) == 0 == silhouette(rows, np.arange(24))
    assert silhouette(rows, groups, most=12) == silhouette(rows, groups, most=12)  # the same draw
    assert silhouette(5 * rows, groups) == pytest.approx(silhouette(rows, groups))


# --- finding clusters -----------------------------------------------------------------------------------------------

def clouds(clips=90, width=20, streams=2, seed=0, apart=4.0):
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(clips) % 3
    centres = torch.randn(3, streams, width, generator=torch.Generator().manual_seed(99)) * apart
    return centres[labels] + torch.randn(clips, streams, width, generator=draw), labels.numpy()


def test_side_by_side_compares_as_nearest_does():
    x, y = clouds()[0], clouds(30, seed=1, apart=1.0)[0]
    bank, query = side_by_side(x, y, None)
    assert bank.shape == (90, 40) and np.allclose(np.linalg.norm(bank.reshape(90, 2, 20), axis=-1), 1)
    assert (query @ bank.T).argmax(1).tolist() == nearest_rows(x, y).tolist()
    loud = torch.tensor([1000.0, 0.01])[:, None]  # a stream with large numbers does not decide alone
    for scale in (None, "stream", "number"):
        for a, b in zip(side_by_side(x, y, scale), side_by_side(x * loud, y * loud, scale), strict=True):
            assert np.allclose(a, b, atol=1e-6)
    alone = side_by_side(x, y[:4], "number")[1]
    assert np.allclose(alone, side_by_side(x, y, "number")[1][:4])  # the asked clips do not change each other
    with pytest.raises(ValueError, match="standardise"):
        side_by_side(x, y, "whiten")


def test_components_are_those_of_the_fitted_rows():
    draw = np.random.default_rng(0)
    fitted, asked = draw.normal(size=(50, 8)) * np.arange(1, 9), draw.normal(size=(5, 8))
    a, b = components_of(fitted, asked, 3)
    assert a.shape == (50, 3) and b.shape == (5, 3) and np.square(a - a.mean(0)).mean() == pytest.approx(1)
    centred = fitted - fitted.mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:3]
    ratio = (centred @ axes.T) / a
    assert np.allclose(np.abs(ratio), np.abs(ratio[0, 0])) and np.allclose(np.abs((asked - fitted.mean(0)) @ axes.T), np.abs(b * ratio[0, 0]))
    assert components_of(fitted[:4], asked, 99)[1].shape == (5, 4) and components_of(fitted, asked, None)[0].shape == (50, 8)
    assert np.isfinite(components_of(np.ones((6, 3)), np.ones((2, 3)), 2)[1]).all()  # nothing varies


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("covariance", ["tied", "full", "diag", "spherical"])
def test_clear_clouds_are_found(model, covariance):
    x, labels = clouds()
    rows = components_of(*side_by_side(x, x), 6)
    groups, fits = find_clusters(*rows, 3, model, restarts=4, covariance=covariance)
    assert groups.shape == (4, 90) and fits.shape == (4,) and purity(groups[fits.argmax()], labels) == 1
    again, _ = find_clusters(*rows, 3, model, restarts=2, seed=2, covariance=covariance)
    assert (again == groups[2:]).all()  # restart i of seed s is restart 0 of seed s + i


def test_kmeans_is_at_rest_and_fits_are_what_they_say():
    x = np.random.default_rng(0).normal(size=(80, 3))
    groups, fits = find_clusters(x, x, 4, "kmeans", restarts=5)
    for group, fit in zip(groups, fits, strict=True):
        means = np.array([x[group == k].mean(0) for k in range(4)])
        distance = np.square(x[:, None] - means).sum(-1)
        assert (distance.argmin(1) == group).mean() > 0.97 and -distance.min(1).sum() == pytest.approx(fit, rel=0.01)
    assert len({round(float(f), 6) for f in fits}) > 1  # the start decides part of the outcome


def test_fitted_on_some_asked_about_others():
    x, labels = clouds(120)
    rows = components_of(*side_by_side(x[:60], x[60:]), 5)
    for model in MODELS:
        groups, _ = find_clusters(*rows, 3, model, restarts=2)
        assert groups.shape == (2, 60) and purity(groups[0], labels[60:]) == 1


@pytest.mark.parametrize("words, text", [({"model": "dbscan"}, "no model 'dbscan': there are gmm, kmeans"), ({"covariance": "round"}, "tied, full, diag"),
                                         ({"clusters": 91}, "90 clips cannot be divided into 91"), ({"clusters": 0}, "at least 1"),
                                         ({"restarts": 0}, "at least 1")])
def test_clusters_that_cannot_be_found(words, text):
    x = np.random.default_rng(0).normal(size=(90, 3))
    with pytest.raises(ValueError, match=text):
        find_clusters(x, x, **{"clusters": 3, **words})


def test_scores_are_means_spreads_and_the_best_fit():
    x, labels = clouds(apart=0.5)
    row = scores_of(x, x, labels, 3, model="kmeans", restarts=6, seed=1)
    rows = side_by_side(x, x)
    groups, fits = find_clusters(*components_of(*rows), 3, "kmeans", 6, 1)
    values = [purity(g, labels) for g in groups]
    assert row["purity"] == round(float(np.mean(values)), 4) and row["spread"]["purity"] == round(float(np.std(values)), 4)
    assert row["best_fit"]["ari"] == round(adjusted_rand(groups[fits.argmax()], labels), 4)
    assert row["silhouette_of_classes"] == round(silhouette(rows[0], labels), 4) and row["clusters"] == 3
    assert scores_of(x, x, (labels + 1) % 3, 3, model="kmeans", restarts=6, seed=1) == row  # labels named otherwise


def test_leak_free_is_what_comes_out_without_those_clips():
    x, labels = clouds(apart=0.5)
    train, test, twin = x[:40], x[40:], labels[40:] == 2  # as on NW-UCLA: a whole class
    settings = {"model": "kmeans", "restarts": 3}
    row = row_of(None, test, labels[:40], labels[40:], twin, **settings)
    clean = scores_of(test[~twin], test[~twin], labels[40:][~twin], 2, **settings)
    assert (row["clusters"], row["leak_free_clusters"]) == (3, 2)  # as many as there are classes left
    assert {k.removeprefix("leak_free_"): v for k, v in row.items() if k.startswith("leak_free_")} == clean
    assert row["leak_free"] == round(100 * clean["accuracy"], 2) and row["official"] == round(100 * row["accuracy"], 2)
    seen = row_of(train, test, labels[:40], labels[40:], twin, on="train", **settings)
    assert (seen["clusters"], seen["leak_free_clusters"]) == (3, 3)  # the training clips are still three classes
    assert seen["purity"] == scores_of(train, test, labels[40:], 3, **settings)["purity"]
    both = row_of(train, test, labels[:40], labels[40:], twin, on="both", **settings)
    assert both["purity"] == scores_of(x, test, labels[40:], 3, **settings)["purity"]
    for nothing in (np.zeros(50, bool), np.ones(50, bool)):
        assert not any(k.startswith("leak_free") for k in row_of(None, test, labels[:40], labels[40:], nothing, **settings))
    assert "leak_free" not in row_of(None, test, labels[:40], labels[40:], np.arange(50) > 2, clusters=9, **settings)  # three clips left


# --- the evaluation -------------------------------------------------------------------------------------------------

class Tiny(nn.Module):
    "A stand-in method: each frame's coordinates through one layer, pooled in two ways as two streams."

    def __init__(self, skeleton, width=12):
        super().__init__()
        self.skeleton, self.arguments = skeleton, {"width": width}
        self.layer = nn.Linear(len(skeleton) * 3, width)

    def embed(self, batch, representation=None):
        hidden = torch.relu(self.layer(batch.joints.flatten(3))).mean(1)
        both = torch.stack([hidden.mean(1), hidden.amax(1)], 1)
        return both[:, :1] if representation == "mean" else both


def made(cameras, seed=0, skeleton="body17", copies=(), classes=3):
    "A set whose clips are a pose a class plus noise; `copies` are (from, to) rows of equal content."
    skeleton, draw = get_skeleton(skeleton), np.random.default_rng(seed)
    poses = np.random.default_rng(99).normal(size=(classes, len(skeleton), 3))
    joints = [(poses[i % classes] + 0.5 * draw.normal(size=(6 + i % 3, 1, len(skeleton), 3))).astype("f4") for i in range(len(cameras))]
    for source, target in copies:
        joints[target] = joints[source].copy()
    clips = [{"joints": j, "name": f"clip{i}", "label": i % classes, "camera": c, "subject": i % 4, "scene": str(i)}
             for i, (j, c) in enumerate(zip(joints, cameras, strict=True))]
    return SkeletonSet.from_clips(clips, skeleton, [f"class {k}" for k in range(classes)], "made", {"xview": {"column": "camera", "train": [1], "test": [2]}})


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(evaluation, "FLOORS", {})
    torch.manual_seed(0)
    data = made([1 + i // 36 for i in range(66)])
    return SimpleNamespace(data=data, pair=data.split("xview"), method=Tiny(data.skeleton))


def timeless(result): return {k: v for k, v in result.items() if k != "seconds"}


@pytest.mark.parametrize("model", MODELS)
def test_result_names_everything_and_is_plain(tiny, model):
    result = cluster(tiny.method, *tiny.pair, model=model, protocol="xview", restarts=3)
    assert json.loads(json.dumps(result)) == result
    for key in ("evaluation", "method", "data", "fingerprint", "protocol", "seed", "epochs", "seconds", "device", "version", "official", "clips", "settings"):
        assert key in result, key
    assert result["evaluation"] == "cluster" and result["protocol"] == "xview" and result["fingerprint"] == tiny.data.fingerprint
    assert result["clips"] == {"train": 36, "test": 30, "leaked": 0} and result["clusters"] == 3
    numbers = {"official", "clusters", "purity", "ari", "nmi", "accuracy", "silhouette", "silhouette_of_classes", "spread", "best_fit"}
    assert numbers <= set(result) and set(result["raw_coordinates"]) == set(result["random_encoder"]) == numbers
    assert result["settings"]["model"] == model and ("covariance" in result["settings"]) == (model == "gmm") and result["settings"]["frames"] == 50
    assert result["raw_coordinates"]["purity"] > 0.95
    assert timeless(cluster(tiny.method, *tiny.pair, model=model, protocol="xview", restarts=3)) == timeless(result)


def test_a_run_is_named_and_a_method_is_frozen(tiny):
    from skelbench.recipe import Recipe

    run = SimpleNamespace(model=tiny.method.train(), recipe=Recipe(frames=9, seed=4, epochs=7), info={"protocol": "xview", "method": "tiny"})
    before = {k: v.clone() for k, v in tiny.method.state_dict().items()}
    result = cluster(run, *tiny.pair, restarts=2)
    assert (result["seed"], result["epochs"], result["protocol"], result["method"], result["settings"]["frames"]) == (4, 7, "xview", "tiny", 9)
    assert tiny.method.training and all(torch.equal(v, before[k]) for k, v in tiny.method.state_dict().items())
    one, two = cluster(run, *tiny.pair, restarts=2, representation="mean"), cluster(run, *tiny.pair, restarts=2)
    assert one["settings"]["representation"] == "mean" and one["best_fit"] != two["best_fit"]


def test_labels_do_not_change_what_is_found(tiny):
    "With labels of other names everything is as before; with random ones the fit to them is lost."
    train, test = tiny.pair
    told = test.select(np.arange(len(test)))
    told.table["label"] = (told.table["label"] + 1) % 3
    first, second = (cluster(tiny.method, train, part, restarts=3) for part in (test, told))
    for key in ("purity", "ari", "nmi", "accuracy", "silhouette", "spread", "best_fit", "raw_coordinates"):
        assert first[key] == second[key], key
    told.table["label"] = np.random.default_rng(0).permutation(told.table["label"])
    third = cluster(tiny.method, train, told, restarts=3)
    assert third["silhouette"] == first["silhouette"] and third["raw_coordinates"]["ari"] < 0.3 < first["raw_coordinates"]["ari"]


def test_planted_twins_are_left_out(tiny):
    data = made([1 + i // 36 for i in range(66)], copies=[(0, 39), (5, 41)])
    train, test = data.split("xview")
    result = cluster(tiny.method, train, test, restarts=3)
    without = cluster(tiny.method, train, test.select([i for i in range(30) if i not in (3, 5)]), restarts=3)
    assert result["clips"]["leaked"] == 2 and without["clips"]["leaked"] == 0 and "leak_free" not in without
    for a, b in ((result, without), *((result[k], without[k]) for k in ("raw_coordinates", "random_encoder"))):
        assert a["leak_free"] == b["official"] and all(a[f"leak_free_{k}"] == b[k] for k in ("purity", "ari", "spread", "best_fit", "silhouette"))


def test_floors_are_measured_once_but_not_mixed_up(tiny, monkeypatch):
    calls, real = [], evaluation.raw_coordinates
    monkeypatch.setattr(evaluation, "raw_coordinates", lambda *a, **k: (calls.append(1), real(*a, **k))[1])
    first = cluster(tiny.method, *tiny.pair, restarts=2)
    first["raw_coordinates"]["spread"]["purity"] = "spoilt"  # what is handed out is a copy
    assert cluster(tiny.method, *tiny.pair, restarts=2)["raw_coordinates"]["spread"]["purity"] != "spoilt" and len(calls) == 1
    cluster(tiny.method, *tiny.pair, restarts=2, model="kmeans")
    cluster(tiny.method, *tiny.pair, restarts=2, clusters=4)
    cluster(tiny.method, *tiny.pair, restarts=2, frames=10)
    assert len(calls) == 4
    cluster(tiny.method, *tiny.pair, restarts=2, on="both")
    assert len(calls) == 6  # train and test
    known = len(evaluation.FLOORS)
    cluster(Tiny(tiny.data.skeleton, width=5), *tiny.pair, restarts=2)
    assert len(evaluation.FLOORS) == known + 1  # another architecture: another random encoder


def test_bad_input_is_one_clear_error(tiny):
    train, test = tiny.pair
    for arguments, words, text in (
            ((train, test), {"model": "dbscan"}, "no model 'dbscan': there are gmm, kmeans"), ((train, test), {"on": "all"}, "test, train, both, not on 'all'"),
            ((train, test), {"clusters": 31}, "30 clips cannot be divided into 31"), ((train, test), {"restarts": 0}, "at least 1"),
            ((train, test), {"standardise": "whiten"}, "standardise"), ((train, test.select([])), {}, "no test clip"),
            ((train.select([]), test), {}, "no training clip"),
            (made([1 + i // 36 for i in range(66)], skeleton="kinect20").split("xview"), {}, "built for skeleton body17"),
            ((train.select((train.table["label"] != 1).to_numpy()), test), {}, "class 1"), ((train, test), {"components": 0}, "components")):
        with pytest.raises(ValueError, match=text):
            cluster(tiny.method, *arguments, **{"restarts": 2, **words})
    with pytest.raises(ValueError, match="expected a trained run"):
        cluster("focovil", train, test)
