"fit, load, resume and the run folder, on a method small enough to check by hand."
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from skelbench import runs, storage, training
from skelbench.clips import SkeletonSet
from skelbench.pairs import draw_batches, paired_rows, scene_codes
from skelbench.recipe import Recipe, learning_rate_factor
from skelbench.runs import own_split, trained_on
from skelbench.skeleton import BODY17, KINECT20
from skelbench.training import fit, load, seed_everything

ROOT = Path(__file__).resolve().parents[1]
RECIPE = Recipe(epochs=4, batch_size=16, frames=8, learning_rate=.05, snapshot_every=2, probes=4)


def make_set(seed=0, skeleton=BODY17):
    "2 actions x 3 subjects x 4 episodes x 2 cameras = 48 clips of 5 to 9 frames."
    random, clips = np.random.default_rng(seed), []
    for label in range(2):
        for subject in range(3):
            for episode in range(4):
                for camera in range(2):
                    joints = random.normal(size=(random.integers(5, 10), 1, len(skeleton), 3)).astype(np.float32) + label
                    name = f"a{label}s{subject}e{episode}"
                    clips.append(dict(joints=joints, name=f"{name}c{camera}", label=label, subject=subject, camera=camera, scene=name, fps=30))
    return SkeletonSet.from_clips(clips, skeleton, ["first", "second"], "noise")


class Tiny(nn.Module):
    "A denoising auto-encoder with dropout, batch norm, a moving average, a buffer that `prepare` makes, and two optimizers."

    def __init__(self, skeleton, width=6, noise=.05):
        super().__init__()
        self.skeleton, self.arguments, self.noise = skeleton, {"width": width, "noise": noise}, noise
        size = len(skeleton) * 3
        self.encoder = nn.Sequential(nn.Linear(size, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(.3))
        self.decoder = nn.Linear(width, size)
        self.register_buffer("mean", None)
        self.register_buffer("average", torch.zeros(width, size))

    def prepare(self, train):
        self.mean = torch.as_tensor(train.joints[:, 0].mean(0).reshape(-1))

    def flat(self, batch):
        return batch.joints[:, 0].mean(1).flatten(1) - self.mean

    def loss(self, batch):
        x = self.flat(batch)
        code = self.encoder(x + self.noise * torch.randn_like(x))
        error, size = (self.decoder(code) - x).square().mean(), code.square().mean()
        return error + .01 * size, {"reconstruction": error, "size": size}

    def embed(self, batch):
        return self.encoder(self.flat(batch))[:, None]

    def reconstruct(self, batch):
        flat = self.decoder(self.encoder(self.flat(batch))) + self.mean
        return flat.view(len(batch), 1, 1, -1, 3).expand_as(batch.joints)

    def optimizers(self, recipe):
        return {"encoder": torch.optim.SGD(self.encoder.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay),
                "decoder": torch.optim.Adam(self.decoder.parameters(), recipe.decoder_learning_rate)}

    def after_step(self):
        self.average.lerp_(self.encoder[0].weight.detach(), .1)

    def chance(self, batch_size):
        return {"reconstruction": 1 - 1 / batch_size}

    def diagnose(self, batch):
        torch.rand(3)       # a careless method: watching must still leave no trace
        return {"spread": self.embed(batch).std()}


class Plain(nn.Module):
    "Least squares without any randomness: a loop can be written beside it."
    arguments = {}

    def __init__(self, skeleton):
        super().__init__()
        self.skeleton, self.weight = skeleton, nn.Parameter(torch.full((len(skeleton) * 3,), .1))
        self.steps = []

    def prepare(self, train):
        pass

    def loss(self, batch):
        self.steps.append(batch)
        value = (batch.joints[:, 0].mean(1).flatten(1) @ self.weight - batch.label).square().mean()
        return value, {"squares": value.detach()}

    def embed(self, batch):
        return batch.joints.mean(2).flatten(1)[:, None]

    def optimizers(self, recipe):
        return {"encoder": torch.optim.SGD([self.weight], recipe.learning_rate, recipe.momentum)}

    def after_step(self):
        pass


@pytest.fixture(scope="module")
def data():
    return make_set()


def tiny(skeleton=BODY17, **arguments):
    seed_everything(0)
    return Tiny(skeleton, **arguments)


def run_tiny(data, to=None, recipe=RECIPE, method=None, **options):
    return fit(method or tiny(), data, recipe, to=to, device="cpu", progress=False, protocol="all", **options)


def same(first, second):
    "Two runs are equal to the last bit: weights, buffers and every metric but seconds."
    a, b = first.model.state_dict(), second.model.state_dict()
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    one, two = (run.metrics().drop(columns="seconds") for run in (first, second))
    assert one.equals(two)
    return True


@pytest.fixture(scope="module")
def unbroken(data, tmp_path_factory):
    return run_tiny(data, tmp_path_factory.mktemp("runs") / "unbroken")


# ------------------------------------------------------------------ recipe and pairs

@pytest.mark.parametrize("field, value", [
    ("epochs", 0), ("epochs", 2.0), ("batch_size", 1), ("frames", 1), ("seed", -1), ("pairs", "cameras"), ("learning_rate", 0),
    ("learning_rate", float("inf")), ("momentum", 1), ("weight_decay", -1), ("drops", (("encoder", 3),)), ("drops", (("encoder", 3, 0),)),
    ("drops", 3), ("warmup", -1), ("schedule", "linear"), ("precision", "fp16"), ("gradient_clip", 0), ("snapshot_every", 0), ("probes", -1),
    ("checkpoint_every", True)])
def test_recipe_names_the_field_it_refuses(field, value):
    with pytest.raises(ValueError, match=field.removesuffix("s")):
        Recipe(**{field: value})


def test_recipe_goes_through_json_and_names_unknown_fields():
    recipe = Recipe(drops=(("encoder", 200, .1),), schedule="cosine", warmup=3)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    with pytest.raises(ValueError, match="learning_rte.*the fields are epochs"):
        recipe.replace(learning_rte=1)


def test_learning_rate_factor_by_hand():
    recipe = Recipe(epochs=10, warmup=2, drops=(("encoder", 4, .1), ("encoder", 6, .5), ("decoder", 5, .2)))
    expected = [1 / 3, 2 / 3, 1, 1, .1, .1, .05, .05, .05, .05]
    assert [learning_rate_factor(recipe, "encoder", e) for e in range(10)] == pytest.approx(expected)
    assert learning_rate_factor(recipe, "decoder", 9) == pytest.approx(.2)
    assert learning_rate_factor(Recipe(epochs=4, schedule="cosine"), "encoder", 2) == pytest.approx(.5)


@pytest.mark.parametrize("pairs", ["augmented", "scenes", "shuffled"])
def test_what_reaches_the_method(data, pairs):
    "The rows of each step and the scene codes that they carry."
    model = Plain(BODY17)
    fit(model, data, RECIPE.replace(pairs=pairs, epochs=2, probes=0, learning_rate=1e-3), device="cpu", progress=False)
    assert len(model.steps) == 6 and all(len(batch) == 16 and batch.joints.shape[2] == 8 for batch in model.steps)
    names, true = np.array(data.table["name"]), np.array(data.table["scene"])
    for batch in model.steps:
        codes, rows = batch.scene.tolist(), batch.index.tolist()
        met = [(rows[i], rows[j]) for i in range(16) for j in range(i) if codes[i] == codes[j]]
        assert len(met) == (0 if pairs == "augmented" else 8)
        for i, j in met:
            assert names[i][:4] == names[j][:4] and names[i][-1] != names[j][-1]        # same action and subject, another camera
            assert (true[i] == true[j]) == (pairs == "scenes")
    epochs = [sum((batch.index.tolist() for batch in model.steps[k:k + 3]), []) for k in (0, 3)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(48)) and epochs[0] != epochs[1]


def test_pairs_need_a_second_camera(data):
    with pytest.raises(ValueError, match="filmed by two cameras"):
        fit(tiny(), data.select(data.table["camera"] == 0), RECIPE.replace(pairs="scenes"), progress=False)


def test_clips_of_an_unknown_scene_are_no_pairs(data):
    blank = data.select(slice(None))
    blank.table["scene"] = ["" if row > 15 else scene for row, scene in enumerate(blank.table["scene"])]
    model = Plain(BODY17)
    fit(model, blank, RECIPE.replace(pairs="scenes", epochs=1, probes=0, learning_rate=1e-3), device="cpu", progress=False)
    assert sorted(model.steps[0].index.tolist()) == list(range(16)) and len(model.steps) == 1


def test_scenes_of_unequal_size_stay_whole():
    scene = torch.tensor([0, 0, 0, 1, 1, 2, 3, 3, 3, 4, 4, 5, 5])
    camera = torch.tensor([1, 2, 3, 1, 2, 1, 1, 2, 3, 2, 3, 1, 1])
    groups = paired_rows(scene_codes("scenes", scene, camera, scene, scene), camera)
    assert [g.tolist() for g in groups] == [[0, 1, 2], [3, 4], [6, 7, 8], [9, 10]]        # 2 is alone, 5 has one camera twice
    for epoch in range(20):
        for batch in draw_batches(groups, 5, 0, epoch):
            assert 3 <= len(batch) <= 5 and all(set(g.tolist()) <= set(batch.tolist()) for g in groups if set(g.tolist()) & set(batch.tolist()))


# ------------------------------------------------------------------ training

def test_fit_is_the_loop_that_one_would_write(data):
    recipe = RECIPE.replace(epochs=3, learning_rate=.002, drops=(("encoder", 2, .1),), probes=0)
    run = fit(Plain(BODY17), data, recipe, device="cpu", progress=False)
    everything = training.fixed_length(data, 8)
    weight, velocity, losses = torch.full((51,), .1, requires_grad=True), torch.zeros(51), []
    for epoch in range(3):
        rate = .002 * (.1 if epoch == 2 else 1)
        per_step = []
        for rows in draw_batches(48, 16, 0, epoch):
            batch = everything[rows]
            loss = sum((batch.joints[i, 0].mean(0).flatten() @ weight - batch.label[i]) ** 2 for i in range(16)) / 16
            gradient, = torch.autograd.grad(loss, weight)
            velocity = .9 * velocity + gradient
            weight = (weight - rate * velocity).detach().requires_grad_()
            per_step.append((loss.item(), gradient.norm().item()))
        losses.append(np.mean(per_step, 0))
    torch.testing.assert_close(run.model.weight.data, weight.data, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(run.metrics()[["loss", "gradient_norm_encoder"]], losses, rtol=1e-4)
    np.testing.assert_allclose(run.metrics()["learning_rate_encoder"], [.002, .002, .0002])


def test_the_folder_says_what_was_done(data, unbroken):
    info = json.loads((unbroken.folder / "run.json").read_text())
    assert info["format"] == 1 and info["finished"] and info["epoch"] == 4 and info["seconds"] > 0
    assert (info["method"], info["arguments"], info["protocol"]) == ("Tiny", {"width": 6, "noise": .05}, "all")
    assert info["fingerprint"] == data.fingerprint and info["clips"] == 48 and Recipe.from_dict(info["recipe"]) == RECIPE
    assert info["parameters"] == sum(p.numel() for p in unbroken.model.parameters())
    assert set(info["versions"]) == {"python", "torch", "numpy", "skelbench"} and info["command"] == sys.argv
    names = {str(path.relative_to(unbroken.folder)) for path in unbroken.folder.rglob("*") if path.is_file()}
    assert names == {".lock", "run.json", "clips.csv", "metrics.jsonl", "control", *(f"{kind}/epoch_000{e}.safetensors"
                     for kind, e in (("checkpoints", 3), ("checkpoints", 4), ("snapshots", 2), ("snapshots", 4)))}
    metrics = unbroken.metrics()
    assert list(metrics["epoch"]) == [1, 2, 3, 4] and np.isfinite(metrics).all(axis=None)
    assert {"loss", "reconstruction", "size", "chance_reconstruction", "gradient_norm_encoder", "gradient_norm_decoder",
            "learning_rate_encoder", "learning_rate_decoder", "seconds", "probe_spread"} <= set(metrics)
    assert metrics["chance_reconstruction"].eq(1 - 1 / 16).all()
    np.testing.assert_allclose(metrics["loss"], metrics["reconstruction"] + .01 * metrics["size"], rtol=1e-5)
    assert "Tiny on noise" in repr(unbroken) and "epoch 4 of 4" in repr(unbroken)


def test_a_snapshot_is_what_the_model_says_of_its_probes(unbroken, data):
    snap = load_file(unbroken.folder / "snapshots" / "epoch_0004.safetensors")
    batch = training.fixed_length(data, 8)[snap["index"]]
    assert len(batch) == 4 and torch.equal(snap["truth"], batch.joints) and torch.equal(snap["label"], batch.label)
    with torch.no_grad():
        assert torch.equal(snap["embedding"], unbroken.model.embed(batch)) and torch.equal(snap["joints"], unbroken.model.reconstruct(batch))
    assert torch.equal(load_file(unbroken.folder / "snapshots" / "epoch_0002.safetensors")["index"], snap["index"])


def test_load_gives_the_model_back(unbroken, data):
    seed_everything(5)
    expected = torch.rand(3)
    seed_everything(5)
    run = load(unbroken.folder, method=Tiny)
    assert torch.equal(torch.rand(3), expected)         # loading leaves randomness as it was
    assert same(run, unbroken) and not run.model.training and run.recipe == RECIPE and run.finished
    assert torch.equal(run.model.average, unbroken.model.average) and run.model.average.abs().sum() > 0      # after_step was called
    assert run.info == json.loads((unbroken.folder / "run.json").read_text())


def test_a_seed_gives_the_same_numbers_twice(data, unbroken):
    assert same(run_tiny(data), unbroken)
    other = run_tiny(data, recipe=RECIPE.replace(seed=1))
    assert not torch.equal(other.model.average, unbroken.model.average)


def test_watching_leaves_no_trace(data, unbroken):
    blind = run_tiny(data, recipe=RECIPE.replace(probes=0))
    assert "probe_spread" not in blind.metrics()
    assert all(torch.equal(a, b) for a, b in zip(blind.model.state_dict().values(), unbroken.model.state_dict().values()))


def test_gradients_are_clipped_and_the_norm_before_is_logged(data):
    recipe = RECIPE.replace(epochs=1, batch_size=48, learning_rate=1e-3, momentum=0., probes=0)
    free, held = (fit(Plain(BODY17), data, recipe.replace(gradient_clip=clip), device="cpu", progress=False) for clip in (None, .01))
    assert free.metrics()["gradient_norm_encoder"].item() == pytest.approx(held.metrics()["gradient_norm_encoder"].item())
    moved = [(run.model.weight.detach() - .1).norm().item() / 1e-3 for run in (free, held)]
    assert moved[0] == pytest.approx(free.metrics()["gradient_norm_encoder"].item(), rel=1e-3) and moved[1] == pytest.approx(.01, rel=1e-2)


def test_bfloat16_runs_and_the_next_run_is_float32_again(data, unbroken):
    run = run_tiny(data, recipe=RECIPE.replace(precision="bf16"))
    assert np.isfinite(run.metrics()).all(axis=None) and all(p.dtype == torch.float32 for p in run.model.parameters())
    assert not torch.equal(run.model.average, unbroken.model.average)
    assert same(run_tiny(data), unbroken)


def test_an_estimate_is_printed_when_it_takes_more_than_a_minute(data, capsys, monkeypatch):
    monkeypatch.setattr(training, "train_epoch", lambda t, epoch, bar: {"epoch": epoch + 1, "loss": 1., "seconds": 30.})
    fit(tiny(), data, RECIPE, device="cpu")
    fit(tiny(), data, RECIPE.replace(epochs=2), device="cpu")
    captured = capsys.readouterr()
    assert captured.err.count("about 2 min for the 3 to come") == 1 and captured.err.count(" to come") == 1 and captured.out == ""


# ------------------------------------------------------------------ stopping and going on

def test_more_epochs_equal_an_unbroken_run(data, unbroken, tmp_path):
    first = run_tiny(data, tmp_path / "run", RECIPE.replace(epochs=2))
    assert first.finished
    again = run_tiny(data, tmp_path / "run", resume=True, method=Tiny(BODY17))      # its own first weights do not matter
    assert same(again, unbroken) and again.info["resumed"][0]["epoch"] == 2 and again.info["started"] == first.info["started"]
    for epoch in (2, 4):
        a, b = (load_file(run.folder / "snapshots" / f"epoch_000{epoch}.safetensors") for run in (again, unbroken))
        assert all(torch.equal(a[k], b[k]) for k in a)
    assert same(run_tiny(data, tmp_path / "run", resume=True), unbroken)        # nothing left to do


class Student(Tiny):
    "Tiny that starts from a trained Tiny: its encoder's weights, and the whole of it as a frozen teacher."

    def __init__(self, skeleton, width=6, noise=.05):
        super().__init__(skeleton, width, noise)
        self.teacher = Tiny(skeleton, width, noise).requires_grad_(False)

    def start_from(self, first):
        if first.arguments["width"] != self.arguments["width"]:
            raise ValueError(f"the teacher is {first.arguments['width']} wide, the student {self.arguments['width']}")
        self.encoder.load_state_dict(first.encoder.state_dict())
        self.teacher.mean = torch.empty_like(first.mean)
        self.teacher.load_state_dict(first.state_dict())

    def loss(self, batch):
        loss, terms = super().loss(batch)
        distance = (self.embed(batch) - self.teacher.eval().embed(batch)).square().mean()
        return loss + distance, {**terms, "distance": distance}


def test_a_second_stage_starts_from_a_first(data, unbroken, tmp_path):
    short = RECIPE.replace(epochs=2)
    seed_everything(1)
    second = fit(Student(data.skeleton), data, short, to=tmp_path / "second", protocol="xview", device="cpu", progress=False, start_from=unbroken)
    origin = second.info["start_from"]
    assert (origin["method"], origin["epoch"], origin["fingerprint"]) == ("Tiny", 4, data.fingerprint) and origin["recipe"] == RECIPE.to_dict()
    assert torch.equal(second.model.teacher.decoder.weight, unbroken.model.decoder.weight)
    back = load(tmp_path / "second", Student)  # alone: the teacher is inside
    assert all(torch.equal(a, b) for a, b in zip(back.model.state_dict().values(), second.model.state_dict().values(), strict=True))
    seed_everything(1)
    again = dict(to=tmp_path / "again", protocol="xview", device="cpu", progress=False, start_from=unbroken)
    fit(Student(data.skeleton), data, RECIPE.replace(epochs=1), **again)
    resumed = fit(Student(data.skeleton), data, short, **again, resume=True)
    assert all(torch.equal(a, b) for a, b in zip(resumed.model.state_dict().values(), second.model.state_dict().values(), strict=True))


def test_what_cannot_start_from_another_says_so(data, unbroken, tmp_path):
    quiet = dict(device="cpu", progress=False)
    with pytest.raises(ValueError, match="Tiny cannot start from a Run"):
        fit(Tiny(data.skeleton), data, RECIPE, start_from=unbroken, **quiet)
    with pytest.raises(ValueError, match="cannot start from a str"):
        fit(Student(data.skeleton), data, RECIPE, start_from="a folder", **quiet)
    with pytest.raises(ValueError, match="the teacher is 6 wide, the student 7"):
        fit(Student(data.skeleton, width=7), data, RECIPE, start_from=unbroken, **quiet)
    seed_everything(1)
    fit(Student(data.skeleton), data, RECIPE.replace(epochs=1), to=tmp_path / "run", start_from=unbroken, **quiet)
    with pytest.raises(ValueError, match="start_from"):
        fit(Student(data.skeleton), data, RECIPE, to=tmp_path / "run", resume=True, **quiet)


def test_what_a_method_needs_of_a_training_set_is_asked_before_anything_is_written(data, tmp_path):
    class Picky(Tiny):
        def check(self, train):
            raise ValueError(f"{len(train)} clips are too few")

    with pytest.raises(ValueError, match="48 clips are too few"):
        fit(Picky(data.skeleton), data, RECIPE, to=tmp_path / "run", device="cpu", progress=False)
    assert not (tmp_path / "run").exists()


def test_resuming_what_never_began_starts_it(data, unbroken, tmp_path):
    assert same(run_tiny(data, tmp_path / "new", resume=True), unbroken)


def test_ctrl_c_in_an_epoch_leaves_a_run_to_resume(data, unbroken, tmp_path, capsys):
    class Interrupted(Tiny):
        calls = 0

        def loss(self, batch):
            self.calls += 1
            if self.calls == 8:     # the second of three steps in epoch 3
                raise KeyboardInterrupt
            return super().loss(batch)
    Interrupted.__name__ = "Tiny"
    seed_everything(0)
    with pytest.raises(KeyboardInterrupt):
        run_tiny(data, tmp_path / "run", method=Interrupted(BODY17))
    message = capsys.readouterr().err
    assert "resume=True" in message and "after epoch 2" in message and str(tmp_path / "run") in message
    assert load(tmp_path / "run", method=Tiny).info["epoch"] == 2
    assert same(run_tiny(data, tmp_path / "run", resume=True), unbroken)


@pytest.mark.parametrize("every", [1, 2, 3])
def test_an_epoch_without_its_checkpoint_is_trained_again(data, unbroken, tmp_path, monkeypatch, every):
    "Killed after the log line of epoch 3 and before anything else; a half line and a half file lie about."
    recipe, real = RECIPE.replace(checkpoint_every=every), training.append_line

    def killed(path, line):
        real(path, line)
        if line["epoch"] == 3:
            with path.open("a") as file:
                file.write('{"epoch": 4, "lo')
            (path.parent / "checkpoints" / ".epoch_0003.safetensors.tmp").write_bytes(b"half")
            raise RuntimeError("killed")
    monkeypatch.setattr(training, "append_line", killed)
    with pytest.raises(RuntimeError, match="killed"):
        run_tiny(data, tmp_path / "run", recipe)
    monkeypatch.undo()
    assert load(tmp_path / "run", method=Tiny).metrics()["epoch"].tolist() == [1, 2, 3]
    assert same(run_tiny(data, tmp_path / "run", recipe, resume=True), unbroken)
    assert not list((tmp_path / "run").rglob(".*.tmp"))


def test_a_crash_before_the_first_checkpoint_starts_over(data, unbroken, tmp_path, monkeypatch):
    def killed(*_):
        raise RuntimeError("killed")
    monkeypatch.setattr(training, "save_checkpoint", killed)
    with pytest.raises(RuntimeError, match="killed"):
        run_tiny(data, tmp_path / "run")
    monkeypatch.undo()
    assert (tmp_path / "run" / "run.json").exists() and not runs.checkpoints(tmp_path / "run")
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        load(tmp_path / "run", method=Tiny)
    assert same(run_tiny(data, tmp_path / "run", resume=True), unbroken)


def test_the_control_file_stops_and_resumes(data, unbroken, tmp_path, capsys):
    class Watched(Tiny):
        def diagnose(self, batch):
            if (tmp_path / "run" / "metrics.jsonl").read_text().count("\n") == 1:      # in epoch 2
                (tmp_path / "run" / "control").write_text("stop\n")
            return super().diagnose(batch)
    Watched.__name__ = "Tiny"
    seed_everything(0)
    stopped = run_tiny(data, tmp_path / "run", RECIPE.replace(checkpoint_every=3), method=Watched(BODY17))
    assert not stopped.finished and stopped.info["epoch"] == 2 and "not finished" in repr(stopped)
    assert same(run_tiny(data, tmp_path / "run", RECIPE.replace(checkpoint_every=3), resume=True), unbroken)


def test_the_control_file_pauses(data, unbroken, tmp_path):
    class Watched(Tiny):
        def diagnose(self, batch):
            (tmp_path / "run" / "control").write_text("pause")
            threading.Timer(.3, go_on).start()
            return super().diagnose(batch)

    def go_on():
        said.append(json.loads((tmp_path / "run" / "run.json").read_text())["obeyed"])
        (tmp_path / "run" / "control").write_text("run")

    said = []
    seed_everything(0)
    started = time.perf_counter()
    run = run_tiny(data, tmp_path / "run", RECIPE.replace(epochs=2), method=Watched(BODY17))
    assert time.perf_counter() - started > .9 and run.finished      # two pauses, looked at each half second
    assert said == ["pause", "pause"] and json.loads((tmp_path / "run" / "run.json").read_text())["obeyed"] == "run"
    assert run.metrics()["loss"].equals(unbroken.metrics()["loss"][:2])


SCRIPT = """
import os, signal, sys
sys.path[:0] = [{root!r}, {tests!r}]
from test_training import *
class Killed(Tiny):
    def loss(self, batch):
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls == {step}: os.kill(os.getpid(), signal.SIGKILL)
        return super().loss(batch)
Killed.__name__, Killed.__module__ = "Tiny", "test_training"
seed_everything(0)
run_tiny(make_set(), {folder!r}, method=Killed(BODY17))
"""


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 5, 11])
def test_a_killed_and_resumed_run_equals_an_unbroken_one(data, unbroken, tmp_path, step):
    script = SCRIPT.format(root=str(ROOT), tests=str(ROOT / "tests"), step=step, folder=str(tmp_path / "run"))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    script = script.replace(f"self.calls == {step}", "False").replace("method=Killed(BODY17)", "resume=True, method=Killed(BODY17)")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    resumed = load(tmp_path / "run", method=Tiny)
    assert resumed.info["resumed"][0]["epoch"] == (step - 1) // 3 and same(resumed, unbroken)


TWO = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from test_training import *
import torch.distributed as dist
recipe = RECIPE.replace(learning_rate=.002, epochs=3, pairs={pairs!r})
run = fit({model}(BODY17), make_set(), recipe, to={folder!r}, resume={resume}, device="cpu", protocol="all")
weights = torch.cat([p.detach().flatten() for p in run.model.parameters()])
both = [torch.zeros_like(weights) for _ in range(2)]
dist.all_gather(both, weights)
assert dist.get_world_size() == 2 and torch.equal(*both), "the processes disagree"
assert len(run.history) == 3 and run.finished
dist.barrier()
sys.stderr.flush()
os._exit(0)     # on an overloaded machine a process over gloo was seen to abort while its interpreter shuts down
"""


def two_processes(folder, **words):
    script = folder.parent / "two.py"
    script.write_text(TWO.format(**{"root": str(ROOT), "tests": str(ROOT / "tests"), "folder": str(folder), "resume": False, **words}))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", str(script)]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize("pairs", ["augmented", "scenes"])
def test_two_processes_train_what_one_trains(data, tmp_path, pairs):
    "Two processes with gloo, each with half of every batch: the same weights in both, and those of one process."
    done = two_processes(tmp_path / "run", model="Plain", pairs=pairs)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "3.0/3 epochs" in done.stderr
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        ".lock", "checkpoints", "clips.csv", "control", "metrics.jsonl", "run.json", "snapshots"]
    two = load(tmp_path / "run", method=Plain)
    assert two.metrics()["epoch"].tolist() == [1, 2, 3]
    if pairs == "augmented":        # the batches are the same clips, so the mathematics is
        one = fit(Plain(BODY17), data, RECIPE.replace(learning_rate=.002, epochs=3), device="cpu", progress=False)
        torch.testing.assert_close(two.model.weight.data, one.model.weight.data, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(two.metrics()["loss"], one.metrics()["loss"], rtol=1e-4)


@pytest.mark.slow
def test_two_processes_have_their_own_randomness_and_resume(data, tmp_path):
    assert (done := two_processes(tmp_path / "run", model="Tiny", pairs="augmented")).returncode == 0, done.stderr[-3000:]
    random = load_file(runs.checkpoints(tmp_path / "run")[-1])["random/cpu"]
    assert len(random) == 2 and not torch.equal(*random)
    whole = load(tmp_path / "run", method=Tiny)
    runs.checkpoints(tmp_path / "run")[-1].unlink()         # back to epoch 2
    done = two_processes(tmp_path / "run", model="Tiny", pairs="augmented", resume=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert same(load(tmp_path / "run", method=Tiny), whole)


# ------------------------------------------------------------------ what goes wrong

def test_a_loss_that_is_not_finite_is_named_and_the_last_good_weights_stay(data, tmp_path):
    class Bursting(Tiny):
        calls = 0

        def loss(self, batch):
            loss, terms = super().loss(batch)
            self.calls += 1
            if self.calls == 8:
                return loss * float("nan"), {**terms, "size": terms["size"] * float("inf")}
            return loss, terms
    Bursting.__name__ = "Tiny"
    with pytest.raises(FloatingPointError, match=r"^size is inf in epoch 3, step 2 of 3: .*learning_rate.*epoch_0002") as error:
        run_tiny(data, tmp_path / "run", method=Bursting(BODY17))
    assert "\n" not in str(error.value)
    kept = load(tmp_path / "run", method=Tiny)
    assert kept.info["epoch"] == 2 and all(torch.isfinite(v).all() for v in kept.model.state_dict().values())
    assert kept.metrics()["epoch"].tolist() == [1, 2]


def test_a_diagnosis_that_is_not_finite_stops_too(data):
    class Broken(Tiny):
        def diagnose(self, batch):
            return {"spread": float("nan")}
    with pytest.raises(FloatingPointError, match="probe_spread is nan in epoch 1, on the probe clips"):
        run_tiny(data, method=Broken(BODY17))


def test_no_two_trainings_write_to_one_folder(data, unbroken, tmp_path):
    class Crowded(Tiny):
        def diagnose(self, batch):
            before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
            with pytest.raises(FileExistsError, match="is being trained by another process"):
                run_tiny(data, folder, resume=True)
            refused.append(before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()})
            return super().diagnose(batch)

    Crowded.__name__, Crowded.__module__ = Tiny.__name__, Tiny.__module__
    folder, refused = tmp_path / "run", []
    with torch.random.fork_rng():
        run = run_tiny(data, folder, method=Crowded(BODY17))
    assert refused == [True] * RECIPE.epochs and run.finished
    assert run_tiny(data, folder, resume=True).finished      # it was let go of


def test_a_training_that_fails_at_its_start_leaves_no_folder(data, tmp_path):
    class Unprepared(Tiny):
        def prepare(self, train): raise ValueError("unprepared")

    with pytest.raises(ValueError, match="unprepared"):
        run_tiny(data, tmp_path / "run", method=Unprepared(BODY17))
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_taken_is_left_alone(data, unbroken, tmp_path):
    before = {path: path.read_bytes() for path in unbroken.folder.rglob("*") if path.is_file()}
    with pytest.raises(FileExistsError, match="holds a run already: continue it with resume=True, or choose another folder"):
        run_tiny(data, unbroken.folder)
    assert before == {path: path.read_bytes() for path in unbroken.folder.rglob("*") if path.is_file()}
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="exists already"):
        run_tiny(data, tmp_path)
    with pytest.raises(ValueError, match="not a run"):
        run_tiny(data, tmp_path, resume=True)
    with pytest.raises(FileExistsError, match="exists already"):
        run_tiny(data, tmp_path / "notes.txt", resume=True)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("what, change", [
    (r"recipe learning_rate: 0.05, now 0.1", dict(recipe=RECIPE.replace(learning_rate=.1))),
    (r"recipe epochs: 4, now 3", dict(recipe=RECIPE.replace(epochs=3))),
    (r"argument width: 6, now 7", dict(width=7)),
    (r"fingerprint: .*, now .*", dict(seed=1)),
    (r"protocol: 'all', now 'xview'", dict(protocol="xview")),
    (r"method: 'Tiny', now 'Plain'", dict(method=Plain)),
])
def test_a_resumed_run_must_be_the_same_run(data, unbroken, what, change):
    model = change["method"](BODY17) if "method" in change else tiny(width=change.get("width", 6))
    before = (unbroken.folder / "run.json").read_bytes()
    with pytest.raises(ValueError, match=what):
        fit(model, make_set(1) if "seed" in change else data, change.get("recipe", RECIPE), to=unbroken.folder, resume=True, device="cpu",
            progress=False, protocol=change.get("protocol", "all"))
    assert (unbroken.folder / "run.json").read_bytes() == before


@pytest.mark.parametrize("message, recipe, options", [
    ("batch_size 64 is larger than the 48 clips that can be drawn: use batch_size=48 or less", dict(batch_size=64), {}),
    ("no device 'tpu' here; there is auto, cpu", {}, dict(device="tpu")),
    ("Linear is not a method: it lacks prepare, loss, embed", {}, dict(model=nn.Linear(2, 2))),
    ("built for skeleton kinect20, noise has body17", {}, dict(model=lambda: Tiny(KINECT20))),
])
def test_bad_calls_are_one_line_and_write_nothing(data, tmp_path, message, recipe, options):
    model = options.pop("model", None) or tiny()
    model = model() if not isinstance(model, nn.Module) else model
    with pytest.raises(ValueError, match=message) as error:
        fit(model, data, RECIPE.replace(**recipe), to=tmp_path / "run", progress=False, **{"device": "cpu", **options})
    assert "\n" not in str(error.value) and not (tmp_path / "run").exists()


def test_arguments_that_json_cannot_hold_are_refused(data, tmp_path):
    model = tiny()
    model.arguments["noise"] = torch.zeros(1)
    with pytest.raises(ValueError, match="Tiny.arguments cannot be written"):
        fit(model, data, RECIPE, to=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def broken_copy(unbroken, folder, **changes):
    "A copy of a run with some fields of run.json changed."
    for path in unbroken.folder.rglob("*.*"):
        target = folder / path.relative_to(unbroken.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    info = json.loads((folder / "run.json").read_text()) | changes
    (folder / "run.json").write_text(json.dumps(info))
    return folder


def test_load_says_in_one_line_what_is_wrong(unbroken, tmp_path):
    def refuses(kind, message, folder, **options):
        with pytest.raises(kind, match=message) as error:
            load(folder, **options)
        assert "\n" not in str(error.value)
    refuses(FileNotFoundError, "no such run folder", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    refuses(ValueError, "is not a run", tmp_path / "empty")
    for name in ("split1", "split2"):
        (tmp_path / "folds" / name).mkdir(parents=True)
        (tmp_path / "folds" / name / "run.json").write_text("{}")
    refuses(ValueError, "its runs, one a split, are .*folds/split1, split2", tmp_path / "folds")
    (tmp_path / "empty" / "run.json").write_text('{"format": 1')
    refuses(ValueError, "damaged", tmp_path / "empty")
    refuses(ValueError, r"newer skelbench \(run format 99", broken_copy(unbroken, tmp_path / "newer", format=99))
    refuses(ValueError, r"Tiny is defined in .*test_training, outside skelbench", unbroken.folder)
    refuses(ValueError, "run of Tiny, not of Plain", unbroken.folder, method=Plain)
    evil = broken_copy(unbroken, tmp_path / "evil", module="os", method="system")
    refuses(ValueError, "outside skelbench", evil)
    refuses(ValueError, "has no skelbench.recipe.Nothing", broken_copy(unbroken, tmp_path / "a", module="skelbench.recipe", method="Nothing"))
    refuses(ValueError, "is not a method", broken_copy(unbroken, tmp_path / "b", module="skelbench.recipe", method="Recipe"))
    refuses(ValueError, "does not fit the model", broken_copy(unbroken, tmp_path / "c", arguments={"width": 9}), method=Tiny)
    refuses(ValueError, "run.json does not fit", broken_copy(unbroken, tmp_path / "d", arguments={"depth": 9}), method=Tiny)
    refuses(ValueError, "no device", unbroken.folder, method=Tiny, device="abacus")


@pytest.mark.parametrize("damage", [lambda raw: raw[:len(raw) // 2], lambda raw: b"", lambda raw: raw[:8], lambda raw: b"\x80\x04" + raw])
def test_a_damaged_checkpoint_is_named_and_can_be_deleted(data, unbroken, tmp_path, damage):
    folder = broken_copy(unbroken, tmp_path / "run")
    last = folder / "checkpoints" / "epoch_0004.safetensors"
    last.write_bytes(damage(last.read_bytes()))
    for read in (lambda: load(folder, method=Tiny), lambda: run_tiny(data, folder, resume=True)):
        with pytest.raises(ValueError, match="epoch_0004.safetensors is damaged .*: delete it to fall back") as error:
            read()
        assert "\n" not in str(error.value)
    last.unlink()
    assert load(folder, method=Tiny).info["epoch"] in (3, 4) and len(load(folder, method=Tiny).history) == 3
    assert same(run_tiny(data, folder, resume=True), unbroken)


def test_nothing_in_a_run_folder_is_a_pickle(unbroken):
    for path in unbroken.folder.rglob("*.safetensors"):
        assert load_file(path) and not path.read_bytes().startswith((b"PK", b"\x80"))
    assert {path.suffix for path in unbroken.folder.rglob("*") if path.is_file()} == {".json", ".jsonl", ".csv", ".safetensors", ""}


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    storage.write_json(tmp_path / "run.json", {"epoch": 1})

    def full(beside):
        beside.write_text("half")
        raise OSError("no space left on device")
    with pytest.raises(OSError, match="no space"):
        storage.write_beside(tmp_path / "run.json", full)
    assert json.loads((tmp_path / "run.json").read_text()) == {"epoch": 1} and [p.name for p in tmp_path.iterdir()] == ["run.json"]


if torch.cuda.is_available():      # not skipped where there is none: there is nothing to be said there
    def test_a_gpu_run_resumes(data, tmp_path):
        gpu = lambda recipe, **options: fit(tiny(), data, recipe, to=tmp_path / "run", device="cuda", progress=False, **options)
        gpu(RECIPE.replace(epochs=2))
        run = gpu(RECIPE, resume=True)
        whole = fit(tiny(), data, RECIPE, device="cuda", progress=False)
        torch.testing.assert_close(run.model.average, whole.model.average, rtol=1e-4, atol=1e-5)
        assert run.info["device"].startswith("cuda") and load(tmp_path / "run", method=Tiny).model.mean.device.type == "cpu"


def test_the_split_that_a_run_belongs_to(tmp_path):
    path = str(make_set().save(tmp_path / "a.skel"))
    sizes = lambda *info, **options: [len(side) for side in own_split(*info, **options)]
    assert sizes({"data": path, "protocol": "cameras:0/1"}) == [24, 24] and sizes({"data": path}, whole=True) == [48, 48]
    folds = SkeletonSet.open(path).splits("folds:subject/3")
    for number, (_, train, _) in enumerate(folds, 1):
        assert own_split({"data": path, "protocol": f"folds:subject/3#{number}"})[0].fingerprint == train.fingerprint
    assert sizes({}, path, "cameras:0/1") == [24, 24]
    for info, error, says in (({}, FileNotFoundError, "a set in memory"), ({"data": str(tmp_path / "gone")}, FileNotFoundError, "gone, which is not there"),
                              ({"data": path}, ValueError, "without a protocol"), ({"data": path, "protocol": "folds:subject/3"}, ValueError, "#1"),
                              ({"data": path, "protocol": "folds:subject/3#4"}, ValueError, "not 4"), ({"data": path, "protocol": "none"}, ValueError, "none")):
        with pytest.raises(error, match=says):
            own_split(info)


def test_the_clips_that_a_run_was_trained_on(tmp_path):
    path = str(make_set().save(tmp_path / "a.skel"))
    data = SkeletonSet.open(path)
    train, test = data.split("cameras:0/1")
    run = SimpleNamespace(info={"data": path, "protocol": "cameras:0/1", "fingerprint": train.fingerprint})
    assert trained_on(run).fingerprint == train.fingerprint and trained_on(run, train) is train and trained_on(run, test).fingerprint == train.fingerprint
    without = SimpleNamespace(info={"data": path, "fingerprint": data.fingerprint})
    assert trained_on(without) is None and trained_on(without, whole=True).fingerprint == data.fingerprint
    for other in ({"fingerprint": "another"}, {"data": str(tmp_path / "gone")}, {"protocol": "folds:subject/3"}):
        assert trained_on(SimpleNamespace(info=run.info | other)) is None
