"Rows through submitit: two workers of this machine, and a Slurm made of three shell scripts."
import builtins
import json
import os
import time

import pytest

from skelbench import sweep as module
from skelbench.commands import Builder
from skelbench.jobs import read_rows
from skelbench.sweep import Task, executor_for, found_again, key_of, sweep
from skelbench.synthetic import make_synthetic

SMALL = {"method": "crrl", "evaluate": [{"with": "nearest"}], "options": {"fusion": "ser", "width": 8, "people": 2}}


def some_rows(folder, epochs=(1, 2), bad=True):
    "A rows file of short trainings, and one that cannot be trained."
    make_synthetic(48, seed=0).save(folder / "a.skel")
    rows = [{"row": f"{n} epochs", **SMALL, "recipe": {"epochs": n, "batch_size": 16}} for n in epochs]
    rows += [{"row": "impossible", **SMALL, "options": {"fusion": "nuclear"}}] * bad
    (folder / "rows.json").write_text(json.dumps({"data": str(folder / "a.skel"), "protocol": "xview", "rows": rows}))
    return folder / "rows.json", {"runs": folder / "runs", "results": folder / "results", "folder": folder / "sweep", "threads": 1, "progress": False}


class FakeJob:
    "What submitit gives for a job, done at once."
    def __init__(self, task, arguments, fails=None):
        self.task, self.arguments, self.fails, self.cancelled = task, arguments, fails, False
        self.paths = type("Paths", (), {"stderr": "log.err"})()

    def done(self, force_check=False): return True
    def cancel(self): self.cancelled = True

    def result(self):
        if self.fails: raise self.fails
        return self.task(*self.arguments)


class FakeExecutor:
    "Runs nothing until asked for the result; remembers what was submitted."
    def __init__(self, fails=None): self.jobs, self.fails = [], fails or {}

    def submit(self, task, *arguments):
        self.jobs.append(FakeJob(task, arguments, self.fails.get(arguments[0][0]["row"])))
        return self.jobs[-1]


def test_what_is_missing_is_measured_once_and_failures_are_named(tmp_path, monkeypatch):
    rows, where = some_rows(tmp_path)
    executor = FakeExecutor({"2 epochs": RuntimeError("first line\nout of memory")})
    monkeypatch.setattr(module, "executor_for", lambda *a, **k: executor)
    done, failed = sweep(rows, Builder, **where)
    assert [os.path.basename(path) for path in done] == ["1-epochs--nearest--seed0.json"]
    assert len(failed) == 2 and any("impossible" in f and "nuclear" in f for f in failed)
    assert any("2 epochs seed 0: out of memory (see log.err)" in f for f in failed), "a process that died is named with its rows"
    again = FakeExecutor()
    monkeypatch.setattr(module, "executor_for", lambda *a, **k: again)
    done, failed = sweep(rows, Builder, only="epochs", **where)
    assert [job.arguments[0][0]["row"] for job in again.jobs] == ["2 epochs"] and len(done) == 1 and not failed
    assert sweep(rows, Builder, only="epochs", **where) == ([], [])


def test_no_more_local_jobs_than_workers_and_none_is_left_behind(tmp_path, monkeypatch):
    rows, where = some_rows(tmp_path, epochs=(1, 2, 3, 4), bad=False)
    executor = FakeExecutor()
    executor.submit = lambda task, *a, submit=executor.submit: setattr(job := submit(task, *a), "done", lambda force_check=False: False) or job
    monkeypatch.setattr(module, "executor_for", lambda *a, **k: executor)
    def interrupt(seconds): raise KeyboardInterrupt
    monkeypatch.setattr(module.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        sweep(rows, Builder, workers=3, **where)
    assert len(executor.jobs) == 3 and all(job.cancelled for job in executor.jobs)


def test_a_job_whose_time_is_up_is_queued_again():
    pytest.importorskip("submitit")
    delayed = Task().checkpoint([{"row": "a"}], None, "runs", "results", "command", "cpu", 1)
    assert isinstance(delayed.function, Task) and delayed.args[0] == [{"row": "a"}] and delayed.args[-1] == 1


def test_the_key_of_a_group_does_not_depend_on_what_is_left_to_evaluate(tmp_path):
    rows, _ = some_rows(tmp_path)
    job = read_rows(rows)[0]
    assert key_of([job], "runs") == key_of([{**job, "evaluate": []}], "elsewhere") != key_of([{**job, "seed": 1}], "runs")


def test_bad_wishes(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="there are local and slurm"):
        executor_for("cloud", tmp_path, 1, 1, 1)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="^submitit: "):
        executor_for("slurm", tmp_path, 1, 1, 1)
    with pytest.raises(ValueError, match="sorcery"):
        executor_for("local", tmp_path, 1, 1, 1, sorcery=True)
    real = builtins.__import__
    def without(name, *arguments, **keywords):
        if name == "submitit": raise ImportError(name)
        return real(name, *arguments, **keywords)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match="^a sweep needs submitit: pip install submitit$"):
        executor_for("local", tmp_path, 1, 1, 1)


@pytest.mark.slow
def test_two_workers_of_this_machine(tmp_path):
    pytest.importorskip("submitit")
    rows, where = some_rows(tmp_path, epochs=(1, 2, 3))
    done, failed = sweep(rows, Builder, workers=2, **where)
    assert len(done) == 3 and len(failed) == 1 and "impossible seed 0" in failed[0]
    kept = json.loads((tmp_path / "results" / "1-epochs--nearest--seed0.json").read_text())
    assert kept["command"].startswith("skelbench queue") and kept["epochs"] == 1
    assert list((tmp_path / "sweep").glob("*_log.out")), "logs are kept"


SLURM = {"sbatch": """#!/bin/bash
script="${@: -1}"; cp "$script" "$FAKE/submitted.sh"; n=$(grep -oP '(?<=--array=0-)[0-9]+' "$script")
for i in $(seq 0 $n); do
  SLURM_JOB_ID=7$i SLURM_ARRAY_JOB_ID=77 SLURM_ARRAY_TASK_ID=$i SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0 SLURM_NTASKS=1 \
  SLURM_JOB_NUM_NODES=1 SLURM_JOB_NODELIST=localhost bash "$script" >"$FAKE/out$i" 2>&1 &
done
echo Submitted batch job 77
""", "srun": """#!/bin/bash
while [[ "$1" == --* || "$1" == -* ]]; do [[ "$1" == --output || "$1" == --error ]] && shift; shift; done
exec "$@"
""", "sacct": """#!/bin/bash
printf 'JobID|State|NodeList\\n77_0|RUNNING|localhost\\n77_1|RUNNING|localhost\\n'
""", "scontrol": "#!/bin/bash\necho localhost\n", "scancel": "#!/bin/bash\n"}


@pytest.mark.slow
def test_a_job_array_of_slurm_and_jobs_that_are_found_again(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    rows, where = some_rows(tmp_path, epochs=(1, 2), bad=False)
    fake = tmp_path / "fake"
    fake.mkdir()
    for name, text in SLURM.items():
        (fake / name).write_text(text)
        (fake / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE", str(fake))
    sleep = time.sleep
    monkeypatch.setattr(module.time, "sleep", lambda seconds: sleep(min(seconds, .2)))
    done, failed = sweep(rows, Builder, cluster="slurm", workers=1, hours=12, slurm_partition="gpu", gpus_per_node=1, mem_gb=32,
                         slurm_additional_parameters={"account": "mylab"}, **where)
    assert len(done) == 2 and not failed, [path.read_text() for path in fake.glob("out*")]
    script = (fake / "submitted.sh").read_text()
    for words in ("--array=0-1%1", "--partition=gpu", "--gpus-per-node=1", "--mem=32GB", "--account=mylab", "--cpus-per-task=1", "--time=720"):
        assert words in script, words
    assert set(json.loads((tmp_path / "sweep" / "sweep.json").read_text()).values()) == {"77_0", "77_1"}
    assert found_again("slurm", tmp_path / "sweep") == {}, "these are done"
    for file in (tmp_path / "sweep").glob("*_result.pkl"):
        file.unlink()
    assert len(found_again("slurm", tmp_path / "sweep")) == 2, "these still run: they are waited for, not submitted again"
