"The actionlet lens without a browser: its numbers, its picks, and a sentence for whatever cannot be shown."
import json

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from test_methods import build

from skelbench.actclr import ActCLR
from skelbench.actionlet_lens import ActionletLens, actionlets
from skelbench.clip_actionlet import inner_activation, layers_of, mats
from skelbench.clips import SkeletonSet
from skelbench.panel import Panel
from skelbench.skeleton import BODY17, NTU25
from skelbench.streams import fixed_length
from skelbench.synthetic import make_synthetic


@pytest.fixture(scope="module")
def data() -> SkeletonSet:
    return make_synthetic(clips=48, seed=0)


@pytest.fixture(scope="module")
def model(data):
    made = build("actclr")
    made.prepare(data)
    return made


@pytest.fixture
def lens(model, data):
    return actionlets(model, data, row=5)


def test_it_is_the_methods_own_actionlet(lens, model, data):
    batch = fixed_length(data.select([5]), model.recipe().frames)
    found, area = model.actionlet(batch)
    assert isinstance(lens, ActionletLens) and isinstance(lens, Panel) and lens.row == 5 and lens.threshold == model.threshold
    assert torch.allclose(lens.found, found[0][batch.present[0]], atol=1e-5) and lens.actionlet.dtype == bool
    assert np.array_equal(np.atleast_3d(lens.actionlet), np.atleast_3d(area[0][batch.present[0]].squeeze(0).numpy()))
    assert np.array_equal(lens.sheet.mask, lens.actionlet.T) and "% of what was observed" in lens.said


def test_scores_are_those_of_sklearn(lens):
    assert set(lens.scores) == {"this map", "speed", "distance from the anchor", "distance from its own mean pose"}
    truth, found, seen = lens.seen.truth.numpy(), lens.found.numpy(), lens.seen.seen.numpy()
    got = lens.scores["this map"]
    assert got["average_precision"] == pytest.approx(average_precision_score(truth[seen], found[seen]))
    area = lens.actionlet[None] & seen
    assert got["iou"] == pytest.approx((area & truth).sum() / (area | truth).sum())
    table = lens._table.content
    assert table["corner"] == "against the truth" and [row["name"] for row in table["rows"]] == [*lens.scores]
    assert f"{got['iou']:.2f}" == table["rows"][0]["texts"][0]
    assert lens.sheet._outline == np.packbits(truth[0].T).tobytes()


def test_sliders_rethreshold_and_work_nothing_out_anew(lens, monkeypatch):
    seen, maps = lens.sheet.mask.sum(), dict(lens.seen._raw)
    monkeypatch.setattr("skelbench.clip_actionlet.raw_map", lambda *a, **k: pytest.fail("worked out again"))
    lens.controls["threshold"].value = .2
    assert lens.threshold == .2 and lens.sheet.mask.sum() >= seen and lens.actionlet.sum() == lens.sheet.mask.sum()
    before = lens.found.clone()
    lens.controls["smoothing"].value = 4
    assert not torch.equal(before, lens.found) and lens.seen._raw.keys() == maps.keys()
    lens.threshold = 1.
    assert not lens.actionlet.any() and "move it down" in lens.said
    with pytest.raises(ValueError, match="from 0 to 1"):
        lens.threshold = 1.5


def test_layers_streams_and_sources(lens, model):
    controls, shown = lens.controls, []
    assert controls["layer"].max == layers_of(model) == 2 and not controls["layer"].disabled
    for layer in (1, 2):
        controls["layer"].value = layer
        shown.append(lens.found.clone())
    controls["stream"].value = "bone"
    shown.append(lens.found.clone())
    for source in ("relative", "features", "own_distance"):
        controls["source"].value = source
        shown.append(lens.found.clone())
        assert controls["layer"].disabled == (source == "own_distance")
    assert all(not torch.equal(a, b) for k, a in enumerate(shown) for b in shown[k + 1:])


def test_inner_activation_is_equation_3_to_5_in_a_slow_loop():
    g = torch.Generator().manual_seed(0)
    h, fixed, weight = (torch.randn(*shape, generator=g).abs() for shape in ((2, 1, 3, 4, 5), (1, 1, 3, 4, 5), (6, 3)))

    def above(x):
        return x.mean((1, 3, 4)) @ weight.T
    found = inner_activation(h, fixed, above, above)
    for n in range(2):
        x, alpha = h[n:n + 1].double(), []
        for d in range(3):
            slopes = []
            for t in range(4):
                for v in range(5):
                    up, down = x.clone(), x.clone()
                    up[0, 0, d, t, v] += 1e-4
                    down[0, 0, d, t, v] -= 1e-4
                    one, two = (-torch.cosine_similarity(z.mean((1, 3, 4)) @ weight.T.double(), fixed.double().mean((1, 3, 4)) @ weight.T.double()).item()
                                for z in (up, down))
                    slopes.append(max((one - two) / 2e-4, 0.))
            alpha.append(sum(slopes) / 20)
        expected = sum(alpha[d] * x[0, 0, d] for d in range(3)).clamp(min=0)
        assert torch.allclose(found[n, 0].double(), expected, atol=1e-4)


def test_mats_keeps_the_actionlet_and_the_random_state(lens):
    for name, value in (("transform", False), ("style", 0)):
        lens.controls[name].value = value
    made, clip, area = lens.made[0], lens.seen.placed[0, 0], torch.tensor(lens.actionlet)
    assert area.any() and torch.equal(made[area], clip[area])
    state = torch.random.get_rng_state()
    lens.controls["again"].click()
    assert torch.equal(state, torch.random.get_rng_state()) and not torch.equal(made.nan_to_num(), lens.made[0].nan_to_num())
    lens.controls["mix"].value, lens.controls["noise"].value = False, 0
    assert torch.equal(lens.made[0][lens.seen.seen[0]], clip[lens.seen.seen[0]])  # nothing is done: the clip
    lens.controls["transform"].value = True
    assert not torch.equal(lens.made[0].nan_to_num(), clip)
    with pytest.raises(ValueError, match="noise"):
        mats(lens.seen.joints, lens.seen.valid, torch.zeros_like(lens.seen.valid[0]), BODY17, noise=-1)


def test_player_and_sheet_are_one(lens):
    joints = len(BODY17)
    assert lens._link.source[0] is lens.player and lens._link.target[0] is lens.sheet
    lens.player._heed(None, {"picked": {"cell": 0, "person": 0, "joint": 7, "frame": 3}}, [])
    assert lens.sheet.chosen == [7] and lens.player._marks == [7]
    lens.player.playing = True
    lens.sheet._heed(None, {"picked": [4, 9]}, [])
    assert lens.sheet.chosen == [4] and lens.player._marks == [4] and not lens.player.playing and lens.sheet.frame == 9
    lens.sheet.chosen = [1, 2]
    assert lens.player._marks == [1, 2]
    assert lens.sheet.spec["rows"] == list(BODY17.joints) and len(lens.player.spec["cells"]) == 3
    lens.controls["anchor"].value = False
    assert len(lens.player.spec["cells"]) == 2 and len(lens.sheet.spec["rows"]) == joints


def test_another_clip(lens, data):
    first = lens.found
    lens.chooser.clip.value = 20
    assert lens.row == 20 and lens.found is not first and str(data.table["name"][20]) in lens.player.spec["cells"][0]["name"]
    lens.row = 2
    assert lens.chooser.clip.value == 2
    with pytest.raises(ValueError, match="clip 99 of 48"):
        lens.row = 99


OTHER = {"actclr": {"stage": "moco"}, "combined": {"streams": ("joint", "bone"), "encoder": "stgcn", "network": {"blocks": ((8, 2), (8, 2))}}}


@pytest.mark.parametrize("name", ["swapclr", "combined", "actclr", "crrl", "focovil"])
def test_every_method_shows_its_map_or_says_why_not(name, data):
    panel = actionlets(build(name, **OTHER.get(name, {})), data)
    if name in ("crrl", "focovil"):
        assert not isinstance(panel, ActionletLens) and "mixes all joints" in panel.said and "ActCLR" in panel.said
    else:
        assert isinstance(panel, ActionletLens) and panel.found.any() and panel.controls["layer"].disabled == (name != "actclr")
        panel.controls["source"].value = "relative"
        assert panel._said.kind == "said", panel.said


def clip(frames=20, people=1, seen=True, name="c", move=.05):
    g = np.random.default_rng(len(name))
    pose = g.normal(0, .5, (1, people, 17, 3)) + [0, 1, 0]
    joints = (pose + move * np.cumsum(g.normal(0, 1, (frames, people, 17, 3)), 0)).astype(np.float32)
    return {"joints": joints, "valid": np.full(joints.shape[:3], seen), "name": name, "label": 0}


@pytest.fixture(scope="module")
def odd():
    return SkeletonSet.from_clips([clip(name="plain"), clip(1, name="one frame"), clip(people=2, name="two people"), clip(1000, name="long one"),
                       clip(seen=False, name="nobody at all"), clip(move=0, name="stands still")], BODY17, ["act"], name="odd")


def test_odd_clips(model, odd):
    lens = actionlets(model, odd)
    assert lens.scores == {} and lens._table.content == {} and lens.sheet._outline.strip(b"\0") == b""  # no truth: no numbers
    lens.row = 1
    assert not lens.actionlet.any() and "does not move" in lens.said
    lens.row = 2
    assert lens.actionlet.shape == (2, lens.sheet.spec["frames"], 17) and lens.sheet.spec["rows"][17] == f"2 {BODY17.joints[0]}"
    lens.player._heed(None, {"picked": {"cell": 0, "person": 1, "joint": 3, "frame": 0}}, [])
    assert lens.sheet.chosen == [20] and lens.player._marks == [3]
    lens.row = 3
    assert lens.actionlet.ndim == 2 and lens._said.kind == "said"
    lens.row = 4
    assert lens._said.kind == "error" and "nothing was observed" in lens.said
    lens.row = 5
    assert lens._said.kind == "said" and "does not move" in lens.said
    whole = actionlets(model, odd, row=3, frames=1000)
    assert whole.sheet.spec["frames"] == 1000 and len(whole.player.data) + len(whole.sheet._values) < 2e6
    assert "nothing was observed" in actionlets(model, odd, row=4).said


def test_what_cannot_be_opened_says_why(model, data, tmp_path):
    other = make_synthetic(clips=48, seed=0, skeleton=NTU25)
    for run, given, said in ((model, other, "skeleton"), (tmp_path / "none", data, "none"), (model, tmp_path / "no.skel", "no.skel"),
                             (model, None, "give `data`"),
                             (model, data.select([]), "no clip"), (torch.nn.Linear(2, 2), data, "embed")):
        panel = actionlets(run, given)
        assert not isinstance(panel, ActionletLens) and said in panel.said, (said, panel.said)
    for wrong in ({"threshold": 2}, {"smoothing": -1}, {"source": "guess"}, {"row": 48}, {"row": -1}, {"frames": 1}):
        with pytest.raises(ValueError):
            actionlets(model, data, **wrong)


def test_state_is_small_and_the_page_needs_nothing(lens):
    page = lens.to_html()
    told = json.loads(page.split('<script type="application/json">')[1].split("</script>")[0])
    assert told["sheet"]["rows"] == lens.sheet.spec["rows"] and page.count("<script") == 2 and "src=" not in page
    assert len(lens.player.data) + len(json.dumps(lens.player.spec)) + len(lens.player._esm) < 2e5
    assert isinstance(lens.method, ActCLR)
