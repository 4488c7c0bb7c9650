"The focal lens without a browser: every number against FoCoViL's formulas, and everything that can be asked of it in vain."
import dataclasses
import re

import numpy as np
import pytest
import torch
from test_methods import build

from skelbench.focal import cosines, focal_contrast, focal_weights, multi_view_contrast, view_pairs
from skelbench.focal_lens import FocalLens, drawn, focal, looked_at, moved, two_of_each, weighed
from skelbench.runs import trained_on
from skelbench.skeleton import KINECT20
from skelbench.streams import fixed_length
from skelbench.synthetic import make_synthetic
from skelbench.training import fit


@pytest.fixture(scope="module")
def data():
    return make_synthetic(clips=96, seed=0)


@pytest.fixture(scope="module")
def model(data):
    return build("focovil", data.skeleton, views="scenes").eval()


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    model = build("focovil", data.skeleton, views="scenes")
    recipe = model.recipe(epochs=3, frames=12, batch_size=24, probes=48, snapshot_every=1, seed=0)
    return fit(model, data, recipe, to=tmp_path_factory.mktemp("runs") / "run", progress=False)


def panel_of(found):
    assert type(found).__name__ == "Panel" and len(found.children) == 3
    return found.said


def test_loss_and_weights_are_the_methods(data):
    features, scene, camera = torch.randn(24, 8, generator=torch.Generator().manual_seed(0)), torch.arange(24) // 3, torch.arange(24) % 3
    for temperature in (.1, .5, 2.):
        assert weighed(features, scene, camera, temperature)["loss"] == pytest.approx(float(focal_contrast(features, scene, camera, temperature)), rel=1e-5)
        plain = weighed(features, scene, camera, temperature, focal=False)
        assert plain["loss"] == pytest.approx(float(multi_view_contrast(features, scene, camera, temperature)), rel=1e-5)
    found, (positive, negative) = weighed(features, scene, camera), view_pairs(scene, camera)
    pull, push = focal_weights(cosines(features), positive, negative)
    assert np.allclose(found["w_positive"][found["positive"]], pull.sum(0).numpy()[found["positive"]])
    assert np.allclose(np.nan_to_num(found["w_negative"]), push.T.numpy())
    assert (np.isnan(found["weight"]) == ~(found["positive"] | found["negative"])).all()
    assert (found["slope"][found["positive"]] < 0).all() and (found["slope"][found["negative"]] > 0).all()
    detached = weighed(features, scene, camera, gradient=False)
    assert detached["loss"] == pytest.approx(found["loss"]) and not np.allclose(detached["slope"], found["slope"])
    with pytest.raises(ValueError, match="temperature"):
        weighed(features, scene, camera, 0.)


def test_whole_scenes_are_drawn_in_order(data):
    rows, scenes = drawn(data, 24, seed=3)
    table = data.table.iloc[rows]
    assert scenes and len(rows) == 24 == len(set(rows)) and (table.groupby("scene").size() == 3).all() and (np.diff(table["label"]) >= 0).all()
    assert drawn(data, 24, seed=3)[0] == rows != drawn(data, 24, seed=4)[0]
    single, scenes = drawn(data.split("xview")[1], 24)
    assert not scenes and len(single) == 12
    assert len(drawn(data, 4)[0]) == 6  # two scenes at least, whatever was asked


def test_views_where_nobody_is_filmed_twice(data, model):
    test = data.split("xview")[1]
    lens = focal(model, test, clips=12)
    assert not lens.scenes and lens.rows[0] == lens.rows[1] and "view 2" in lens.names[1] and "two views" in lens.said
    assert lens.hard("positive")[0][1] == lens.hard("positive")[0][0] + 1
    batch = fixed_length(test.select([0, 1, 2]), 12)
    before = torch.get_rng_state()
    one, two = two_of_each(model, batch, 5), two_of_each(model, batch, 5)
    assert torch.equal(one.joints, two.joints) and torch.equal(before, torch.get_rng_state())
    assert one.scene.tolist() == [0, 0, 1, 1, 2, 2] and not torch.equal(one.joints[0], one.joints[1])


def test_picks_are_plain_python(data, model):
    lens, features = focal(model, data, clips=24), None
    assert isinstance(lens, FocalLens) and lens.similarities.shape == (24, 24) and lens.weights["w_negative"].shape == (24, 3)
    features = looked_at(model, fixed_length(data.select(lens.rows), lens.frames))[0][:, 0]
    assert np.allclose(lens.similarities, cosines(features).numpy(), atol=1e-5)
    seen = []
    lens.player.observe(lambda change: seen.append(change["name"]), "data")
    lens.matrix._handle_custom_msg({"picked": [2, 11]}, [])  # a click
    assert lens.pair["place"] == (2, 11) and lens.pair["rows"] == (lens.rows[2], lens.rows[11]) and seen and lens.matrix.picked == [2, 11]
    assert lens.pair["kind"] in ("positive", "negative") and f"{lens.pair['similarity']:.2f}" in lens.told.text
    hard = lens.hard("negative", 1000)
    r = [lens.similarities[p] for p in hard]
    assert r == sorted(r, reverse=True) and len(hard) == len({frozenset(p) for p in hard})
    lens.lists["negative"].value = lens.lists["negative"].options[3][1]
    assert lens.pair["place"] == hard[3] and lens.lists["positive"].value is None
    lens.pick(5, 5)
    assert lens.pair["kind"] == "itself" and np.isnan(lens.pair["weight"])
    with pytest.raises(ValueError, match="24 clips"):
        lens.pick(0, 24)
    lens.matrix._handle_custom_msg({"picked": [0, 99]}, [])
    assert "24 clips" in lens.said


def test_controls(data, model):
    lens = focal(model, data, clips=24)
    first, colours, place = lens.pair, lens.matrix.data, lens.pair["place"]
    lens.shows.value = "slope"
    assert lens.matrix.data != colours and lens.matrix.spec["title"] == "slope of the loss"
    lens.temperature.value = .1
    assert lens.pair["slope"] != first["slope"] and lens.pair["similarity"] == first["similarity"] and lens.pair["place"] == place
    lens.focal.value = False
    assert lens.pair["weight"] == 1 and "without (chance" in lens.said
    rows = lens.rows
    lens.other.click()
    assert lens.rows != rows and lens.matrix.spec["names"] == lens.names
    again = focal(model, data, clips=24, seed=1)
    assert again.rows == lens.rows


@pytest.mark.parametrize("name", ["swapclr", "crrl", "actclr", "combined"])
def test_any_method_can_be_looked_at(name, data):
    method = build(name, data.skeleton).eval()
    lens = focal(method, data, clips=12)
    assert "was not trained with focal weights" in lens.said and "embedding" in lens.said
    if len(lens.stream.options) > 1:
        before = lens.similarities
        lens.stream.value = 1
        assert not np.allclose(before, lens.similarities)


def test_weights_over_training(data, run):
    rows = moved(run, data)
    assert [r["epoch"] for r in rows["median"]] == [1, 2, 3] and set(rows) == {"upper tenth", "median", "lower tenth", "in the loss, mean"}
    for low, middle, high in zip(*(rows[k] for k in ("lower tenth", "median", "upper tenth"))):
        for key in ("weight_positive", "weight_negative"):
            assert .5 <= low[key] <= middle[key] <= high[key] <= .881
    lens = focal(run, data, clips=12)
    assert lens.curves is not None and not lens._stranger
    assert trained_on(run, data) is data and trained_on(run, data.select([0, 1])) is None and trained_on(run, whole=True) is None
    assert trained_on(run.model, data) is None
    other = focal(run, data.select(range(30)), clips=12)
    assert other.curves is None and "give it as `data`" in other.children[-2].children[1].text
    bare = focal(run.model, data, clips=12)
    assert bare.curves is None and "method by itself" in bare.children[-2].children[1].text
    nobody = dataclasses.replace(data, table=data.table.assign(scene=data.table["name"]))
    assert "weight_positive" not in moved(run, nobody)["median"][0]


def test_nothing_to_show(data, model, run, tmp_path):
    assert "two clips" in panel_of(focal(model, data.select([0])))
    assert "give `data`" in panel_of(focal(model))
    assert str(tmp_path) in panel_of(focal(tmp_path / "none", data))
    assert "was built for skeleton kinect20" in panel_of(focal(build("focovil", KINECT20), data))
    broken = build("focovil", data.skeleton)
    next(broken.encoders.parameters()).data.fill_(torch.nan)
    assert "not finite" in panel_of(focal(broken, data))
    for wrong in ({"clips": 3}, {"clips": 300}, {"temperature": -1.}):
        with pytest.raises(ValueError):
            focal(model, data, **wrong)
    two = focal(model, data.select([0, 3]))
    assert len(two.rows) == 4 and not two.scenes  # two clips, two views each
    label = data.table["label"].to_numpy()
    one_class = focal(model, data.select(np.flatnonzero(label == label[0])))
    assert all(one_class._batch.label[0] == k for k in one_class._batch.label)


def test_page_without_a_kernel(data, model):
    page = focal(model, data, clips=12).to_html()
    assert page.count('data-kind="matrix"><') == 1 and page.count('data-kind="player"><') == 1 and page.count("<script") == 4
    assert len(re.findall(r'"(positive|negative) -?\d\.\d\d: ', page)) == 8  # two and two pairs, each with its cosine and action


def test_it_is_small(data, model):
    lens = focal(model, data)
    assert len(lens.matrix.data) + len(str(lens.matrix.spec)) + len(lens.player.data) < 150_000
