"Sets that grow on disk, and imports that are stopped, killed and gone on with."
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from skelbench.clips import SkeletonSet, checked_clip
from skelbench.importing import _alone, gather
from skelbench.skeleton import BODY17
from skelbench.sources import Release, Unit, Unusable, members
from skelbench.writing import SetWriter

ROOT = Path(__file__).resolve().parents[1]


def numbered_clips(unit):
    "One or two clips from a file of a number, which says how; from 20 on they wait as long as there is a file `hold` beside them."
    number, hold = int(unit.members[0].read()), Path(unit.members[0].source, "hold")
    while number >= 20 and hold.exists():
        time.sleep(.01)
    if number % 10 == 7:
        raise Unusable(f"seven: line {number}")
    random = np.random.default_rng(number)
    return [{"joints": random.normal(size=(5 + number % 4, 1 + number % 2, 17, 3)), "name": f"{unit.name}{part}", "label": number % 3,
             "subject": number % 4, "fps": 30} for part in "ab"[:1 + number % 2]]


def release(folder, count=60):
    "Files of a number each, and the release that they are."
    if not folder.exists():
        folder.mkdir()
        for number in range(count):
            (folder / f"f{number:03}.txt").write_text(str(number))
    return Release([Unit(m.name, (m,)) for m in members(folder, ".txt")], numbered_clips, BODY17, ["a", "b", "c"],
                   {"xsub": {"column": "subject", "train": [0, 1], "test": [2, 3]}}, source="made")


def content(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_any_number_of_processes_gives_the_same_set(tmp_path):
    made = release(tmp_path / "files")
    one, left_out = gather(made, "made", tmp_path / "one.skel", workers=1, progress=False)
    two, again = gather(made, "made", tmp_path / "two.skel", workers=2, progress=False)
    assert content(tmp_path / "one.skel") == content(tmp_path / "two.skel") and left_out == again
    assert left_out == {"seven": [f"f{n:03}.txt: line {n}" for n in range(7, 60, 10)]} and one.left_out == {"seven": 6}
    assert len(one) == 60 + 30 - 2 * 6 and one.people == 2 and [len(side) for side in one.split("xsub")] == [39, 39]
    clips = [clip for unit in made.units if int(unit.name[1:4]) % 10 != 7 for clip in numbered_clips(unit)]
    expected = SkeletonSet.from_clips(clips, BODY17, ["a", "b", "c"], "made", made.protocols)
    assert np.array_equal(one.joints, expected.joints) and np.array_equal(one.valid, expected.valid) and one.table.equals(expected.table)


SCRIPT = """
import signal, sys; sys.path[:0] = [{root!r}, {tests!r}]
signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs the tests in the background ignores it, and so would this process
from pathlib import Path
import skelbench.importing as importing
importing.NOTED, importing.PORTION = 0, (2, 10**9)
from test_importing import release
if __name__ == "__main__":
    importing.gather(release(Path({files!r})), "made", {to!r}, workers={workers}, progress=False)
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_import_goes_on(tmp_path, workers, how):
    files, to = tmp_path / "files", tmp_path / "a.skel"
    whole, _ = gather(release(files), "made", tmp_path / "whole.skel", workers=1, progress=False)
    (tmp_path / "run.py").write_text(SCRIPT.format(root=str(ROOT), tests=str(ROOT / "tests"), files=str(files), to=str(to), workers=workers))
    (files / "hold").touch()
    process = subprocess.Popen([sys.executable, str(tmp_path / "run.py")], stderr=subprocess.DEVNULL, start_new_session=True)
    note, end = tmp_path / ".a.skel.importing" / "note.json", time.monotonic() + 60
    while not (note.exists() and '"done": 20' in note.read_text()):  # all before those that wait
        assert time.monotonic() < end and process.poll() is None
        time.sleep(.005)
    with pytest.raises(FileExistsError, match=f"being written by another import, process {process.pid}: wait"):
        gather(release(files), "made", to, overwrite=True, progress=False)
    os.killpg(process.pid, how) if how == signal.SIGKILL else os.kill(process.pid, how)
    (files / "hold").unlink()
    process.wait(30)
    assert not to.exists() and note.exists()
    subprocess.run([sys.executable, str(tmp_path / "run.py")], check=True, timeout=60)
    assert content(to) == content(tmp_path / "whole.skel") and not list(tmp_path.glob(".*"))
    assert SkeletonSet.open(to).fingerprint == whole.fingerprint


def test_one_import_at_a_time(tmp_path):
    made, to = release(tmp_path / "files"), tmp_path / "sets" / "a.skel"
    with _alone(to) as place:
        assert os.getpid() == int(Path(f"{place}.lock").read_text()) and place.parent == to.parent
        with pytest.raises(FileExistsError, match=f"process {os.getpid()}"):
            gather(made, "made", to, progress=False)
    assert not list(to.parent.iterdir())
    Path(f"{place}.lock").write_text("4194304")  # left by one that was killed
    gather(made, "made", to, progress=False)
    assert [p.name for p in to.parent.iterdir()] == ["a.skel"]


def fatal_clips(unit):
    "A clip, or the end of the process that reads it."
    if unit.name == "f030.txt" and not Path(unit.members[0].source).with_name("once").exists():
        Path(unit.members[0].source).with_name("once").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return numbered_clips(unit)


@pytest.mark.slow
def test_a_worker_that_dies_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("skelbench.importing.PORTION", (2, 10**9))
    monkeypatch.setattr("skelbench.importing.NOTED", 0)
    made = release(tmp_path / "files")._replace(clips=fatal_clips)
    with pytest.raises(ChildProcessError, match="was killed.*goes on"):
        gather(made, "made", tmp_path / "a.skel", workers=2, progress=False)
    assert [p.name for p in tmp_path.glob(".*")] == [".a.skel.importing"]
    gather(made, "made", tmp_path / "a.skel", workers=2, progress=False)
    gather(release(tmp_path / "files"), "made", tmp_path / "b.skel", workers=1, progress=False)
    assert content(tmp_path / "a.skel") == content(tmp_path / "b.skel")


def test_what_was_begun_otherwise_is_begun_anew(tmp_path):
    made = release(tmp_path / "files")
    notes = ('{', '{"arrays": null, "rows": 3, "about": {}}', '{"arrays": {"joints": 12}, "rows": 1, "about": {"identity": "another", "done": 4}}')
    for spoil in ({"rows.jsonl": "{"}, *({"note.json": note} for note in notes)):
        place = tmp_path / ".a.skel.importing"
        place.mkdir()
        for name, text in spoil.items():
            (place / name).write_text(text)
        found, _ = gather(made, "made", tmp_path / "a.skel", overwrite=True, progress=False)
        assert len(found) == 78 and not place.exists()


def test_nothing_usable_leaves_nothing(tmp_path):
    made = release(tmp_path / "files")
    with pytest.raises(ValueError, match="nothing usable; seven: 1 .as f007.txt: line 7"):
        gather(made._replace(units=made.units[7:8]), "made", tmp_path / "a.skel", progress=False)
    (tmp_path / "b.skel").mkdir()
    with pytest.raises(FileExistsError):
        gather(made, "made", tmp_path / "b.skel", overwrite=True, progress=False)
    with pytest.raises(ValueError, match="workers"):
        gather(made, "made", tmp_path / "a.skel", workers=0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.skel", "files"]


def test_a_set_is_replaced_only_when_the_new_one_is_whole(tmp_path):
    made = release(tmp_path / "files")
    gather(made, "made", tmp_path / "a.skel", progress=False)
    before = content(tmp_path / "a.skel")
    with pytest.raises(ValueError):
        gather(made._replace(units=made.units[7:8]), "made", tmp_path / "a.skel", overwrite=True, progress=False)
    assert content(tmp_path / "a.skel") == before
    small, _ = gather(made._replace(units=made.units[:3]), "made", tmp_path / "a.skel", overwrite=True, progress=False)
    assert len(small) == 4 and content(tmp_path / "a.skel") != before


def test_writer_takes_the_arrays_of_its_first_clip(tmp_path):
    writer = SetWriter(tmp_path / "a", BODY17)
    clip = {"joints": np.zeros((3, 1, 17, 3)), "name": "a", "label": 0}
    writer.add(*checked_clip(clip | {"frame_labels": [0, 1, 0]}, BODY17))
    with pytest.raises(ValueError, match="'b' has joints, valid, those before it frame_labels, joints, valid"):
        writer.add(*checked_clip(clip | {"name": "b"}, BODY17))
    writer.finish(["one"], "labels")
    assert SkeletonSet.open(tmp_path / "a").frame_labels.tolist() == [0, 1, 0]
