"The latent explorer without a browser: what a click, a drawing and a choice of colour do, for every method, and what it says when it cannot."
import numpy as np
import pytest
import torch
from test_methods import build

from skelbench.evaluation import nearest
from skelbench.latent_explorer import LatentExplorer, explore
from skelbench.panel import Panel
from skelbench.skeleton import KINECT20
from skelbench.synthetic import make_synthetic
from skelbench.training import fit


def settled(panel):
    "The panel when its thread has nothing left to do."
    while (thread := panel._thread) is not None:
        thread.join(60)
    return panel


@pytest.fixture(scope="module")
def data():
    return make_synthetic(clips=60, seed=0)


@pytest.fixture(scope="module")
def sides(data):
    return data.split("xview")


@pytest.fixture(scope="module")
def model(data, sides):
    made = build("swapclr", data.skeleton)
    made.prepare(sides[0])
    return made


@pytest.fixture()
def explorer(model, sides):
    return settled(explore(model, sides[1], train=sides[0], kind="pca"))


def flags(panel, nth=0):
    return np.frombuffer(panel.atlases[nth].flags, "u1").astype(bool)


def test_rings_are_what_nearest_neighbours_get_wrong(explorer, model, sides):
    assert isinstance(explorer, LatentExplorer) and explorer.said == ""
    assert 100 * (1 - flags(explorer).mean()) == pytest.approx(nearest(model, *sides).official, abs=.01)
    explorer.colour.value = "error"
    assert settled(explorer).atlases[0].spec["names"] == ["right", "wrong"]
    linear = settled(explore(model, sides[1], train=sides[0], kind="pca", probe="linear"))
    assert linear.atlases[0].spec["flag"].startswith("classified wrongly")


def test_a_click_plays_the_clip_beside_its_nearest(explorer, sides):
    explorer.atlases[0]._heed(None, {"picked": 4}, [])
    assert explorer.picked == 4 and len(explorer.neighbours[0]) == 5 and len(explorer.player.spec["cells"]) == 6 and explorer.player.playing
    assert sides[1].table["name"].iloc[4] in explorer._heading.text
    explorer._list.value = explorer.neighbours[0][0][0]
    assert explorer.picked == explorer._list.value != 4
    explorer.player._heed(None, {"picked": {"cell": 2, "person": -1, "joint": -1, "frame": 0}}, [])
    assert explorer.picked == np.frombuffer(explorer.atlases[0]._marked, "<u4")[0]
    with pytest.raises(ValueError):
        explorer.pick(10_000)


def test_a_drawing_gives_clips_to_python(explorer, sides):
    heard = []
    explorer.on_select(heard.append)
    rows = np.arange(18, dtype="<u4")
    explorer.atlases[0]._heed(None, {"chosen": 18}, [rows.tobytes()])
    assert (heard[0] == rows).all() and (explorer.selected == rows).all() and len(explorer.player.spec["cells"]) == 16
    assert "18 clips are chosen, 16 of them play" in explorer._heading.text
    assert list(explorer.selection.table["name"]) == list(sides[1].table["name"].iloc[:18])
    explorer.selected = [str(sides[1].table["name"].iloc[3])]
    assert list(explorer.selected) == [3] == list(explorer.atlases[0].chosen)
    explorer.selected = []
    assert not len(explorer.selection) and explorer._heading.text == "No clip is chosen."
    with pytest.raises(ValueError):
        explorer.selected = [10_000]


def test_colours_and_dimensions(explorer, sides):
    for colour, name in (("subject", "subject "), ("camera", "camera "), ("cluster", "cluster 1"), ("label", sides[1].classes[0])):
        explorer.colour.value = colour
        assert settled(explorer).atlases[0].spec["names"][0].startswith(name)
    explorer.dimensions.value = 3
    assert settled(explorer).atlases[0].spec["deep"]
    explorer.projection.value = "tsne"
    before = explorer.atlases[0].points
    assert settled(explorer).said == "" and before is not None


def test_representations_and_streams(explorer):
    representation, stream = explorer.choices
    assert [name for name in representation.options] == ["c", "z_gen", "z_clr"] and [name for name, _ in stream.options] == ["all", "joint", "motion", "bone"]
    explorer.pick(2)
    seen = {explorer.atlases[0].points}
    for box, value in ((representation, "z_clr"), (stream, 1), (representation, "z_gen")):
        box.value = value
        seen.add(settled(explorer).atlases[0].points)
        assert explorer.picked == 2 and explorer.said == ""
    assert len(seen) == 4


@pytest.mark.parametrize("name", ["crrl", "actclr", "focovil", "combined"])
def test_every_method(name, data, sides):
    made = build(name, data.skeleton)
    made.prepare(sides[0])
    panel = settled(explore(made, sides[1], train=sides[0], kind="pca"))
    assert isinstance(panel, LatentExplorer) and panel.said == "" and "classified wrongly" in panel.atlases[0].spec["flag"]


def test_two_runs_share_what_is_chosen(model, data, sides):
    pair = settled(explore([model, build("focovil", data.skeleton)], sides[1], kind="pca"))
    assert [side.title for side in pair._sides] == ["SwapCLR (first)", "FoCoViL (second)"] and not flags(pair).any()
    pair.atlases[1]._heed(None, {"chosen": 3}, [np.array([7, 3, 5], "<u4").tobytes()])
    assert list(pair.atlases[0].chosen) == [3, 5, 7] == list(pair.selected)
    pair.pick(1)
    assert len(pair.neighbours) == 2 and len(pair.player.spec["cells"]) == 5
    assert len(explore(model, sides[1], beside=model, kind="pca").atlases) == 2


def test_a_run_knows_its_own_split(model, data, tmp_path):
    data.save(tmp_path / "set.skel")
    train, _ = type(data).open(tmp_path / "set.skel").split("xview")
    run = fit(model, train, model.recipe(epochs=1, batch_size=16, frames=12, probes=4), to=tmp_path / "run", protocol="xview", progress=False)
    panel = settled(explore(tmp_path / "run", kind="pca"))
    assert len(panel.data) == len(data) - len(train) and "classified wrongly" in panel.atlases[0].spec["flag"] and run.finished
    whole = settled(explore(tmp_path / "run", tmp_path / "set.skel", kind="pca", colour="error"))
    assert not whole.atlases[0].spec["flag"] and "none is left" in whole.said  # every clip that it could be fitted on is shown
    (tmp_path / "set.skel" / "set.json").unlink()
    assert "set.json" in explore(tmp_path / "run").said


def test_features_in_memory(data):
    features = torch.randn(len(data), 2, 6, generator=torch.Generator().manual_seed(0))
    panel = settled(explore(features={"one": features, "two": features[:, 0]}, data=data, kind="pca", colour="error"))
    assert "runs only" in panel.said and panel.choices[0].options == ("one", "two")
    assert "8 clips" not in panel._title.text and len(explore(features=features.numpy()[:, 0], data=data, kind="pca").atlases) == 1


def test_what_cannot_be_shown_is_a_sentence(model, data, sides, tmp_path):
    broken = np.zeros((len(data), 4))
    broken[3, 1] = np.nan
    for panel, said in ((explore(features=broken, data=data), f"the first is {data.table['name'].iloc[3]}"),
                        (explore(features=broken[:4], data=data), "60 names for 4"),
                        (explore(features=broken), "give the clips"), (explore(model), "give `data`"), (explore(object(), data), "expected a trained run"),
                        (explore(tmp_path / "none", data), "no such run folder"), (explore(model, tmp_path / "none"), "no such folder"),
                        (explore(model, data.select([])), "no clip"), (explore(build("swapclr", KINECT20), data), "skeleton")):
        assert type(panel) is Panel and said in panel.said, panel.said
    assert "none is left" in settled(explore(model, data, train=data, kind="pca", colour="error")).said
    assert "give `train`" in settled(explore(model, data, kind="pca", colour="error")).said


@pytest.mark.parametrize("clips", [1, 2, 3])
def test_few_clips(model, sides, clips):
    panel = settled(explore(model, sides[1].select(range(clips)), train=sides[0], kind="umap"))
    assert f"UMAP needs at least 5 clips, there are {clips}" in panel.said
    panel.colour.value = "cluster"
    settled(panel).pick(0)
    assert len(panel.neighbours[0]) == clips - 1 and "take PCA" in panel.said


def test_one_class_and_wrong_options(model, data):
    only = data.select(data.table["label"].to_numpy() == 0)
    assert settled(explore(model, only, kind="pca", clusters=2, colour="cluster")).atlases[0].spec["names"] == ["cluster 1", "cluster 2"]
    for wrong in ({"kind": "mds"}, {"dimensions": 4}, {"colour": "age"}, {"probe": "svm"}, {"neighbours": 0}, {"clusters": 0}, {"features": np.zeros((60, 2))}):
        with pytest.raises(ValueError):
            explore(model, data, **wrong)
    with pytest.raises(ValueError):
        explore()


def test_page(explorer):
    page = explorer.to_html()
    assert 1e5 < len(page) < 3e6 and "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert len(explorer.to_html(megabytes=.01)) < len(page)
