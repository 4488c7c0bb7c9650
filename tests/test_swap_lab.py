"The swap lab without a browser: against decodings one by one, and everything that can be asked of it in vain."
import numpy as np
import pytest
import torch
from test_methods import build

from skelbench.clips import SkeletonSet
from skelbench.generation import decoded, halves
from skelbench.skeleton import KINECT20
from skelbench.streams import fixed_length
from skelbench.swap_lab import MADE, Pair, SwapLab, mixed, swaps


@pytest.fixture(scope="module")
def models(data):
    "The two methods with halves; weights large enough that the halves matter."
    made = {name: build(name, data.skeleton).eval() for name in ("swapclr", "combined")}
    for model in made.values():
        for key, p in model.named_parameters():
            if p.dim() > 1 and ("contrastive" in key or "mean" in key or "decoder" in key):
                p.data *= 2
    return made


def panel_of(found):
    assert type(found).__name__ == "Panel" and len(found.children) == 3, "a panel that says why, and nothing else"
    return found.said


@pytest.mark.parametrize("name", ["swapclr", "combined"])
def test_swaps_are_decodings_of_exchanged_content(name, data, models):
    model = models[name]
    lab = swaps(model, data, rows=(0, 5))
    batch = fixed_length(data.select([0, 5]), lab.frames)
    z_var, z_clr = halves(model, batch)
    for amount in (0., .3, 1.):
        lab.amount = amount
        for k in range(2):
            content = amount * z_clr[[k]] + (1 - amount) * z_clr[[1 - k]]
            alone = decoded(model, batch[[k]], z_var=z_var[[k]], z_clr=content)
            assert torch.allclose(lab.results.joints[k], alone[0], atol=1e-4)
    assert np.allclose(lab.distances.iloc[2:], lab.distances.iloc[:2], atol=1e-2)  # lambda 1: itself
    assert list(lab.distances.index) == list(MADE) and lab.distances.shape == (4, 6)
    own = lab.results.joints.clone()
    lab.amount = 0.
    assert not torch.equal(own, lab.results.joints)
    assert lab.distances.iloc[2, 2] > 0 and lab.rows == (0, 5)


def test_a_half_is_taken_out(data, models):
    lab = swaps(models["swapclr"], data, rows=(0, 5))
    both = lab.results.joints.clone()
    lab.parts = "z_var"
    assert lab.slider.disabled and "λ has nothing to mix" in lab.said and not torch.equal(both, lab.results.joints)
    lab.parts = "z_clr"
    assert not lab.slider.disabled and "content B alone: " in lab.said
    pair = lab._pair_now
    z_var, z_clr = mixed(pair.z_var, pair.z_clr, pair.batch.present, 0., "z_clr")
    assert (z_var == 0).all() and torch.equal(z_clr, pair.z_clr.flip(0))
    with pytest.raises(ValueError, match="both, z_clr, z_var"):
        lab.parts = "detail"
    with pytest.raises(ValueError, match="lambda"):
        lab.amount = 2
    with pytest.raises(ValueError, match="parts"):
        mixed(pair.z_var, pair.z_clr, pair.batch.present, 0., "none")


def test_the_same_inputs_give_the_same_picture(data, models):
    one, two = (swaps(models["swapclr"], data, rows=(1, 4), amount=.4) for _ in range(2))
    assert one.player.data == two.player.data and one.table.content == two.table.content
    two.overlay.value = True
    assert one.player.data != two.player.data and two.player.spec["labels"] == ["clip", "model"]
    two.overlay.value = False
    assert one.player.data == two.player.data


def test_other_clips(data, models):
    lab, seen = swaps(models["swapclr"], data), []
    assert data.table["label"].iloc[lab.rows[0]] != data.table["label"].iloc[lab.rows[1]]
    lab.player.observe(lambda change: seen.append(change["name"]), "data")
    lab.choosers[1].row = 11
    assert lab.rows[1] == 11 and seen
    lab.rows = (7, 7)  # one clip twice
    assert lab._pair_now.apart[0] < 1e-3 and len(lab.results) == 2
    before = lab.said
    with pytest.raises(ValueError):
        lab.rows = (7, len(data))
    assert lab.rows == (7, 7) and lab.said == before


def test_two_people_and_one(data, models):
    people = data.table["people"].to_numpy()
    pair = int((people == 2).nonzero()[0][0]), int((people == 1).nonzero()[0][0])
    lab = swaps(models["combined"], data, rows=pair)
    now = lab._pair_now
    content = mixed(now.z_var, now.z_clr, now.batch.present)[1]
    assert torch.equal(content[0, 1], now.z_clr[0, 1]) and not torch.equal(content[0, 0], now.z_clr[0, 0])
    assert np.isfinite(lab.distances.to_numpy()).all()


def test_one_frame_and_a_thousand(data, models):
    joints, valid = (np.asarray(x) for x in (data.joints, data.valid))
    def clip(name, frames, label):
        at = np.arange(frames) % 30
        return {"name": name, "label": label, "joints": joints[at], "valid": valid[at]}
    odd = SkeletonSet.from_clips([clip("short", 1, 0), clip("long", 1000, 1)], data.skeleton, data.classes, "odd")
    lab = swaps(models["swapclr"], odd)
    assert lab.rows == (0, 1) and lab.player.spec["frames"] == lab.frames and np.isfinite(lab.distances.to_numpy()).all()
    one = swaps(models["swapclr"], data.select([i for i in range(len(data)) if data.table["label"].iloc[i] == data.table["label"].iloc[0]]))
    assert one.rows == (0, 1)  # one class: the first two clips


@pytest.mark.parametrize("name, options, word", [("crrl", {}, "cannot generate"), ("actclr", {}, "cannot generate"), ("focovil", {}, "cannot generate"),
                                                 ("combined", {"reconstruction": None}, "without a decoder"),
                                                 ("swapclr", {"reconstruction": None}, "without a decoder"),
                                                 ("swapclr", {"outputs": ("motion",)}, "no poses")])
def test_where_there_are_no_halves_it_says_why(name, options, word, data):
    said = panel_of(swaps(build(name, data.skeleton, **options), data))
    assert word in said and "SwapCLR" in said and "\n" not in said


def test_nothing_to_show(data, models, tmp_path):
    assert "two clips" in panel_of(swaps(models["swapclr"], data.select([0])))
    assert "no clip" in panel_of(swaps(models["swapclr"], data.select([])))
    assert "give `data`" in panel_of(swaps(models["swapclr"]))
    assert str(tmp_path) in panel_of(swaps(tmp_path / "none", data))
    assert "was built for skeleton kinect20" in panel_of(swaps(build("swapclr", KINECT20), data))
    assert "expected" in panel_of(swaps(3, data))
    for wrong in ({"rows": (0, 48)}, {"rows": (-1, 0)}, {"rows": (0, 1, 2)}, {"amount": -.1}):
        with pytest.raises(ValueError):
            swaps(models["swapclr"], data, **wrong)


def test_errors_appear_in_the_panel(data, models, monkeypatch):
    lab = swaps(models["swapclr"], data)
    monkeypatch.setattr(Pair, "decode", lambda *_: (_ for _ in ()).throw(RuntimeError("out of memory")))
    lab.slider.value = .5
    assert lab.said == "RuntimeError: out of memory"
    monkeypatch.undo()
    lab.slider.value = .6
    assert "λ = 0.60" in lab.said


def test_html_and_names_are_text(data, models):
    trap = "<img src=x onerror=alert(1)>"
    bad = SkeletonSet.from_clips([{"name": f"{trap}{k}", "label": k, "joints": np.asarray(data.joints[:20]), "valid": np.asarray(data.valid[:20])}
                                  for k in range(2)], data.skeleton, [trap, "b"], "bad")
    lab = swaps(models["swapclr"], bad)
    assert isinstance(lab, SwapLab)
    page = lab.to_html()
    assert "<img" not in page and page.count("<tr>") == 5 and "sb-host" in page
    assert len(lab.player.data) + len(str(lab.player.spec)) + len(str(lab.table.content)) < 200_000
