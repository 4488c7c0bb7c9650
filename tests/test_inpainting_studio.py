"The in-painting studio without a browser: what is removed, what stands there instead, what is said where nothing can."
import numpy as np
import pytest
import torch
from test_methods import build

from skelbench.clips import SkeletonSet
from skelbench.inpainting import inpaint, removal
from skelbench.inpainting_studio import paint
from skelbench.skeleton import KINECT20
from skelbench.streams import fixed_length
from skelbench.synthetic import make_synthetic


@pytest.fixture(scope="module")
def data():
    return make_synthetic(clips=48, seed=0)


@pytest.fixture(scope="module")
def model(data):
    return build("swapclr", data.skeleton)


def alone(data, people=1):
    "The row of a clip with so many people."
    return int((data.table["people"] == people).to_numpy().argmax())


def test_opens_with_the_gap_of_the_paper_and_says_the_numbers(model, data):
    studio = paint(model, data, frames=50)
    assert studio.mask.shape == (50, 17) and studio.mask[15:35].all() and studio.mask.sum() == 20 * 17 and studio.said == ""
    assert set(studio.errors) == {"model", "model_blended", "linear", "hold_last", "points", "removed"}
    for name in ("as it is", "blended", "straight line", "held still"):
        assert name in studio._words.text
    names = [cell["name"] for cell in studio.player.spec["cells"]]
    assert names[0] == "what is left" and names[1].startswith("straight line: ") and names[2] == f"model: {studio.errors['model_blended']:.0f} mm"
    batch = fixed_length(data.select([0]), 50)
    assert torch.allclose(studio.result.joints, inpaint(model, batch, removal(batch, data.skeleton, (15, 35), None)), atol=1e-5)


def test_the_three_gestures(model, data):
    studio, limbs = paint(model, data, row=alone(data)), data.skeleton.limbs
    arm = next(button for button in studio.limbs if button.name == "left_arm")
    arm.value = True
    first, last = studio.time.value
    assert studio.mask[first:last, list(limbs["left_arm"])].all() and studio.mask.sum() == (last - first) * len(limbs["left_arm"])
    studio._pick({"cell": 0, "joint": limbs["left_arm"][-1], "person": 0, "frame": 0})  # given back: no whole limb any more
    assert not arm.value and len(studio.joints) == len(limbs["left_arm"]) - 1 and studio.player._marks == sorted(map(data.skeleton.index, studio.joints))
    mask = studio.sheet.mask
    mask[0, :3] = ~mask[0, :3]
    studio.sheet.set_state({"_mask": memoryview(np.packbits(mask).tobytes())})  # as the browser says it
    assert studio.mask[:3, studio._order[0]].all() and (studio.sheet.mask == mask).all()
    studio.time.value = (0, studio.frames)
    assert studio.mask[:3, studio._order[0]].all() and (studio.sheet.mask == studio.mask.T[studio._order]).all()
    studio.clear()
    assert not studio.mask.any() and "Nothing is removed" in studio._words.text and studio.errors["removed"] == 0
    studio.mask = np.eye(studio.frames, 17, dtype=bool)
    assert studio.errors["removed"] == 17 and (studio.mask == np.eye(studio.frames, 17)).all()
    with pytest.raises(ValueError, match="frames by joints"):
        studio.mask = np.zeros((3, 3))
    with pytest.raises(ValueError):
        studio.joints = ["tail"]


def test_the_map_shows_the_model_s_error_where_it_was_removed_and_observed(model, data):
    studio = paint(model, data, row=alone(data))
    values = np.frombuffer(studio.sheet._values, np.uint8).reshape(17, studio.frames)
    measured = (studio.mask & studio.batch.valid[0, 0].numpy()).T[studio._order]
    assert ((values < 255) == measured).all()
    wrong = 1000 * (studio.result.joints - studio.batch.joints)[0, 0].norm(dim=-1).numpy().T[studio._order]
    assert np.abs(values[measured] / 254 - np.clip(wrong[measured] / studio.scale, 0, 1)).max() < .01
    studio.blend.value = False
    assert abs(studio.errors["model"] - float(wrong[measured].mean())) > 0 and not np.array_equal(studio.sheet._values, values.tobytes())


def test_several_answers(model, data):
    studio = paint(model, data, answers=4)
    first = studio.answers.joints.clone()
    assert len(studio.answers) == 4 and torch.allclose(first[0], paint(model, data).result.joints[0], atol=1e-5)  # the first is the likeliest
    assert not torch.allclose(first[1], first[2]) and "from each other" in studio._words.text
    studio._pick({"cell": 4, "joint": 3, "person": 0, "frame": 0})
    assert studio.chosen == 2 and torch.equal(studio.result.joints[0], first[2]) and studio.player._chosen == [4]
    studio.spread.value = 0
    assert torch.allclose(studio.answers.joints[3], first[0], atol=1e-5)
    studio.count.value = 2
    assert studio.chosen == 1
    studio.view.value = "alone"
    assert studio.player.spec["heat_colours"] and "error" in studio.player.spec["heat_label"]
    for wrong in (0, 9):
        with pytest.raises(ValueError, match="answers"):
            paint(model, data, answers=wrong)


@pytest.mark.parametrize("name", ["crrl", "focovil", "combined"])
def test_every_method_that_reconstructs(name, data):
    studio = paint(build(name, data.skeleton), data, frames=12)
    assert studio.errors["model"] > 0 and studio.result.joints.isfinite().all()
    variational = name == "combined"
    assert studio.count.disabled is not variational and ("one answer" in studio._why) is not variational
    if variational:
        studio.count.value = 3
        assert len(studio.answers) == 3


def test_no_decoder_is_said(data):
    for method in (build("actclr", data.skeleton), build("swapclr", data.skeleton, reconstruction=None)):
        panel = paint(method, data)
        assert "decoder" in panel.said and len(panel.children) == 3
    assert "no/such/run" in paint("no/such/run", data).said
    assert "skeleton" in paint(build("swapclr", KINECT20), data).said


def test_everything_removed_and_back(model, data):
    studio = paint(model, data)
    studio.time.value = (0, studio.frames)
    assert "everything of a person is removed" in studio.said and studio._said.kind == "error" and studio.errors == {}
    assert [cell["name"] for cell in studio.player.spec["cells"]] == ["what is left", "straight line: not measured", "model: not measured"]
    studio.time.value = (0, 5)
    assert studio.said == "" and studio.errors["points"] > 0


def strange(data, frames=40, seen=True, people=1):
    "One clip of so many frames, with nobody in it if not `seen`."
    source = data.select([alone(data, people)])
    joints = np.resize(source.joints, (frames, *source.joints.shape[1:]))
    return SkeletonSet.from_clips([{"joints": joints, "valid": np.full(joints.shape[:3], seen), "name": "x", "label": 0}], data.skeleton, data.classes, "x")


def test_strange_clips(model, data):
    for frames in (1, 2, 1000):
        studio = paint(model, strange(data, frames), frames=1000 if frames == 1000 else None)
        assert studio.said == "" and studio.errors["points"] > 0, frames
    assert len(studio.player.data) + len(studio.sheet._values) < 2e6
    nobody = paint(model, strange(data, seen=False))
    assert "nobody was observed" in nobody.said
    two = paint(model, data, row=alone(data, 2))
    both = two.errors["removed"]
    two.who.value = 1
    assert two.errors["removed"] == both // 2 and torch.equal(two.result.joints[0, 0], two.batch.joints[0, 0])
    two.joints = ["left_wrist"]
    two.time.value = (0, two.frames)  # never seen: the mean pose stands in
    assert two.errors["linear"] > 0 and two._mean is not None
    two.chooser.row = alone(data)
    assert two.who.layout.display == "none" and two.who.value == -1 and two.mask.any()


def test_saved_and_written(model, data, tmp_path):
    studio = paint(model, data, row=2)
    kept = studio.save(tmp_path / "mine.skel")
    studio.chooser.row = 3
    kept = studio.save(tmp_path / "mine.skel", "another")
    names, own = list(kept.table["name"]), data.table["name"]
    assert names == [f"{own[2]} in-painted", "another"] and kept.table["label"].tolist() == data.table["label"].tolist()[2:4]
    back, made = SkeletonSet.open(tmp_path / "mine.skel").batch(["another"]), studio.result
    assert torch.equal(back.joints[:, 0], made.joints.masked_fill(~made.valid[..., None], 0)[:, 0]) and torch.equal(back.valid[:, 0], made.valid[:, 0])
    assert "SwapCLR" in kept.source and "2 clips" in studio.said
    (tmp_path / "other").mkdir()
    with pytest.raises(FileExistsError):
        studio.save(tmp_path / "other")
    page = studio.to_html()
    assert page.count("<script") == 4 and studio._words.text.split(",")[0] in page and 'data-kind="sheet"' in page and '"paint": true' not in page
