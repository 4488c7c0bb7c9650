"The page of all instruments: what it opens, when, and what it says when there is nothing."
import pytest

from skelbench.panel import Panel
from skelbench.workbench import INSTRUMENTS, app, app_notebook, ready_made, run_folders, workbench

EPOCHS = {"moco": 1, "actclr": 1, "swapclr": 1, "focovil": 1}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("app")
    return ready_made(folder, clips=180, epochs=EPOCHS, device="cpu"), folder


def test_small_runs_are_made_once(runs):
    made, folder = runs
    assert [path.name.split("-")[0] for path in made] == ["swapclr", "actclr", "focovil", "moco"]
    stamps = {path: path.stat().st_mtime_ns for path in folder.glob("*/checkpoints/*")}
    assert ready_made(folder, clips=180, epochs=EPOCHS, device="cpu") == made
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*/checkpoints/*")} == stamps


@pytest.mark.parametrize("tab", range(len(INSTRUMENTS)), ids=list(INSTRUMENTS))
def test_every_instrument_opens_on_every_run(runs, tab):
    page = workbench(runs[1])
    page.tabs.selected_index = tab
    for which in range(len(runs[0])):
        page.chosen.value = which
        assert isinstance(page.instrument, Panel) and page.said == ""
        assert page.tabs.children[tab].children == (page.instrument,)
        assert len(page.instrument.children) > 3 or len(page.instrument.said) > 20  # something to look at, or a sentence that says why not


def test_tabs_open_when_they_are_looked_at(runs):
    page = workbench(runs[0][0])
    assert [bool(tab.children) for tab in page.tabs.children] == [True] + [False] * (len(INSTRUMENTS) - 1)
    first = page.instrument
    page.tabs.selected_index = 1
    page.tabs.selected_index = 0
    assert page.instrument is first


def test_nothing_to_look_at_is_said(runs, tmp_path):
    assert "no run in" in workbench(tmp_path).said and "no run" in workbench([]).said
    gone = workbench(runs[0][0], tmp_path / "gone.skel")
    assert "gone.skel" in gone.said
    with pytest.raises(FileNotFoundError, match="no run in"):
        run_folders(tmp_path)
    with pytest.raises(FileNotFoundError, match="no run in"):
        app([tmp_path], tmp_path)


def test_the_page_is_a_notebook_of_one_cell(runs, tmp_path):
    path = app_notebook(tmp_path / "new", runs[0])
    text = path.read_text()
    assert path.parent.name == "new" and "workbench(" in text and all(str(run) in text for run in runs[0])
