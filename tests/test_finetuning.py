"Learning from labels: the run stays as it was, what was learned from is not asked, draws are nested, numbers are means over draws."
import copy
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from test_methods import METHODS, build, refused

from skelbench import evaluation, finetuning
from skelbench.evaluation import linear
from skelbench.finetuning import few_linear, finetune, learn, placed, recipe_of, semi, spread, stratified, taken_singly, unturned
from skelbench.recipe import Recipe
from skelbench.streams import fixed_length

QUICK = {"epochs": 2, "batch_size": 16}


def copied(data, rows, prefix):
    "The same clips under other names."
    part = data.select(rows)
    return replace(part, table=part.table.assign(name=prefix + part.table["name"]))


def both(first, second):
    "Two parts of one set as one."
    return replace(first, table=pd.concat([first.table, second.table], ignore_index=True))


# --- which clips have labels

def test_drawn_by_class_as_the_set_does_it_and_nested(sides):
    labels = sides[0].table["label"].to_numpy()
    for seed in range(3):
        last = set()
        for share in (0.01, 0.3, 0.5, 1.0):
            rows = stratified(labels, share, seed)
            assert sides[0].sample(share, seed).table["name"].tolist() == sides[0].table["name"].iloc[rows].tolist()
            counts, whole = (np.bincount(labels[r], minlength=16) for r in (rows, slice(None)))
            assert (counts == np.maximum(1, np.round(share * whole))).all() and last <= set(rows.tolist())
            last = set(rows.tolist())
    assert set(stratified(labels, 0.3, 0).tolist()) != set(stratified(labels, 0.3, 1).tolist())
    assert taken_singly([0] * 100 + [1] * 20, 0.02) == [1] and taken_singly([0, 1], 1) == []


def test_a_share_that_cannot_be_meant(sides):
    for share in (0, -0.1, 1.01):
        assert "share must be above 0" in refused(lambda share=share: stratified([0, 1], share, 0))
    assert "no clip" in refused(lambda: stratified([], 0.5, 0))


@pytest.mark.parametrize("how", [finetune, semi])
def test_measuring_on_training_clips_is_refused(run, sides, how):
    assert "trained on" in refused(lambda: how(run, sides[1], sides[0]))


# --- the whole network learns

@pytest.mark.parametrize("name", METHODS)
def test_placed_once_is_placed_at_every_call(name, sides):
    method = build(name).eval()
    batch = fixed_length(sides[0].select(range(6)), 12)
    expected = method.embed(batch)
    again = unturned(copy.deepcopy(method))
    torch.testing.assert_close(again.embed(placed(method, batch)), expected, atol=2e-4, rtol=1e-3)
    assert method.arguments["alignment"] == "body" and again.arguments["alignment"] is None


@pytest.mark.parametrize("name", METHODS)
def test_every_method_learns_with_its_encoder(name, sides):
    method = build(name)
    before, train = {k: v.clone() for k, v in method.named_parameters()}, sides[0].select(range(16))
    recipe = recipe_of(method, 1, 1e-3, 16, 0.0, 0, 12)
    right, predicted = learn(method, train, sides[1], recipe, [])
    moved = [k for k, v in method.named_parameters() if not torch.equal(v, before[k])]
    assert right.shape == (1, len(sides[1])) and predicted.shape == right.shape[1:] and not method.training
    assert any("encoder" in k for k in moved) and not any("key_encoder" in k or "teacher" in k for k in moved)


def test_it_can_learn(sides):
    method = build("crrl", width=24, dropout=0.0)
    right, _ = learn(method, sides[0], sides[0], recipe_of(method, 25, 5e-3, 16, 0.0, 0, 12), [])
    assert right[-1].float().mean() > 0.9 > right[0].float().mean()


def test_the_run_stays_as_it_was_and_the_ceiling_stands_beside(run, sides, monkeypatch):
    monkeypatch.setattr(evaluation, "FLOORS", {})
    before, state = copy.deepcopy(run.model.state_dict()), torch.get_rng_state()
    run.model.train()
    result = finetune(run, *sides, **QUICK)
    assert run.model.training and torch.equal(state, torch.get_rng_state()) and run.model.arguments["alignment"] == "body"
    run.model.eval()
    assert all(torch.equal(v, before[k]) for k, v in run.model.state_dict().items())
    ceiling = finetune(run, *sides, scratch=True, **QUICK)
    assert result.evaluation == "finetune" and ceiling.evaluation == "supervised" and (result.epochs, ceiling.epochs) == (1, 2)
    assert result.settings["from_scratch"]["official"] == ceiling.official and "from_scratch" not in ceiling.settings
    assert result.settings["linear"]["official"] == linear(run, *sides).official
    assert result.settings["checked_unseen"] and result.settings["learning_rate"] == finetuning.RATE and len(result.curve) == 2
    assert result.raw_coordinates == ceiling.raw_coordinates and "official" in result.random_encoder
    saved = json.loads(json.dumps(result.to_dict()))
    assert saved["predictions"]["predicted"] == result.predicted.tolist() and saved["clips"]["labelled"] == len(sides[0])
    assert finetune(run, *sides, **QUICK).predicted.tolist() == result.predicted.tolist()  # the same seed, the same numbers


def test_a_share_of_the_labels(run, sides):
    result = finetune(run, *sides, share=0.5, scratch=True, seed=3, **QUICK)
    assert result.clips["labelled"] == len(stratified(sides[0].table["label"], 0.5, 3)) and result.settings["share"] == 0.5


def test_settings_that_cannot_be_meant(run, sides):
    train, test = sides
    assert "epochs" in refused(lambda: finetune(run, *sides, epochs=0)) and "learning_rate" in refused(lambda: finetune(run, *sides, learning_rate=0))
    assert "batch_size" in refused(lambda: finetune(run, *sides, batch_size=1))
    assert "unknown augmentation" in refused(lambda: finetune(run, *sides, augmentation=(("wobble", {}),)))
    assert "without any training clip" in refused(lambda: finetune(run, train.select(train.table["label"].to_numpy() > 0), test))
    assert "nothing to evaluate" in refused(lambda: finetune(run, train.select([]), test))
    assert "expected a trained run" in refused(lambda: finetune("runs", train, test))
    with pytest.raises(FloatingPointError, match="epoch"):
        finetune(run, *sides, scratch=True, learning_rate=1e30, **QUICK)


# --- few labels

def test_means_and_spread_over_draws():
    values = [{"official": 10.0, "leak_free": 1.0}, {"official": 20.0, "leak_free": 4.0}, {"official": 60.0, "leak_free": 1.0}]
    assert spread(values) == {"official": 30.0, "official_std": round(float(np.std([10, 20, 60], ddof=1)), 2), "leak_free": 2.0, "leak_free_std": 1.73}
    assert spread(values[:1])["official_std"] == 0.0


def test_few_labels_beside_floors(run, sides, monkeypatch):
    train, test = sides
    calls = []
    embed = evaluation.embed
    monkeypatch.setattr(evaluation, "embed", lambda *a, **k: calls.append(a) or embed(*a, **k))
    monkeypatch.setattr(evaluation, "FLOORS", {})
    result = semi(run, train, test, shares=(0.01, 0.5, 1.0), draws=2)
    assert len(calls) == 4  # of both parts, by the run and by the random encoder: once, however many draws
    assert [row["labelled"] for row in result["shares"]] == [16, len(stratified(train.table["label"], 0.5, 0)), len(train)]
    assert result["shares"][0]["one_all_the_same"] == list(train.classes) and not result["shares"][1]["one_all_the_same"]
    whole = linear(run, train, test)  # all labels: linear evaluation as it is
    row = result["shares"][2]
    assert (row["official"], row["official_std"]) == (whole.official, 0) and row["raw_coordinates"]["official"] == whole.raw_coordinates["official"]
    assert result["share"] == 1.0 and result["official"] == whole.official and result["predictions"]["predicted"] == whole.predicted.tolist()
    draws = few_linear(run, train, test, [stratified(train.table["label"], 0.5, s) for s in (0, 1)])
    for name, values in (("official", [d["method"]["official"] for d in draws]),):
        assert result["shares"][1][name] == round(np.mean(values), 2) and result["shares"][1][f"{name}_std"] == round(np.std(values, ddof=1), 2)
    json.dumps(result)


def test_leaked_clips_are_told_apart(run, sides):
    result = semi(run, sides[0], both(sides[1], copied(sides[0], range(8), "twin ")), shares=(0.5,), draws=1)
    assert result["clips"]["leaked"] == 8 and {"leak_free", "leak_free_std"} <= set(result) and "leak_free" in result["raw_coordinates"]


def test_few_labels_with_the_whole_network(run, sides):
    result = semi(run, *sides, shares=(0.1,), draws=1, how="finetune", epochs=1)
    one = finetune(run, *sides, share=0.1, epochs=4, seed=0)
    assert result["official"] == one.official and result["from_scratch"]["official"] == one.settings["from_scratch"]["official"]
    assert result["raw_coordinates"]["official"] == one.raw_coordinates["official"] and result["settings"]["how"] == "finetune"


def test_wishes_that_cannot_be_meant(run, sides):
    assert "above 0" in refused(lambda: semi(run, *sides, shares=(0.1, 0))) and "different" in refused(lambda: semi(run, *sides, shares=()))
    assert "draws" in refused(lambda: semi(run, *sides, draws=0)) and "linear, finetune" in refused(lambda: semi(run, *sides, how="guess"))
    assert "has no epochs" in refused(lambda: semi(run, *sides, epochs=3))


def test_recipe_is_the_runs():
    recipe = recipe_of(SimpleNamespace(recipe=Recipe(frames=17)), 9, 1e-3, 8, 0.0, 4, None)
    assert (recipe.frames, recipe.epochs, recipe.seed, recipe.schedule) == (17, 9, 4, "cosine")
