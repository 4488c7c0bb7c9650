"Probes, results and evaluation against slow loops, sklearn and sets made by hand."
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from skelbench import evaluation
from skelbench.clips import SkeletonSet
from skelbench.evaluation import embed, evaluate, labels_of, linear, nearest, random_encoder, raw_coordinates
from skelbench.probes import fit_linear, linear_scores, nearest_labels, nearest_rows, standardised, stream_scores
from skelbench.recipe import Recipe
from skelbench.results import NAMED, Result, accuracies, average, check_named, confusion, confusion_difference, percent, predictions_of, wilson
from skelbench.skeleton import get_skeleton


class Tiny(nn.Module):
    "A stand-in method: each frame's coordinates through one layer, pooled in two ways as two streams."

    def __init__(self, skeleton, width=12):
        super().__init__()
        self.skeleton, self.arguments = skeleton, {"width": width}
        self.layer, self.prepared = nn.Linear(len(skeleton) * 3, width), None

    def prepare(self, train):
        self.prepared = len(train)

    def embed(self, batch, representation=None):
        hidden = torch.relu(self.layer(batch.joints.flatten(3))).mean(1)
        both = torch.stack([hidden.mean(1), hidden.amax(1)], 1)
        return both[:, :1] if representation == "mean" else both


def made(labels, cameras, seed=0, skeleton="body17", name="made", copies=()):
    "A set whose clips are a pose a class plus noise; `copies` are (from, to) rows of equal content."
    skeleton, draw = get_skeleton(skeleton), np.random.default_rng(seed)
    poses = np.random.default_rng(99).normal(size=(max(labels) + 1, len(skeleton), 3))
    joints = [(poses[k] + 0.3 * draw.normal(size=(6 + i % 3, 1, len(skeleton), 3))).astype("f4") for i, k in enumerate(labels)]
    for source, target in copies:
        joints[target] = joints[source].copy()
    clips = [{"joints": j, "name": f"clip{i}", "label": k, "camera": c, "subject": i % 4, "scene": str(i)}
             for i, (j, k, c) in enumerate(zip(joints, labels, cameras))]
    return SkeletonSet.from_clips(clips, skeleton, [f"class {k}" for k in range(max(labels) + 1)], name,
                                  {"xview": {"column": "camera", "train": [1], "test": [2]}})


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    data = made([i % 3 for i in range(60)], [1 + i // 36 for i in range(60)])
    return SimpleNamespace(data=data, pair=data.split("xview"), method=Tiny(data.skeleton))


def toy(clips=200, streams=3, width=5, classes=4, noise=1.0, seed=0):
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (clips,), generator=draw)
    centres = torch.randn(streams, classes, width, generator=draw) * 2
    return centres[:, labels].transpose(0, 1) + noise * torch.randn(clips, streams, width, generator=draw), labels


# --- probes ---------------------------------------------------------------------------------------------------------

def test_streams_trained_at_once_are_streams_trained_alone():
    features, labels = toy()
    for batch_size in (None, 32):
        weight, bias = fit_linear(features, labels, 4, epochs=15, batch_size=batch_size)
        for s in range(3):
            w, b = fit_linear(features[:, [s]], labels, 4, epochs=15, batch_size=batch_size)
            assert torch.allclose(weight[s], w[0], atol=1e-5) and torch.allclose(bias[s], b[0], atol=1e-5)


def test_fit_linear_against_torch_modules_one_stream_after_the_other():
    features, labels = toy(clips=90)
    weight, bias = fit_linear(features, labels, 4, epochs=8, drops=(5,), batch_size=25, seed=3)
    for s in range(3):
        layer = nn.Linear(5, 4)
        nn.init.zeros_(layer.weight), nn.init.zeros_(layer.bias)
        optimizer, order = torch.optim.Adam(layer.parameters(), lr=0.1), torch.Generator().manual_seed(3)
        for epoch in range(8):
            if epoch == 5:
                optimizer.param_groups[0]["lr"] = 0.01
            for rows in torch.randperm(90, generator=order).split(25):
                optimizer.zero_grad()
                nn.functional.cross_entropy(layer(features[rows, s]), labels[rows]).backward()
                optimizer.step()
        assert torch.allclose(weight[s], layer.weight.T, atol=1e-5) and torch.allclose(bias[s, 0], layer.bias, atol=1e-5)


def test_linear_close_to_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    features, labels = toy(clips=600, streams=1, width=6, noise=1.2)
    exact = LogisticRegression(C=1e4, max_iter=3000).fit(features[:300, 0].numpy(), labels[:300].numpy())
    theirs = exact.predict(features[300:, 0].numpy())
    ours = linear_scores(features[:300], labels[:300], features[300:]).argmax(1).numpy()
    truth = labels[300:].numpy()
    assert (theirs == truth).mean() > 0.7
    assert abs((ours == truth).mean() - (theirs == truth).mean()) < 0.02 and (ours == theirs).mean() > 0.97


def test_learning_rate_falls_where_the_paper_says():
    features, labels = toy(clips=40, streams=1)
    steps = []
    fit_linear(features, labels, 4, epochs=500, watch=lambda w, b: steps.append(w.clone()))
    change = [float((b - a).abs().max()) for a, b in zip(steps, steps[1:])]
    assert len(steps) == 500 and change[199] < 0.3 * change[198]  # epochs 0..199 with .1, from the 201st on .01


def test_scores_are_averaged_over_streams():
    features, weight, bias = torch.randn(7, 2, 3), torch.randn(2, 3, 4), torch.randn(2, 1, 4)
    slow_p, slow_l = torch.zeros(7, 4), torch.zeros(7, 4)
    for n in range(7):
        for s in range(2):
            logits = features[n, s] @ weight[s] + bias[s, 0]
            slow_l[n] += logits / 2
            slow_p[n] += logits.exp() / logits.exp().sum() / 2
    assert torch.allclose(stream_scores(features, weight, bias), slow_p, atol=1e-6)
    assert torch.allclose(stream_scores(features, weight, bias, "logits"), slow_l, atol=1e-5)
    with pytest.raises(ValueError, match="probabilities, logits"):
        stream_scores(features, weight, bias, "votes")


def test_standardised_uses_training_statistics_only():
    train, test = torch.randn(50, 2, 3) * torch.tensor([1.0, 5, 20]) + 3, torch.randn(9, 2, 3) + 100
    for how in ("stream", "number"):
        a, b = standardised(train, test, how)
        assert a.mean(0).abs().max() < 1e-5
        assert torch.allclose(b, standardised(train, torch.cat([test, test * 9]), how)[1][:9])
    a, _ = standardised(train, test, "stream")
    assert torch.allclose(a.square().mean((0, 2)), torch.ones(2), atol=1e-5)
    ratio = (train - train.mean(0)) / a
    assert torch.allclose(ratio[0, 0], ratio[0, 0, :1].expand(3), rtol=1e-3)  # one number a stream
    constant = torch.ones(5, 1, 2)
    assert torch.isfinite(standardised(constant, constant)[0]).all()
    assert standardised(train, test, None)[0] is train
    with pytest.raises(ValueError, match="stream, number"):
        standardised(train, test, "whiten")


def test_tiny_features_are_no_obstacle():
    features, labels = toy(clips=120)
    usual, small = (linear_scores(f[:80], labels[:80], f[80:], epochs=100) for f in (features, features * 1e-7))
    assert (usual.argmax(1) == small.argmax(1)).float().mean() > 0.97


def test_watching_the_test_labels_changes_nothing():
    features, labels = toy(clips=100)
    alone = linear_scores(features[:60], labels[:60], features[60:], epochs=20)
    watched, right = linear_scores(features[:60], labels[:60], features[60:], epochs=20, test_labels=labels[60:])
    assert torch.equal(alone, watched) and right.shape == (20, 40)
    assert torch.equal(right[-1], watched.argmax(1) == labels[60:])


def test_nearest_against_sklearn_and_a_slow_loop():
    from sklearn.neighbors import KNeighborsClassifier

    bank, labels = toy(clips=80, noise=3)
    query, _ = toy(clips=30, noise=3, seed=5)
    slow = []
    for q in query:
        sums = [sum(float(q[s] @ b[s]) / float(q[s].norm() * b[s].norm()) for s in range(3)) for b in bank]
        slow.append(int(np.argmax(sums)))
    assert nearest_rows(bank, query, chunk=7).tolist() == slow
    unit = [nn.functional.normalize(x, dim=-1).flatten(1).numpy() for x in (bank, query)]
    theirs = KNeighborsClassifier(1, metric="cosine").fit(unit[0], labels.numpy()).predict(unit[1])
    assert nearest_labels(bank, labels, query).tolist() == theirs.tolist()
    assert nearest_rows(bank * torch.tensor([100.0, 1, 0.01])[:, None], query).tolist() == slow


# --- results --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("right, clips", [(390, 464), (0, 12), (12, 12), (1, 3)])
def test_wilson_against_the_formula(right, clips):
    z, p = 1.959963984540054, right / clips
    middle, reach = (p + z * z / 2 / clips), z * (p * (1 - p) / clips + z * z / 4 / clips**2) ** 0.5
    expected = [100 * (middle + sign * reach) / (1 + z * z / clips) for sign in (-1, 1)]
    assert np.allclose(wilson(right, clips), expected, atol=0.006)


def test_accuracies_last_best_and_leak_free():
    right = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 0, 0]], dtype=torch.bool)
    row = accuracies(right, torch.tensor([1, 0, 0, 0], dtype=torch.bool))
    assert row["official"] == 50 and row["best_on_test"] == 100 and row["leak_free"] == 33.33
    assert row["interval"] == wilson(2, 4) and row["leak_free_interval"] == wilson(1, 3)
    assert set(accuracies(right[-1:], torch.zeros(4, dtype=torch.bool))) == {"official", "interval"}


def test_planted_twins_are_left_out_of_leak_free(tiny):
    "Rows 40 and 41 (camera 2) are given the content of rows 0 and 5 (camera 1)."
    data = made([i % 3 for i in range(60)], [1 + i // 36 for i in range(60)], copies=[(0, 39), (5, 41)])
    result = nearest(tiny.method, *data.split("xview"))
    rows = torch.arange(24)
    twins = (rows == 3) | (rows == 5)  # test rows begin at 36
    assert torch.equal(result.twin, twins) and result.clips == {"train": 36, "test": 24, "leaked": 2}
    right = result.predicted == result.truth
    assert right[twins].all() and result.leak_free == percent(right[~twins]) and result.official == percent(right)
    for floor in (result.raw_coordinates, result.random_encoder):
        assert "leak_free" in floor and floor["leak_free"] <= floor["official"]
    assert result.raw_coordinates["official"] > 90


def test_result_prints_serialises_and_reads_like_a_dictionary(tiny):
    result = linear(tiny.method, *tiny.pair, epochs=30, protocol="xview")
    lines = str(result).splitlines()
    assert "Tiny" in lines[0] and "xview" in lines[0] and "raw coordinates" in lines[3] and "random encoder" in lines[4]
    assert len({len(line) for line in lines[1:5]}) == 1  # aligned
    assert "leak-free" not in str(result) and "best on test*" in lines[1] and "<table>" in result._repr_html_()
    known = json.loads(json.dumps(result.to_dict()))
    for key in ("method", "data", "fingerprint", "protocol", "seed", "epochs", "seconds", "device", "version", "official", "best_on_test",
                "interval", "raw_coordinates", "random_encoder"):
        assert key in known, key
    assert {"official", "best_on_test", "interval"} <= set(known["raw_coordinates"]) & set(known["random_encoder"])
    assert dict(result)["official"] == result["official"] == known["official"]
    assert result.curve.shape == (30,) and result.best_on_test == round(float(result.curve.max()), 2)
    assert result.fingerprint == tiny.data.fingerprint
    table = confusion(result, 3)
    assert table.sum() == 24 and table.diagonal().sum() == (result.predicted == result.truth).sum()
    assert known["per_class"]["class 1"] == percent((result.predicted == 1)[result.truth == 1])


def test_predictions_are_written_in_order_with_names(tiny):
    result = linear(tiny.method, *tiny.pair, epochs=5, protocol="xview")
    known = json.loads(json.dumps(result.to_dict()))
    found = known["predictions"]
    assert set(found) == {"clips", "truth", "predicted", "leaked"} and {len(v) for v in found.values()} == {24}
    assert found["clips"] == [f"clip{i}" for i in range(36, 60)] and found["truth"] == labels_of(tiny.pair[1]).tolist()
    assert known["official"] == percent(torch.tensor(found["truth"]) == torch.tensor(found["predicted"]))
    assert found == predictions_of(result) == predictions_of(known)
    assert torch.equal(confusion(known, 3), confusion(result, 3))
    whole = evaluate(tiny.method, tiny.data, "folds:subject/4", "nearest").to_dict()
    names = [name for _, _, test in tiny.data.splits("folds:subject/4") for name in test.table["name"]]
    assert whole["predictions"]["clips"] == names and all("predictions" not in part for part in whole["parts"])


def test_leaked_clips_are_marked_in_the_predictions(tiny):
    data = made([i % 3 for i in range(60)], [1 + i // 36 for i in range(60)], copies=[(0, 39), (5, 41)])
    found = predictions_of(nearest(tiny.method, *data.split("xview")))
    assert [name for name, twin in zip(found["clips"], found["leaked"]) if twin] == ["clip39", "clip41"]


@pytest.mark.parametrize("name", ("fingerprint", "protocol", "data", "method", "version", "seed", "epochs", "device", "settings", "raw_coordinates"))
def test_a_result_that_says_too_little_cannot_be_made_or_written(tiny, name):
    result = nearest(tiny.method, *tiny.pair)
    values = {k: getattr(result, k) for k in vars(result)}
    for empty in (None, ""):
        with pytest.raises(ValueError, match=f"no {name}$"):
            Result(**values | {name: empty})
    with pytest.raises(ValueError, match=f"no {name}$"):
        Result(**{k: v for k, v in values.items() if k != name})
    setattr(result, name, None)
    with pytest.raises(ValueError, match=f"no {name}$"):
        result.to_dict()


def test_everything_that_is_missing_is_named_at_once():
    with pytest.raises(ValueError, match="no data, protocol$"):
        check_named(dict.fromkeys(NAMED, 0) | {"data": "", "protocol": None})  # a seed of 0 is a seed


def test_a_split_that_nobody_named_is_named_by_its_clips(tiny):
    train, test = tiny.pair
    first, again, other = nearest(tiny.method, train, test), nearest(tiny.method, train, test), nearest(tiny.method, train, test.select(list(range(20))))
    assert first.protocol == again.protocol != other.protocol and first.protocol.startswith("split ")


def test_confusion_difference_against_a_slow_loop_and_refusals(tiny):
    a, b = linear(tiny.method, *tiny.pair, epochs=2), nearest(tiny.method, *tiny.pair)
    b.predicted[:5] = (b.predicted[:5] + 1) % 3
    slow = torch.zeros(3, 3, dtype=torch.long)
    for truth, first, second in zip(a.truth, a.predicted, b.predicted):
        slow[truth, first] += 1
        slow[truth, second] -= 1
    assert torch.equal(confusion_difference(a, b.to_dict(), 3), slow) and slow.any()
    with pytest.raises(ValueError, match="not of the same test clips"):
        confusion_difference(a, nearest(tiny.method, tiny.pair[0], tiny.pair[1].select(list(range(20)))), 3)
    old = {k: v for k, v in a.to_dict().items() if k != "predictions"}
    with pytest.raises(ValueError, match="^swapclr, seed 3 has no predictions: measure it again$"):
        confusion(old | {"row": "swapclr, seed 3"}, 3)
    with pytest.raises(ValueError, match="labels up to 2"):
        confusion(a, 2)


# --- evaluation -----------------------------------------------------------------------------------------------------

def test_embed_is_frozen_in_order_and_whole(tiny):
    tiny.method.train()
    features = embed(tiny.method, tiny.data, batch_size=7)
    assert tiny.method.training and not features.requires_grad and features.shape == (60, 2, 12)
    from skelbench.streams import fixed_length
    with torch.no_grad():
        assert torch.allclose(features, tiny.method.embed(fixed_length(tiny.data, 50)), atol=1e-6)
    assert embed(tiny.method, tiny.data, representation="mean").shape == (60, 1, 12)
    run = SimpleNamespace(model=tiny.method, recipe=Recipe(frames=9, seed=4, epochs=7), info={"protocol": "xview", "method": "tiny"})
    with torch.no_grad():
        assert torch.allclose(embed(run, tiny.data), tiny.method.embed(fixed_length(tiny.data, 9)), atol=1e-6)
    result = nearest(run, *tiny.pair)
    assert (result.seed, result.epochs, result.protocol, result.method) == (4, 7, "xview", "tiny") and result.settings["frames"] == 9


def test_raw_coordinates_do_not_know_where_the_camera_stood(tiny):
    from skelbench.geometry import rotation_about

    plain, joints = raw_coordinates(tiny.data, frames=20), np.asarray(tiny.data.joints)
    turned = joints @ rotation_about("y", torch.tensor(1.0)).numpy().T + np.float32([1, 2, 3])
    moved = SkeletonSet(turned.astype("f4"), tiny.data.valid, tiny.data.table, tiny.data.skeleton, tiny.data.classes)
    assert plain.shape == (60, 1, 20 * 17 * 3) and plain.abs().max() <= 1 + 1e-6
    assert torch.allclose(plain, raw_coordinates(moved, frames=20), atol=1e-3)
    assert not torch.allclose(plain, raw_coordinates(tiny.data.select(list(range(59, -1, -1))), frames=20), atol=0.1)


def test_random_encoder_is_fresh_repeatable_and_leaves_the_generator_alone(tiny):
    state = torch.get_rng_state()
    first, second, other = (random_encoder(tiny.method, tiny.pair[0], seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.layer.weight, second.layer.weight) and not torch.equal(first.layer.weight, other.layer.weight)
    assert not torch.equal(first.layer.weight, tiny.method.layer.weight)
    assert first.prepared == 36 and first.arguments == tiny.method.arguments and not first.training


def test_every_stream_alone_beside_the_fusion(tiny):
    result = linear(tiny.method, *tiny.pair, epochs=30, fuse=(3, 1), protocol="xview")
    assert [row["weight"] for row in result.streams] == [0.75, 0.25] and result.settings["fuse"] == [3.0, 1.0]
    alone = linear(tiny.method, *tiny.pair, epochs=30, representation="mean", protocol="xview")  # the first stream only
    assert alone.streams is None and "streams" not in alone.to_dict() and alone.official == result.streams[0]["official"]
    assert len(nearest(tiny.method, *tiny.pair).streams) == 2
    whole = evaluate(tiny.method, tiny.data, "folds:subject/4", "linear", epochs=5)
    assert whole.streams[1]["official"] == round(np.mean([part["streams"][1]["official"] for part in whole.parts]), 2)
    for weights, sentence in (((1, 1, 1), "3 fusion weights for 2 streams"), ((1,), "1 fusion weights for 2 streams"), ((-1, 1), "0 or above"),
                              ("both", "equal, learned or one weight a stream")):
        with pytest.raises(ValueError, match=sentence):
            linear(tiny.method, *tiny.pair, epochs=2, fuse=weights)
    with pytest.raises(ValueError, match="3 fusion weights for 1 stream:"):
        linear(tiny.method, *tiny.pair, epochs=2, fuse=(1, 1, 1), representation="mean")


def test_learned_fusion_does_not_see_the_test_clips(tiny, monkeypatch):
    from skelbench import probes

    seen, real = [], probes.best_weights
    monkeypatch.setattr(probes, "best_weights", lambda scores, labels, combine: (seen.append((scores, labels)), real(scores, labels, combine))[1])
    first = linear(tiny.method, *tiny.pair, epochs=10, fuse="learned")
    again = linear(tiny.method, tiny.pair[0], tiny.pair[1].select(list(range(20))), epochs=10, fuse="learned")
    assert [row["weight"] for row in first.streams] == [row["weight"] for row in again.streams]
    assert all(torch.equal(labels, labels_of(tiny.pair[0])) for _, labels in seen)


def test_schedules_are_reached_and_recorded(tiny):
    result = linear(tiny.method, *tiny.pair, schedule="crrl", epochs=3)
    assert {k: result.settings[k] for k in ("schedule", "epochs", "learning_rate", "batch_size")} == {
        "schedule": "crrl", "epochs": 3, "learning_rate": 0.1, "batch_size": 16}
    default = linear(tiny.method, *tiny.pair)
    assert {k: default.settings[k] for k in ("schedule", "epochs", "learning_rate", "batch_size")} == {
        "schedule": "swapclr", "epochs": 500, "learning_rate": 0.1, "batch_size": None}
    convex = linear(tiny.method, *tiny.pair, schedule="convex")
    assert convex.curve.shape == (1,) and convex.best_on_test is None and convex.settings["l2"] == "1 / training clips"
    assert nearest(tiny.method, *tiny.pair, k=5).settings["k"] == 5
    with pytest.raises(ValueError, match="swapclr, aimclr, crrl, convex"):
        linear(tiny.method, *tiny.pair, schedule="adamw")


def test_one_clip_a_class(tiny):
    train, test = tiny.pair
    one = train.select([0, 1, 2])  # labels 0, 1, 2
    assert nearest(tiny.method, one, test).clips["train"] == 3
    for schedule in ("swapclr", "crrl", "convex"):
        assert linear(tiny.method, one, test, schedule=schedule, epochs=200).official > 33
    with pytest.raises(ValueError, match="two training clips of every class, but there is one of class 0, class 1, class 2"):
        linear(tiny.method, one, test, fuse="learned")
    with pytest.raises(ValueError, match="k must be from 1 to the 3 training clips in the bank, got 5"):
        nearest(tiny.method, one, test, k=5)
    copies = made([0, 1, 2, 0, 1, 2] + [i % 3 for i in range(9)], [1] * 6 + [2] * 9, copies=[(0, 3)])
    with pytest.raises(ValueError, match="but there is one of class 0$"):  # two clips, one content
        linear(tiny.method, *copies.split("xview"), fuse="learned")


def test_floors_are_measured_once_but_not_mixed_up(tiny, monkeypatch):
    monkeypatch.setattr(evaluation, "FLOORS", {})
    calls = []
    real = evaluation.raw_coordinates
    monkeypatch.setattr(evaluation, "raw_coordinates", lambda *a, **k: (calls.append(1), real(*a, **k))[1])
    first = nearest(tiny.method, *tiny.pair)
    again = nearest(tiny.method, *tiny.pair)
    assert len(calls) == 2 and first.raw_coordinates == again.raw_coordinates  # train and test, once
    nearest(tiny.method, tiny.pair[0], tiny.pair[1].select(list(range(12))))
    nearest(tiny.method, *tiny.pair, frames=10)
    linear(tiny.method, *tiny.pair, epochs=3)
    linear(tiny.method, *tiny.pair, epochs=4)
    assert len(calls) == 10
    before = len(evaluation.FLOORS)
    nearest(Tiny(tiny.data.skeleton, width=5), *tiny.pair)  # another architecture: another random encoder
    assert len(evaluation.FLOORS) == before + 1


def test_evaluate_averages_folds(tiny):
    whole = evaluate(tiny.method, tiny.data, "folds:subject/4", "nearest")
    parts = [nearest(tiny.method, train, test) for _, train, test in tiny.data.splits("folds:subject/4")]
    assert whole.official == round(np.mean([p.official for p in parts]), 2) and len(whole.parts) == 4
    assert whole.raw_coordinates["official"] == round(np.mean([p.raw_coordinates["official"] for p in parts]), 2)
    right = sum(int((p.predicted == p.truth).sum()) for p in parts)
    assert whole.interval == wilson(right, 60) and whole.clips["test"] == 60 and whole.fingerprint == tiny.data.fingerprint
    assert isinstance(average(parts[:1]), Result)
    taught = [replace(part, settings={**part.settings, "epochs": 3, "from_scratch": {"official": 10. * k, "interval": [0, 9], "learning_rate": .1}})
              for k, part in enumerate(parts)]
    said = average(taught).settings  # numbers of a network from scratch are of all splits, too
    assert said == {**parts[0].settings, "epochs": 3, "from_scratch": {"official": round(10 * float(np.mean(range(len(parts)))), 2), "learning_rate": .1}}
    with pytest.raises(ValueError, match="linear, nearest"):
        evaluate(tiny.method, tiny.data, "xview", "svm")


def test_refusals(tiny):
    train, test = tiny.pair
    with pytest.raises(ValueError, match="kinect20"):
        nearest(Tiny(get_skeleton("kinect20")), train, test)
    with pytest.raises(ValueError, match="no test clip"):
        nearest(tiny.method, train, test.select([]))
    with pytest.raises(ValueError, match="class 2"):
        linear(tiny.method, train.select(np.flatnonzero(train.table["label"] != 2)), test)
    with pytest.raises(ValueError, match="no clip to embed"):
        embed(tiny.method, test.select([]))
    with pytest.raises(ValueError, match="run or a method"):
        nearest("a run", train, test)
    with torch.no_grad():
        tiny.method.layer.bias[0] = float("nan")
    with pytest.raises(ValueError, match="not finite.*clip0"):
        embed(tiny.method, train)


def test_nw_ucla_leak_and_floor(nw_ucla):
    "95 of 464 test clips have a twin in training; 1-NN over raw coordinates is near FACTS' 78 / 73."
    data = SkeletonSet.open(nw_ucla)
    result = nearest(Tiny(data.skeleton), *data.split("xview"))
    assert result.clips == {"train": 1020, "test": 464, "leaked": 95}
    assert 74 < result.raw_coordinates["official"] < 84 and 68 < result.raw_coordinates["leak_free"] < 79
    assert labels_of(data).max() == 9 and result.fingerprint == data.fingerprint
