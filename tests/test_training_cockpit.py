"The cockpit without a browser: every state a run can be in, what is chosen, control, resume, and what cannot be shown."
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from skelbench import watching
from skelbench.datasets import open_set
from skelbench.skeleton import BODY17
from skelbench.swapclr import SwapCLR
from skelbench.synthetic import make_synthetic
from skelbench.training import fit, seed_everything
from skelbench.training_cockpit import MOST_RUNS, Cockpit, watch
from skelbench.watching import Watched, maps, plane, probe_clip, resume_run, unresumable


def snapshot(folder, epoch, clips=6, joints=True, embedding=None, people=1, frames=9):
    g = np.random.default_rng(epoch)
    truth = g.normal(size=(clips, people, frames, 17, 3)).astype(np.float32)
    tensors = {"embedding": g.normal(size=(clips, 1, 16)).astype(np.float32) if embedding is None else embedding, "truth": truth,
               "valid": np.ones(truth.shape[:-1], bool), "label": np.arange(clips) % 3, "index": 10 * np.arange(clips), "frames": np.full(clips, frames)}
    (folder / "snapshots").mkdir(exist_ok=True)
    save_file(tensors | ({"joints": truth + np.float32(.1)} if joints else {}), folder / "snapshots" / f"epoch_{epoch:04d}.safetensors")


def write(folder, epochs=3, total=10, snapshots=(2,), control="run", **info):
    "A run folder as a training leaves it after so many epochs."
    folder.mkdir(parents=True, exist_ok=True)
    said = {"format": 1, "method": "SwapCLR", "module": "skelbench.swapclr", "arguments": {"temperature": .1}, "data": None, "set": "s", "fingerprint": "f",
            "protocol": "xview", "clips": 9, "device": "cpu", "command": ["x"], "epoch": epochs, "seconds": 1., "finished": epochs == total,
            "recipe": {"epochs": total, "probes": 6, "snapshot_every": 2, "seed": 0}, "skeleton": BODY17.to_dict(), "start_from": None} | info
    (folder / "run.json").write_text(json.dumps(said))
    lines = [{"epoch": e, "loss": 5 / e, "contrast": 4.3, "chance_contrast": 4.33, "gradient_norm_encoder": 1., "seconds": 2.} for e in range(1, epochs + 1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for epoch in snapshots:
        snapshot(folder, epoch)
    (folder / "control").write_text(control + "\n")
    return folder


@pytest.fixture
def opened():
    "watch, and closed afterwards."
    there = []

    def open_cockpit(*given, **options):
        there.append(watch(*given, **{"refresh": 30., **options}))
        return there[-1]

    yield open_cockpit
    for panel in there:
        panel.close()


def text(cockpit):
    return cockpit.board.rows[cockpit.board.chosen]["text"]


def test_a_run_that_trains(tmp_path, opened):
    folder = write(tmp_path / "a", snapshots=(2, 4))
    cockpit = opened(folder)
    assert isinstance(cockpit, Cockpit) and cockpit.states == {"a": "training"} and text(cockpit) == "training: epoch 3 of 10, 6 s, about 14 s to go"
    assert cockpit.epoch == 4 and cockpit.at_chance == {"a": ["contrast"]} and cockpit.map.spec["count"] == 6 and len(cockpit.metrics()) == 3
    assert "to 173 mm" in cockpit._words.text and cockpit._clip.options[1][0] == "class 1 · clip 10"
    write(folder, epochs=5, snapshots=(6,))
    cockpit.refresh()
    assert cockpit.epoch == 6 and "epoch 5 of 10" in text(cockpit)  # at the newest it stays at the newest
    cockpit.epoch = 2
    snapshot(folder, 8)
    cockpit.refresh()
    assert cockpit.epoch == 2 and cockpit._slider.options[-1] == ("8", 8)  # one who looks back is left there


def test_nothing_new_sends_nothing(tmp_path, opened, monkeypatch):
    cockpit = opened(write(tmp_path / "a"))
    sent = []
    for widget in (cockpit.board, cockpit.curves, cockpit.map, cockpit.player):
        widget.observe(lambda change: sent.append(change["name"]))
    read = []
    monkeypatch.setattr(watching.json, "loads", lambda line, loads=json.loads: read.append(line) or loads(line))
    cockpit.refresh()
    assert sent == [] and len(read) == 1  # run.json alone
    with (tmp_path / "a" / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"epoch": 4, "loss": 1., "seconds": 2.}) + "\n")
    cockpit.refresh()
    assert set(sent) == {"rows", "spec", "data"} and len(cockpit.metrics()) == 4  # neither map nor player


@pytest.mark.parametrize("word, state", [("pause", "pausing"), ("stop", "stopping"), ("anything", "training")])
def test_states_by_the_control_file(tmp_path, word, state):
    folder = write(tmp_path / "a", control=word)
    run = Watched(folder)
    run.read()
    assert run.state == state
    write(folder, control=word, obeyed=word)  # whatever was written last
    (folder / "control").touch()
    run.read()
    assert run.state == {"pause": "paused", "stop": "stopped"}.get(word, state)
    (folder / "control").write_text("run\n")
    run.read()
    assert run.state == "training"


def test_silence_the_first_epoch_and_the_end(tmp_path, monkeypatch):
    folder, run = write(tmp_path / "a", epochs=0, snapshots=()), Watched(tmp_path / "a")
    run.read()
    assert run.state == "training" and run.text == "its first epoch of 10 is under way"
    write(folder, epochs=2)
    later = time.time() + 300
    monkeypatch.setattr(watching.time, "time", lambda: later)
    run.read()
    assert run.state == "silent" and "nothing was written for 5 min" in run.text
    write(folder, epochs=10)
    run.read()
    assert run.state == "finished" and run.text == "finished: epoch 10 of 10, 20 s"


def test_half_a_line_a_damaged_line_and_a_new_file(tmp_path):
    folder, run = write(tmp_path / "a"), Watched(tmp_path / "a")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 4, "lo')
    run.read()
    assert run.epoch == 3 and "half-written last line is left out" in run.text
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('ss": 1}\n[]\n{"epoch": 5}\n')
    run.read()
    assert run.epoch == 4 and "line 5 of metrics.jsonl is damaged" in run.text
    watching_again = folder / "beside"
    watching_again.write_text('{"epoch": 1, "loss": 2}\n')
    watching_again.replace(folder / "metrics.jsonl")  # as a resumed run does
    run.read()
    assert run.epoch == 1 and "damaged" not in run.text


def test_folders_that_are_none_yet_none_or_no_more(tmp_path, opened):
    cockpit = opened(tmp_path / "a")
    assert cockpit.states == {"a": "waiting"} and "no such folder yet" in text(cockpit) and cockpit.to_html()
    (tmp_path / "a").mkdir()
    cockpit.refresh()
    assert "holds no run" in text(cockpit)
    (tmp_path / "a" / "run.json").write_text("{")
    cockpit.refresh()
    assert "damaged" in text(cockpit)
    write(tmp_path / "a", epochs=0, snapshots=())
    cockpit.refresh()
    assert "first epoch" in text(cockpit) and "after epoch 2" in cockpit._words.text and cockpit.map is None
    write(tmp_path / "a")
    cockpit.refresh()
    assert cockpit.epoch == 2 and cockpit._below.children
    snapshot(tmp_path / "a", 4)
    cockpit.refresh()
    shutil.rmtree(tmp_path / "a")
    cockpit.refresh()
    assert cockpit.states == {"a": "deleted"} and "was deleted" in text(cockpit) and cockpit.curves.spec["runs"][0]["count"] == 3
    cockpit.epoch = 2
    assert "cannot be read" in cockpit._words.text or "No clip" in cockpit._words.text
    cockpit._stop.click()
    assert not (tmp_path / "a").exists() and cockpit._stop.disabled


def test_a_folder_of_runs_grows(tmp_path, opened):
    write(tmp_path / "runs" / "a")
    cockpit = opened(tmp_path / "runs")
    write(tmp_path / "runs" / "b", arguments={"temperature": 10.}, recipe={"epochs": 10, "probes": 0})
    (tmp_path / "runs" / "not a run").mkdir()
    cockpit.refresh()
    assert list(cockpit.states) == ["a", "b"] and [line[0] for line in cockpit.board.settings] == ["temperature", "probes", "snapshot_every", "seed"]
    cockpit.chosen = "b"
    shutil.rmtree(tmp_path / "runs" / "b" / "snapshots")
    cockpit.refresh()
    assert "probes=0" in cockpit._words.text and cockpit._below.children == ()
    shutil.rmtree(tmp_path / "runs")
    cockpit.refresh()
    assert set(cockpit.states.values()) == {"deleted"} and len(cockpit.states) == 2
    for k in range(MOST_RUNS + 3):
        write(tmp_path / "many" / f"r{k}", epochs=1, snapshots=())
    many = opened(tmp_path / "many")
    assert len(many.states) == MOST_RUNS and many._more.text == f"The {MOST_RUNS} newest of {MOST_RUNS + 3} runs."
    same = opened([write(tmp_path / "x" / "split1"), write(tmp_path / "y" / "split1")])
    assert list(same.states) == ["x/split1", "y/split1"]


@pytest.mark.parametrize("clips", (1, 2, 6))
def test_few_clips_one_class_and_what_is_not_finite(tmp_path, opened, clips):
    folder = write(tmp_path / "a", snapshots=())
    snapshot(folder, 2, clips=clips)
    bad = np.full((clips, 1, 16), np.nan, np.float32)
    snapshot(folder, 4, clips=clips, embedding=bad, joints=False)
    snapshot(folder, 6, clips=clips, embedding=np.ones_like(bad))
    cockpit = opened(folder)
    assert cockpit.map.spec["count"] == clips and np.isfinite(plane(np.ones((clips, 4)))[0]).all()
    cockpit.epoch = 4
    assert "No map: the embedding is not finite" in cockpit._words.text and "hold no reconstruction" in cockpit._words.text
    assert cockpit._pair.children == (cockpit.player,) and cockpit.to_html()
    cockpit.epoch = 2
    assert cockpit._pair.children == (cockpit.map, cockpit.player)


def test_nobody_absent_people_and_damaged_snapshots(tmp_path, opened):
    folder = write(tmp_path / "a", snapshots=())
    snapshot(folder, 2, people=2)
    path = folder / "snapshots" / "epoch_0002.safetensors"
    from safetensors.numpy import load_file

    kept = load_file(path)
    kept["valid"][0] = False
    kept["valid"][1, 1] = False
    save_file(kept, path)
    assert probe_clip(path, 1)["truth"].shape == (1, 9, 17, 3) and probe_clip(path, 2)["truth"].shape[0] == 2
    cockpit = opened(folder)
    assert "no joint was observed" in cockpit._words.text
    cockpit.clip = 1
    assert cockpit.player.spec["motions"][0]["people"] == 1 and "mm" in cockpit._words.text
    (folder / "snapshots" / "epoch_0004.safetensors").write_bytes(b"half")
    cockpit.refresh()
    assert "cannot be read" in cockpit._words.text


def test_maps_keep_their_axes_and_are_not_drawn_twice(tmp_path, monkeypatch):
    g = np.random.default_rng(0)
    x, folder = g.normal(size=(20, 16)).astype(np.float32), write(tmp_path / "a", snapshots=())
    for epoch in (2, 4, 6):
        turn, _ = np.linalg.qr(g.normal(size=(16, 16)))  # the network has turned its features
        snapshot(folder, epoch, clips=20, embedding=(x @ turn).astype(np.float32)[:, None])
    run = Watched(folder)
    run.read()
    known = maps(run.snapshots)
    (a, share), (b, _), (c, _) = known.values()
    assert np.allclose(a, b, atol=1e-4) and np.allclose(a, c, atol=1e-4) and 0 < share < 1
    monkeypatch.setattr(watching, "plane", None)
    assert maps(run.snapshots, known) is known and len(known) == 3


def test_buttons_write_what_a_training_reads(tmp_path, opened):
    folder = write(tmp_path / "a")
    cockpit = opened(folder)
    assert [b.disabled for b in (cockpit._pause, cockpit._stop, cockpit._resume)] == [False, False, True]
    cockpit._pause.click()
    assert (folder / "control").read_text() == "pause\n" and cockpit.states == {"a": "pausing"}
    cockpit._resume.click()
    assert (folder / "control").read_text() == "run\n" and cockpit.states == {"a": "training"}
    cockpit.stop()
    write(folder, control="stop", obeyed="stop")
    cockpit.refresh()
    assert cockpit.states == {"a": "stopped"} and not cockpit._resume.disabled and "set in memory" in cockpit._how.text
    cockpit._resume.click()
    assert "set in memory" in cockpit.said and cockpit.processes == {} and (folder / "control").read_text() == "stop\n"
    cockpit.refresh()
    assert "set in memory" in cockpit.said  # what went wrong is not wiped away by the next look


def test_a_process_that_dies_is_heard(tmp_path, opened, monkeypatch):
    folder = write(tmp_path / "a", control="stop", obeyed="stop", data=str(tmp_path))
    time.sleep(.02)
    (folder / "run.json").touch()
    import skelbench.training_cockpit as module

    said = (tmp_path / "said").open("w+b")
    process = subprocess.Popen([sys.executable, "-c", "import sys; input(); sys.exit('ValueError: no clips')"], stdin=subprocess.PIPE, stderr=said)
    monkeypatch.setattr(module, "another_process", lambda folder: (process, said))
    cockpit = opened(folder)
    cockpit.resume()
    assert "process of its own" in cockpit.said
    with pytest.raises(ValueError, match="already"):
        cockpit.resume()
    process.stdin.write(b"\n")
    process.stdin.close()       # it lived until here, however slow the machine
    process.wait(20)
    module._heed_processes(cockpit)
    assert cockpit.said == "a was not resumed: ValueError: no clips" and cockpit.processes == {}


def test_the_thread_ends_with_the_run_and_with_the_cockpit(tmp_path):
    folder = write(tmp_path / "a")
    cockpit, other = watch(folder, refresh=.05), watch(write(tmp_path / "b"), refresh=.05)
    assert cockpit._looking.is_alive()
    write(folder, epochs=10)
    cockpit._looking.join(10)
    assert not cockpit._looking.is_alive() and cockpit.states == {"a": "finished"}
    other.close()
    other._looking.join(10)
    assert not other._looking.is_alive()


def test_what_is_no_run(tmp_path):
    for bad in (5, None, "", [tmp_path, 3]):
        with pytest.raises(ValueError, match="run folder"):
            watch(bad)
    with pytest.raises(ValueError, match="refresh"):
        watch(tmp_path, refresh=0)
    assert "No run was given" in watch([]).said
    assert "not saved" in watch(torch.nn.Linear(2, 2)).said


def test_choosing_what_is_not_there(tmp_path, opened):
    cockpit = opened([write(tmp_path / "a"), write(tmp_path / "b")])
    cockpit.chosen = tmp_path / "b"
    assert cockpit.board.chosen == 1 and cockpit.chosen == tmp_path / "b"
    with pytest.raises(ValueError, match="a, b"):
        cockpit.chosen = "c"


def test_class_names_and_markup(tmp_path, opened):
    data = make_synthetic(clips=48, seed=0)
    cockpit = opened(write(tmp_path / "<b>a"), data)
    assert cockpit._clip.options[0][0].startswith(data.classes[0])
    assert "<b>a" not in cockpit.to_html().replace("\\u003c", "") and "&lt;b&gt;a" in cockpit.to_html()


def test_stopped_by_the_cockpit_and_resumed_from_the_folder(tmp_path, opened):
    make_synthetic(clips=48, seed=0).save(tmp_path / "set.skel")
    train = open_set(tmp_path / "set.skel").splits("xview")[0][1]

    def model():
        seed_everything(0)
        return SwapCLR(train.skeleton, preset="small", streams=("joint",), blocks=[[8, 2]], width=16, latent=8)

    recipe = model().recipe(epochs=3, batch_size=16, frames=8, probes=4, snapshot_every=1)
    whole = fit(model(), train, recipe, to=tmp_path / "whole", protocol="xview", progress=False, device="cpu")
    import threading

    thread = threading.Thread(target=fit, args=(model(), train, recipe), kwargs={"to": tmp_path / "a", "protocol": "xview", "progress": False, "device": "cpu"})
    control = tmp_path / "a" / "control"
    thread.start()
    while thread.is_alive() and not control.exists():
        time.sleep(.001)
    cockpit = opened(tmp_path / "a")
    cockpit.stop()
    thread.join(60)
    cockpit.refresh()
    if cockpit.states["a"] == "stopped":  # it may have been quicker than we
        assert unresumable(cockpit._runs[0].info) == ""
        resume_run(tmp_path / "a", progress=False)
        cockpit.refresh()
    assert cockpit.states["a"] == "finished"
    same = whole.metrics()["loss"].tolist()
    assert cockpit.metrics()["loss"].tolist() == pytest.approx(same, abs=0)
    with pytest.raises(ValueError, match="all its epochs"):
        resume_run(tmp_path / "a")
    assert Path(tmp_path / "a" / "run.json").exists()
