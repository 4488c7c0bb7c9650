"The generation studio without a browser: what the sliders make, what the classifier says, what is kept, what is said where nothing can be."
from functools import partial

import numpy as np
import pytest
import torch
from test_methods import build

from skelbench import generation, generation_studio
from skelbench.clips import SkeletonSet
from skelbench.generation import classes_of, decoded, generate, probe_of
from skelbench.generation_studio import generate_motions
from skelbench.skeleton import KINECT20
from skelbench.synthetic import make_synthetic


@pytest.fixture(scope="module")
def model(data):
    return build("swapclr", data.skeleton)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    "A classifier of a few steps: what it is worth is not the question here."
    monkeypatch.setattr(generation, "fit_linear", partial(generation.fit_linear, epochs=20))


def settled(studio):
    "The studio, when its thread has nothing more to do."
    while studio._thread is not None:
        studio._thread.join(60)
    return studio


@pytest.mark.parametrize("name", ["swapclr", "combined"])
def test_samples_are_what_generation_makes_of_the_same_draws(name, data):
    method = build(name, data.skeleton)
    studio = generate_motions(method, data, row=3, samples=4, temperature=.7, frames=14, seed=5)
    seed = studio._seed(3)
    draws = torch.randn(16, *seed.mean.shape[1:], generator=torch.Generator().manual_seed(5))
    one = seed.batch[torch.zeros(4, dtype=torch.long)]
    slow = decoded(method, one, z_var=.7 * draws[:4], z_clr=seed.z_clr.expand(4, -1, -1))
    assert torch.allclose(studio.samples.joints, slow, atol=1e-5) and studio.samples.joints.shape == one.joints.shape
    assert torch.equal(studio.samples.valid, one.present[:, :, None, None].expand_as(studio.samples.valid))
    likeliest = generate(method, seed.batch, 1, temperature=0)[0]
    studio.temperature.value = 0
    assert torch.allclose(studio.samples.joints[2:3], likeliest, atol=1e-5) and studio.said == ""


def test_sliders_move_the_same_samples(model, data):
    studio = generate_motions(model, data, samples=3)
    here = studio.samples.joints.clone()
    studio.temperature.value = 1.02
    step = (studio.samples.joints - here).abs().max()
    assert 0 < step < .2 * (here[0] - here[1]).abs().max()
    studio.count.value = 8
    studio.temperature.value = 1.0
    assert torch.allclose(studio.samples.joints[:3], here, atol=1e-5) and len(studio.samples) == 8
    studio.draw()
    assert not torch.allclose(studio.samples.joints[:3], here, atol=1e-3)


def test_the_walk_ends_at_the_clips(model, data):
    studio = generate_motions(model, data, row=1, second=6, samples=1, temperature=0)
    first, other = studio._seed(1), studio._seed(6)
    studio.around.value = "seed"
    for walk, end in ((0, first), (1, other)):
        studio.walk.value = walk
        there = (first.batch.present & other.batch.present)[..., None]
        own = [torch.where(there, getattr(end, half), getattr(first, half)) for half in ("mean", "z_clr")]
        assert torch.allclose(studio.samples.joints, decoded(model, first.batch, z_var=own[0], z_clr=own[1]), atol=1e-5)
    assert "to the second" in studio._words.text and len(studio.numbers["distance_to_second"]) == 1


def test_two_people_and_one(model, data):
    people = data.table["people"].to_numpy()
    two, one = int((people == 2).argmax()), int((people == 1).argmax())
    studio = generate_motions(model, data, row=two, second=one, walk=.5)
    assert studio.samples.present.all() and studio.samples.joints.isfinite().all() and studio.said == ""
    studio = generate_motions(model, data, row=one, second=two, walk=1)
    assert not studio.samples.present[:, 1].any() and not studio.samples.joints[:, 1].any()


def test_distances(model, data):
    studio = generate_motions(model, data, samples=4)
    numbers = studio.numbers
    assert len(numbers["distance_to_seed"]) == 4 and numbers["distance_between"] > 0 and numbers["distance_real"] > 0
    assert f"{numbers['distance_between']:.0f} mm" in studio._words.text
    studio.count.value = 1
    assert np.isnan(studio.numbers["distance_between"]) and "between samples unknown" in studio._words.text


def test_the_classifier(model, data):
    studio = settled(generate_motions(model, data, train=data, samples=5, frames=14))
    numbers, names = studio.numbers, [cell["name"] for cell in studio.player.spec["cells"]]
    slow = classes_of(studio.method, probe_of(model.eval(), data, 14), studio.samples)
    assert numbers["classes"] == [data.classes[int(k)] for k in slow]
    assert all(numbers["classes"][k] in names[k + 2] and f"{100 * numbers['probability'][k]:.0f} %" in names[k + 2] for k in range(5))
    assert " of 5 samples for " in studio._verdict.text and names[0].startswith(f"from: {data.classes[data.table['label'][0]]}")
    bytes_before = studio.player.data
    studio.chosen = [1, 3]
    studio.temperature.value = .3
    assert studio.player.data != bytes_before and studio.chosen == [1, 3] and studio.player._chosen == [3, 5]
    no = generate_motions(model, data)
    assert "No classifier: give train" in no._verdict.text and no._thread is None
    same = data.select((data.table["label"] == 0).to_numpy())
    assert "one class" in generate_motions(model, same, train=same)._verdict.text


def test_a_slow_classifier_answers_afterwards(model, data, monkeypatch):
    monkeypatch.setattr(generation_studio, "SOON", 0)
    studio = settled(generate_motions(model, data, train=data, samples=2))
    studio.temperature.value = .5
    settled(studio)
    assert len(studio.numbers["classes"]) == 2 and studio.numbers["classes"][0] in studio.player.spec["cells"][2]["name"] and studio.said == ""


def test_picked_and_saved(model, data, tmp_path):
    studio = generate_motions(model, data, row=2, samples=4)
    studio._pick({"cell": 0})
    assert studio.chosen == [] and "choose among" in studio.said
    for cell in (5, 2, 5, 3):
        studio._pick({"cell": cell})
    assert studio.chosen == [0, 1] and studio.player._chosen == [2, 3]
    kept = studio.save(tmp_path / "made.skel")
    assert len(kept) == 2 and len(studio.save(tmp_path / "made.skel", rows=[3])) == 3 and "3" in studio.said
    kept = SkeletonSet.open(tmp_path / "made.skel")
    seed = data.table.iloc[2]
    assert list(kept.table["name"]) == [f"{seed['name']} generated {k}" for k in (1, 2, 4)] and set(kept.table["label"]) == {seed["label"]}
    assert np.allclose(kept.batch([2]).joints[0, 0], studio.samples.joints[3, 0], atol=1e-6) and "generated by SwapCLR" in kept.source
    assert kept.table["frames"][0] / kept.table["fps"][0] == pytest.approx(seed["frames"] / seed["fps"], rel=.05)
    for wrong in ([4], [-1], []):
        with pytest.raises(ValueError):
            studio.save(tmp_path / "made.skel", rows=wrong)
    with pytest.raises(ValueError):
        studio.chosen = [9]
    foreign = make_synthetic(clips=48, seed=0)
    foreign.classes[0] = "other"
    with pytest.raises(ValueError, match="other classes"):
        generate_motions(model, foreign, samples=1).save(tmp_path / "made.skel")


def test_what_cannot_be_drawn_from_is_said(data, model):
    for name in ("crrl", "actclr", "focovil"):
        assert "no latent halves" in generate_motions(build(name, data.skeleton), data).said
    assert "without a decoder" in generate_motions(build("swapclr", data.skeleton, reconstruction=None), data).said
    assert "without a decoder" in generate_motions(build("combined", data.skeleton, reconstruction=None), data).said
    assert "skeleton" in generate_motions(build("swapclr", KINECT20), data).said
    assert "no/such" in generate_motions("no/such", data).said
    for wrong in ({"samples": 0}, {"samples": 17}, {"temperature": -1}, {"walk": 2}, {"row": 99}, {"second": -1}):
        with pytest.raises(ValueError):
            generate_motions(model, data, **wrong)


def test_strange_clips(model, data):
    source = data.select([int((data.table["people"] == 1).to_numpy().argmax())])
    for frames, seen in ((1, True), (1000, True), (30, False)):
        joints = np.resize(source.joints, (frames, *source.joints.shape[1:]))
        clip = {"joints": joints, "valid": np.full(joints.shape[:3], seen), "name": "x", "label": 0}
        studio = generate_motions(model, SkeletonSet.from_clips([clip], data.skeleton, data.classes, "x"))
        assert studio.said == ("" if seen else "nobody was observed in x: choose another clip") and studio.samples.joints.isfinite().all()
    assert "real clips of that class unknown" in studio._words.text


def test_page_holds_names_and_numbers_as_text(model, data):
    evil = data.select(list(range(len(data))))
    evil.table = evil.table.assign(name=[f"<img src=x>{k}" for k in range(len(data))])
    page = generate_motions(model, evil).to_html()
    assert "<img" not in page and "Temperature 1 around zero" in page and "between samples" in page
