"The map's Python half: what is sent, what comes back, and what cannot be shown."
import json
import re

import numpy as np
import pytest

from skelbench.atlas import Atlas, coloured, motion_of, motions_of, placed, rate_of
from skelbench.synthetic import make_synthetic

TRAP = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def data():
    return make_synthetic(clips=48, seed=0).select(range(24))


def test_places_are_kept_in_16_bits():
    positions = np.random.default_rng(0).normal(size=(500, 3))
    points, size, fit = placed(positions)
    back = np.frombuffer(points, "<i2").reshape(-1, 3) / 32767 * size
    inside = ((positions > np.quantile(positions, .003, axis=0)) & (positions < np.quantile(positions, .997, axis=0))).all(1)
    assert inside.sum() > 480
    first = inside.argmax()
    assert np.allclose((back - back[first])[inside], (positions - positions[first])[inside], atol=1e-3) and fit == [1, 1]
    positions[7] = 1e6  # one far away does not make the rest a dot
    assert np.abs(np.frombuffer(placed(positions)[0], "<i2").reshape(-1, 3)[:7]).max() > 3000


@pytest.mark.parametrize("positions", [np.zeros((3, 4)), np.zeros(3), np.full((3, 2), np.nan), np.array([[0, np.inf]])])
def test_places_that_are_none(positions):
    with pytest.raises(ValueError):
        Atlas(positions)


@pytest.mark.parametrize("clips", [0, 1, 2])
def test_few_points(clips):
    atlas = Atlas(np.zeros((clips, 2)), np.zeros(clips, int), ["only"])
    assert atlas.spec["count"] == clips and len(atlas.points) == 6 * clips


def test_scale_with_gaps():
    look, codes = coloured(np.array([0, .5, np.nan, 1]), title="distance")
    assert np.frombuffer(codes, "<u2").tolist() == [0, 16, 32, 31] and len(look["colours"]) == 32 and look["ramp"] == ["0", "1"]
    for values, names in (([0, 3], ["a"]), ([-1, 0], ["a"])):
        with pytest.raises(ValueError):
            coloured(np.array(values), names)


def test_what_changes_is_told_as_a_whole():
    atlas = Atlas(np.random.default_rng(0).normal(size=(9, 2)), np.arange(9) % 3, ["a", "b", "c"])
    versions = [atlas.spec["version"]]
    atlas.chosen, points = [3, 1, 3], atlas.points
    assert list(atlas.chosen) == [1, 3]
    atlas.show(groups=np.arange(9) % 2, names=["x", "y"], flags=np.arange(9) > 5, flag="late")
    versions.append(atlas.spec["version"])
    assert atlas.points == points and atlas.spec["flag"] == "late" and list(atlas.chosen) == [1, 3]
    atlas.show(positions=np.zeros((4, 3)), groups=None, flags=None)  # other points: what was chosen of the old ones is not kept
    assert not len(atlas.chosen) and atlas.spec["deep"] and atlas.spec["version"] > versions[1] > versions[0]
    for wrong in ({"colour": 1}, {"groups": [0]}, {"flags": [True]}):
        with pytest.raises(ValueError):
            atlas.show(**wrong)


def test_what_the_browser_says(data):
    heard, sent = [], []
    atlas = Atlas(np.zeros((24, 2)), thumbnail=lambda i: ("text only", None, None) if i else (TRAP, motion_of(data, 0, 8), data.skeleton))
    atlas.send = lambda told, buffers=None: sent.append((told, buffers))
    for listen in (atlas.on_pick, atlas.on_point, atlas.on_choose):
        listen(heard.append)
    atlas._heed(None, {"need": 0}, [])
    atlas._heed(None, {"need": 3}, [])
    atlas._heed(None, {"need": -1}, [])
    atlas._heed(None, {"picked": 4}, [])
    atlas._heed(None, {"chosen": 2}, [np.array([9, 2], "<u4").tobytes()])
    assert [np.asarray(h).tolist() for h in heard] == [0, 3, -1, 4, [2, 9]]
    assert sent[0][0]["text"] == TRAP and sent[0][0]["spec"]["frames"] == 8 and sent[1][0]["spec"] is None and len(sent) == 2
    atlas.mark([4, 5])
    assert np.frombuffer(atlas._marked, "<u4").tolist() == [4, 5]
    for wrong in (lambda: atlas.mark([24]), lambda: setattr(atlas, "chosen", [-1])):
        with pytest.raises(ValueError):
            wrong()


def test_state_is_light():
    atlas = Atlas(np.random.default_rng(0).normal(size=(60_000, 3)), np.arange(60_000) % 60, [f"class {k}" for k in range(60)])
    atlas.chosen = np.arange(60_000)
    assert sum(len(getattr(atlas, name)) for name in ("points", "codes", "flags", "_chosen")) + len(json.dumps(atlas.spec)) < 2e6


def test_page(data):
    atlas = Atlas(np.random.default_rng(0).normal(size=(24, 2)), data.table["label"].to_numpy(), data.classes)
    motions = [motion_of(data, i, 8) if i % 2 else None for i in range(24)]
    page = atlas.to_html(motions, data.skeleton, [TRAP] * 24)
    assert TRAP not in page and not re.search(r"(src|href)\s*=\s*[\"']?http", page)
    assert len(page) > len(atlas.to_html(texts=["a"] * 24)) > 10_000
    for wrong in ({"motions": motions[:3], "skeleton": data.skeleton}, {"texts": ["a"]}):
        with pytest.raises(ValueError):
            atlas.to_html(**wrong)


def test_a_clip_as_it_is_played(data):
    table, whole = data.table, motion_of(data, 2)
    batch = data.clip(2)
    assert whole.shape == (int(batch.present.sum()), table["frames"].iloc[2], len(data.skeleton), 3)
    assert (np.isfinite(whole).all(-1) == batch.valid[0][batch.present[0]].numpy()).all()
    assert motion_of(data, 2, 5).shape[1] == 5 and motion_of(data, 2, 10_000).shape == whole.shape
    few, slow = motions_of(data, [0, 1])
    assert slow == rate_of(data) and few[0].shape[1] == table["frames"].iloc[0]
    many, thin = motions_of(data, list(range(24)) * 8)
    assert thin < slow and len(many) == 192
