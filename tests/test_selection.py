"Settings are chosen on the training part alone."
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from skelbench import selection
from skelbench.clips import SkeletonSet
from skelbench.recipe import Recipe
from skelbench.selection import checked_candidates, dealt, select, validation_parts


class Quick(nn.Module):
    "Features that are the mean pose, with noise of a wished size; training does nothing of note."
    def __init__(self, skeleton, noise=0.0, broken=False):
        super().__init__()
        self.skeleton, self.arguments, self.noise, self.broken = skeleton, {"noise": noise, "broken": broken}, noise, broken
        self.weight = nn.Parameter(torch.zeros(1))

    def prepare(self, train): self.seen = len(train)
    def recipe(self, **changes): return Recipe(**{"epochs": 1, "batch_size": 32, "frames": 8, "probes": 0, **changes})
    def loss(self, batch):
        loss = self.weight.square().sum() * (float("nan") if self.broken else 1)
        return loss, {"size": loss}

    def embed(self, batch):
        flat = batch.joints.mean((1, 2)).flatten(1)
        noise = torch.sin(flat * 1e4) * self.noise  # depends on the clip alone
        return (flat + noise)[:, None]

    def optimizers(self, recipe): return {"encoder": torch.optim.SGD(self.parameters(), .1)}
    def after_step(self): pass


def build(method):
    return lambda skeleton, preset, **options: Quick(skeleton, **options)


CANDIDATES = [{"row": "noisy", "options": {"noise": 50.0}}, {"row": "clear"}, {"row": "a little", "options": {"noise": .3}}]


@pytest.fixture(scope="module")
def sides(synthetic):
    return synthetic.split("xview")


def test_the_clear_one_wins_and_the_table_says_why(sides):
    found = select(build, sides[0], CANDIDATES, seeds=(0,), measures=("nearest", "linear"), progress=False)
    assert found.winner["row"] == "clear"
    assert len(found.trials) == 3 * 2 and found.clips == len(sides[0])
    table = found.table.set_index("row")
    assert table["score"]["clear"] > table["score"]["noisy"] + 10 and (table["trials"] == 2).all()
    mine = found.trials[found.trials["row"] == "clear"]
    assert table["score"]["clear"] == pytest.approx((mine["linear"].mean() + mine["nearest"].mean()) / 2, abs=.01)
    assert "<-" in repr(found).splitlines()[-2] and "clear" in repr(found).splitlines()[-2]


def test_the_test_part_cannot_be_looked_at(synthetic):
    table = synthetic.table.copy()
    of_test = (table["camera"] == 3).to_numpy()
    table.loc[of_test, "label"] = np.random.default_rng(0).permutation(table["label"][of_test].to_numpy())
    joints = np.array(synthetic.joints)
    for start, frames in table.loc[of_test, ["start", "frames"]].to_numpy():
        joints[start:start + frames] = np.random.default_rng(1).normal(size=joints[start:start + frames].shape)
    other = replace(synthetic, table=table, joints=joints)
    assert not np.array_equal(other.split("xview")[1].table["label"], synthetic.split("xview")[1].table["label"])
    a, b = (select(build, whole.split("xview")[0], CANDIDATES[:2], seeds=(0,), measures=("nearest",), progress=False) for whole in (synthetic, other))
    assert a.winner == b.winner and a.table.drop(columns="seconds").equals(b.table.drop(columns="seconds"))
    changed = replace(synthetic, table=table.assign(label=np.roll(table["label"], 1)))
    c = select(build, changed.split("xview")[0], CANDIDATES[:2], seeds=(0,), measures=("nearest",), progress=False)
    assert not a.table["score"].equals(c.table["score"]), "while the training part's labels do count"


def test_every_training_clip_is_validated_once_by_camera_subject_or_label(sides, synthetic):
    train = sides[0]
    assert [name for name, _, _ in validation_parts(train)] == ["folds:camera/2 fold 1", "folds:camera/2 fold 2"]
    one = train.select((train.table["camera"] == 1).to_numpy())
    alone = SkeletonSet.from_clips([dict(joints=np.zeros((3, 1, 17, 3), np.float32) + k, name=f"{k}", label=k % 2, subject=7, camera=0, fps=30)
                                    for k in range(16)], train.skeleton, ["a", "b"], "one person")
    for data, by, first in ((train, "label", "label fold 1"), (one, None, "folds:subject/3 fold 1"), (alone, None, "label fold 1")):
        parts = validation_parts(data, by)
        assert parts[0][0] == first
        assert sorted(n for _, _, ask in parts for n in ask.table["name"]) == sorted(data.table["name"])
        for _, learn, ask in parts:
            assert not set(learn.table["name"]) & set(ask.table["name"]) and len(learn) + len(ask) == len(data)
    for _, learn, ask in dealt(train, 3):
        assert not set(learn.table["scene"]) & set(ask.table["scene"]), "cameras of one scene stay together"


def test_what_was_tried_is_not_tried_again_and_a_new_candidate_is(sides, tmp_path, monkeypatch):
    first = select(build, sides[0], CANDIDATES[:2], seeds=(0,), to=tmp_path, measures=("nearest",), progress=False)
    files = sorted(tmp_path.glob("*.json"))
    assert len(files) == 4 and json.loads(files[0].read_text())["candidate"]["method"] == "swapclr"
    trained = []
    real = selection.fit
    monkeypatch.setattr(selection, "fit", lambda model, *a, **k: trained.append(model.noise) or real(model, *a, **k))
    again = select(build, sides[0], CANDIDATES[:2], seeds=(0,), to=tmp_path, measures=("nearest",), progress=False)
    assert not trained and again.table.equals(first.table)
    select(build, sides[0], CANDIDATES, seeds=(0,), to=tmp_path, measures=("nearest",), progress=False)
    assert trained == [.3, .3]
    for file in files[:1]: file.unlink()  # stopped between training and measuring
    assert select(build, sides[0], CANDIDATES[:2], seeds=(0,), to=tmp_path, measures=("nearest",), progress=False).table["score"].equals(first.table["score"])


def test_a_candidate_that_fails_does_not_stop_the_others(sides):
    bad = {"row": "broken", "options": {"broken": True}}
    found = select(build, sides[0], [bad, CANDIDATES[1]], seeds=(0,), measures=("nearest",), progress=False)
    assert found.winner["row"] == "clear" and "epoch 1" in found.table["failed"][0] and np.isnan(found.table["score"][0])
    with pytest.raises(ValueError, match="every candidate failed, the first with: .*epoch 1"):
        select(build, sides[0], [bad], seeds=(0,), measures=("nearest",), progress=False)


def test_bad_wishes_are_one_sentence(sides):
    train = sides[0]
    for keywords, words in (({"candidates": []}, "no candidate"), ({"candidates": [{}, {}]}, "both called 'as it is'"),
                            ({"candidates": [{"option": {}}]}, "unknown fields \\['option'\\]"), ({"measures": ("luck",)}, "measures are some of"),
                            ({"seeds": ()}, "at least one seed"), ({"by": "weather"}, "no validation by 'weather'"), ({"folds": 1}, "at least 2")):
        with pytest.raises(ValueError, match=words):
            select(build, train, **{"candidates": CANDIDATES, "progress": False, **keywords})
    with pytest.raises(ValueError, match="cannot be divided for validation: by camera: .*by subject: .*by label: "):
        validation_parts(train.select([0, 1, 17, 34]))
    assert checked_candidates([{"options": {"noise": .1}, "recipe": {"epochs": 2}}], "crrl", "small")[0]["row"] == "noise=0.1, epochs=2"
