"What `skelbench data ...` does, asked as a user asks."
import json
import zipfile

import numpy as np
import pytest
from made_generic import STRANGE
from test_cli import said

from skelbench.cli import main
from skelbench.clips import SkeletonSet
from skelbench.datasets import FORMATS, import_set
from skelbench.generic import UNCERTAIN


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    "Sixty clips as CSV files in folders that are their actions, made by the commands themselves; another set; a bad file."
    folder = tmp_path_factory.mktemp("data")
    from skelbench.synthetic import make_synthetic
    data = make_synthetic(clips=60, seed=0)
    data.save(folder / "a.skel")
    for row, (name, label) in enumerate(zip(data.table["name"], data.table["label"])):
        clip = data.clip(row)
        values = np.where(clip.valid[0, 0, ..., None], clip.joints[0, 0], np.nan)
        header = ["time"] + [f"{joint}_{axis}" for joint in data.skeleton.joints for axis in "xyz"]
        lines = [",".join(header)] + [",".join([f"{t / 30:.4f}"] + [f"{x:.5f}" if x == x else "" for x in frame.ravel()]) for t, frame in enumerate(values)]
        path = folder / "csv" / data.classes[label] / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines))
    (folder / "csv" / "bow" / "bad.csv").write_text(lines[0] + "\n1,2\n")
    return folder


def test_formats_say_their_options(capsys):
    status, found, _ = said(capsys, "data", "formats", "--json")
    assert status == 0 and set(found) == set(FORMATS) and "fps" in found["bvh"]["options"] and found["ntu"]["tested on"] == "made files"


def test_dry_run_then_import_then_a_page(capsys, place):
    status, dry, _ = said(capsys, "data", "import", "generic", place / "csv", "--dry-run", "--json")
    assert status == 0 and dry["files"] == 61 and not (place / "b.skel").exists()
    (place / "mapping.json").write_text(json.dumps(dry["mapping"]))
    status, made, _ = said(capsys, "data", "import", "generic", place / "csv", place / "b.skel", "--option", f"mapping={place / 'mapping.json'}", "--json")
    assert status == 0 and made["clips"] == 60 and sum(made["left_out"].values()) == 1 and [*made["left_out_names"].values()][0][0].startswith("bow/bad.csv")
    own, there = SkeletonSet.open(place / "a.skel"), SkeletonSet.open(place / "b.skel")
    for row in range(0, 60, 7):
        clip, other = there.clip(row), own.clip(there.table["name"].iloc[row].split("/")[-1])
        assert np.allclose(clip.joints[0, 0], other.joints[0, 0], atol=2e-5) and np.array_equal(clip.valid[0, 0], other.valid[0, 0])
        assert there.classes[int(clip.label)] == own.classes[int(other.label)]
    status, told, _ = said(capsys, "data", "export", place / "b.skel", place / "b.html", "--to", "html", "--json")
    assert status == 0 and "sb-player" in (place / "b.html").read_text()
    status, _, err = said(capsys, "data", "export", place / "b.skel", place / "b.html", "--to", "html")
    assert status == 2 and "exists already" in err


def test_an_import_says_what_is_uncertain(capsys, tmp_path):
    "The lines of the dry run, on stderr before the bar; none where a mapping is given, or nothing is guessed."
    STRANGE["rows_of_numbers"](tmp_path / "rows")
    assert main(["data", "import", "generic", str(tmp_path / "rows"), "--dry-run"]) == 0
    dry = capsys.readouterr().out.splitlines()
    asked = dry[dry.index(UNCERTAIN):dry.index("Joints") - 1]
    assert [line.split()[0] for line in asked[1:]] == ["body", "frames", "label"]
    assert main(["data", "import", "generic", str(tmp_path / "rows"), str(tmp_path / "a.skel")]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines()[:4] == asked and "clips: 4" in out.splitlines()
    status, made, err = said(capsys, "data", "import", "generic", tmp_path / "rows", tmp_path / "b.skel", "--json")
    assert status == 0 and err == "" and made["uncertain"] == [line.strip() for line in asked[1:]]
    status, dry, _ = said(capsys, "data", "import", "generic", tmp_path / "rows", "--dry-run", "--json")
    (tmp_path / "mapping.json").write_text(json.dumps(dry["mapping"]))
    command = ("data", "import", "generic", tmp_path / "rows", tmp_path / "c.skel", "--option", f"mapping={tmp_path / 'mapping.json'}")
    assert said(capsys, *command, "--json")[1]["uncertain"] == []
    import_set("generic", tmp_path / "rows", tmp_path / "d.skel")
    assert capsys.readouterr().err.splitlines()[:4] == asked
    e, _ = import_set("generic", tmp_path / "rows", tmp_path / "e.skel", progress=False)
    assert capsys.readouterr().err == "" and e.name == "e" and SkeletonSet.open(tmp_path / "c.skel").name == "c"  # by its folder; a data set by its own name


def test_parts_and_wholes(capsys, place):
    status, part, _ = said(capsys, "data", "select", place / "a.skel", place / "part.skel", "--classes", "bow,clap", "--json")
    assert status == 0 and 0 < part["clips"] < 60 and set(part["class_names"]) == {"bow", "clap"}
    status, train, _ = said(capsys, "data", "select", place / "a.skel", place / "train.skel", "--protocol", "xview", "--side", "train", "--json")
    assert status == 0 and train["clips"] == len(SkeletonSet.open(place / "a.skel").split("xview")[0])
    status, both, _ = said(capsys, "data", "merge", place / "a.skel", place / "part.skel", place / "both.skel", "--json")
    assert status == 0 and both["clips"] == 60 + part["clips"]
    for to in ("csv", "npz", "bvh"):
        status, out, _ = said(capsys, "data", "export", place / "part.skel", place / f"out.{to}", "--to", to, "--json")
        assert status == 0 and (place / f"out.{to}").exists()


@pytest.mark.parametrize("words, says", [
    (("import", "generic", "{place}/csv"), "--dry-run"), (("import", "nothing", "{place}/csv", "{place}/x.skel"), "unknown format 'nothing'"),
    (("import", "sbu", "{place}/csv", "{place}/x.skel", "--option", "fps=3"), "no option 'fps'"), (("import", "bvh", "{place}/gone", "{place}/x.skel"), "gone"),
    (("import", "bvh", "{place}/csv", "{place}/x.skel"), "holds no .bvh"), (("import", "ntu", "{place}/bomb.zip", "{place}/x.skel"), "nothing usable"),
    (("import", "generic", "{place}/csv", "{place}/a.skel"), "exists already"), (("select", "{place}/a.skel", "{place}/x.skel", "--classes", "fly"), "fly"),
    (("select", "{place}/a.skel", "{place}/x.skel", "--subjects", "one"), "whole numbers"), (("merge", "{place}/a.skel", "{place}/x.skel"), "two sets"),
])
def test_what_cannot_be_done_is_one_line(capsys, place, words, says):
    with zipfile.ZipFile(place / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("S001C001P001R001A001.skeleton", bytes(25_000_000))
    status, _, err = said(capsys, "data", *(str(word).format(place=place) for word in words))
    lines = [line for line in err.splitlines() if line.startswith("skelbench: ")]  # there may be a bar, too
    assert status == 2 and len(lines) == 1 and says in lines[0] and "Traceback" not in err, err
    assert not (place / "x.skel").exists() and not list(place.glob(".*"))


def test_download_says_whom_to_ask_and_what_is_missing(capsys, tmp_path):
    status, found, _ = said(capsys, "data", "download", "--json")
    assert status == 0 and "can be fetched" in found["cmu"] and "to be asked for" in found["ntu60"]
    (tmp_path / "S001C001P001R001A001.skeleton").write_text("1")
    status, found, _ = said(capsys, "data", "download", "ntu60", tmp_path, "--json")
    assert status == 0 and [found[k] for k in ("expected", "found", "missing")] == [56_880, 1, 56_879]
    assert any("--option part=60" in line for line in found["steps"])
    status, found, _ = said(capsys, "data", "download", "cmu", tmp_path / "cmu", "--json")
    assert status == 0 and any("Terms: " in line for line in found["steps"]) and not (tmp_path / "cmu").exists()  # nothing is fetched without --agree
    status, _, err = said(capsys, "data", "download", "kinetics", tmp_path)
    assert status == 2 and "kinetics" in err
