"""The command line as a person uses it: what it prints, how it fails, what it leaves behind."""
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from skelbench.bench import evaluation_of
from skelbench.cli import main, parser
from skelbench.commands import words

ROOT = Path(__file__).resolve().parents[1]


def said(capsys, *argv):
    "Exit status, the JSON of the last line, stderr."
    try:
        status = main([str(a) for a in argv])
    except SystemExit as stop:
        status = stop.code
    out, err = capsys.readouterr()
    lines = out.strip().splitlines()
    return status, json.loads(lines[-1]) if lines and lines[-1].startswith("{") else None, err


def commands_in_prose():
    "Every line of README that calls skelbench, without its comment, and those of the notebooks' text."
    pages = [(ROOT / "README.md").read_text(encoding="utf-8")]
    pages += ["".join(cell["source"]) for path in sorted((ROOT / "nbs").rglob("*.ipynb")) if not path.is_symlink()
              for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "markdown"]
    found = {line.partition(" #")[0].strip() for page in pages for line in re.findall(r"^\s*(skelbench .*)$|`(skelbench [^`]+)`", page, re.M)
             for line in line if line}
    return sorted(line for line in found if not re.search(r"[A-Z]{3}|\.\.\.|[|\[]--|^skelbench( -*\w+){1,2}$", line))


@pytest.mark.parametrize("line", commands_in_prose())
def test_a_command_that_is_written_down_is_understood(line):
    arguments = parser().parse_args(shlex.split(line)[1:])
    words(getattr(arguments, "option", []) or [])
    if getattr(arguments, "command", "") == "evaluate":
        evaluation_of({"with": arguments.evaluation, **words(arguments.option)})
    if getattr(arguments, "command", "") == "queue": assert (ROOT / arguments.rows).is_file()


def test_enough_commands_are_looked_at():
    assert len(commands_in_prose()) > 20


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    "A set and a run of two epochs, made by the command line."
    folder = tmp_path_factory.mktemp("chain")
    assert main(["data", "synth", str(folder / "a.skel"), "--clips", "180"]) == 0
    assert main(["pretrain", "swapclr", "--data", str(folder / "a.skel"), "--protocol", "xview", "--run", str(folder / "run"), "--epochs", "2",
                 "--recipe", "batch_size=32"]) == 0
    return folder


def test_params_are_the_papers(capsys):
    status, counts, _ = said(capsys, "params", "swapclr", "--skeleton", "ntu25", "--json")
    assert status == 0
    assert counts["parts"]["encoder"] == 9_871_364
    assert counts["parts"]["latent"] == 3_542_912
    assert counts["parts"]["decoder"] == 1_920_078
    assert counts["total"] == 3 * (9_871_364 + 3_542_912 + 1_920_078)


def test_info_of_a_set(capsys, chain):
    status, info, _ = said(capsys, "data", "info", chain / "a.skel", "--json")
    assert status == 0
    assert {"clips", "classes", "subjects", "cameras", "frames", "joints", "people"} <= set(info)
    assert info["clips"] == 180 and info["cameras"] == 3


def test_evaluate_has_the_floors_and_says_where_it_comes_from(capsys, chain):
    status, result, _ = said(capsys, "evaluate", chain / "run", "--with", "nearest", "--json")
    assert status == 0
    for key in ("official", "raw_coordinates", "random_encoder", "method", "data", "fingerprint", "protocol", "seed", "epochs", "seconds", "device", "version"):
        assert key in result, key
    assert 0 <= result["official"] <= 100


def test_evaluate_clusters(capsys, chain):
    status, result, _ = said(capsys, "evaluate", chain / "run", "--with", "cluster", "--model", "kmeans", "--json")
    assert status == 0 and result["settings"]["model"] == "kmeans"
    assert all(0 < result["raw_coordinates"][name] <= 1 and 0 < result[name] <= 1 for name in ("purity", "nmi"))
    status, _, err = said(capsys, "evaluate", chain / "run", "--with", "linear", "--model", "gmm")
    assert status == 2 and "--model" in err


def test_any_evaluation_by_its_options(capsys, chain):
    status, result, err = said(capsys, "evaluate", chain / "run", "--option", "schedule=convex", "--option", "fuse=learned", "--json")
    assert status == 0, err
    assert result["settings"]["schedule"] == "convex" and len(result["streams"]) == 3 and len(result["predictions"]["clips"]) == result["clips"]["test"]
    status, result, err = said(capsys, "evaluate", chain / "run", "--with", "health", "--json")
    assert status == 0 and result["evaluation"] == "health", err
    for wrong, expected in ((("--with", "nearest", "--option", "k=1000"), "k must be"), (("--option", "schedule=best"), "swapclr, aimclr"),
                            (("--with", "nearest", "--option", "neighbours=3"), "neighbours")):
        status, _, err = said(capsys, "evaluate", chain / "run", *wrong)
        assert status == 2 and expected in err and err.count("\n") == 1, err


def test_two_runs_as_an_ensemble(capsys, chain):
    status, result, err = said(capsys, "evaluate", chain / "run", "--beside", chain / "run", "--with", "nearest", "--json")
    assert status == 0, err
    assert result["method"] == "SwapCLR + SwapCLR" and len(result["streams"]) == 6 and result["settings"]["checked_unseen"]
    status, _, err = said(capsys, "evaluate", chain / "run", "--beside", chain / "nothing", "--with", "nearest")
    assert status == 2 and "nothing" in err and err.count("\n") == 1


def test_report_of_a_run_and_of_results(capsys, chain, tmp_path):
    status, result, err = said(capsys, "report", chain / "run", *(w for k, end in (("html", "html"), ("csv", "csv"), ("latex", "tex"))
                                                               for w in (f"--{k}", tmp_path / f"a.{end}")), "--json")
    assert status == 0, err
    assert {t["evaluation"] for t in result["tables"]} == {"linear", "nearest"} and all(t["protocol"] == "xview" for t in result["tables"])
    page = (tmp_path / "a.html").read_text()
    assert "random encoder" in page and "http://" not in page.replace("http://www.w3.org", "")
    assert "official" in (tmp_path / "a.csv").read_text() and "toprule" in (tmp_path / "a.tex").read_text()
    status = main(["report", str(ROOT / "nbs" / "results" / "nw_ucla_choices")])
    out, _ = capsys.readouterr()
    assert status == 0 and "linear · nw_ucla · cameras:1/2" in out and "1 seed" in out
    (tmp_path / "broken.json").write_text("{")
    status, _, err = said(capsys, "report", tmp_path / "broken.json")
    assert status == 2 and "broken.json" in err


def test_reproduce_says_what_there_is_and_what_is_missing(capsys, chain, tmp_path):
    status, known, _ = said(capsys, "reproduce", "--list", "--json")
    assert status == 0 and len(known["tables"]) > 40 and {row["paper"] for row in known["tables"]} == {"swapclr", "crrl", "actclr", "focovil"}
    status, found, err = said(capsys, "reproduce", "crrl", "VIII", "--results", ROOT / "nbs" / "results", "--json")
    assert status == 0 and found["planned"] == 0 and found["rows"][0]["row"] == "Rand-Enc", err
    status, plan, err = said(capsys, "reproduce", "swapclr", "table 6", "--data", chain / "a.skel", "--protocol", "xview", "--seeds", "1", "--plan",
                             "--results", tmp_path / "results", "--runs", tmp_path / "runs", "--json")
    assert status == 0 and plan["planned"] and not plan["written"] and not (tmp_path / "runs").exists(), err
    for wrong, expected in ((("crrl",), "--list"), (("crrl", "table 99"), "table 99"), (("nobody", "1"), "swapclr")):
        status, _, err = said(capsys, "reproduce", *wrong)
        assert status == 2 and expected in err and err.count("\n") == 1, err


def test_inpaint_and_generate(capsys, chain):
    status, result, _ = said(capsys, "inpaint", chain / "run", "--drop", "10:20", "--json")
    assert status == 0 and {"model", "linear", "hold_last"} <= set(result)
    status, result, _ = said(capsys, "generate", chain / "run", "--samples", "2", "--json")
    assert status == 0 and {"class_kept", "chance", "distance_to_seed", "distance_between"} <= set(result)


def test_resume_adds_epochs(capsys, chain):
    command = ("pretrain", "swapclr", "--data", chain / "a.skel", "--protocol", "xview", "--run", chain / "run", "--recipe", "batch_size=32", "--json")
    status, _, err = said(capsys, *command, "--epochs", "3")
    assert status == 2 and "resume" in err and "Traceback" not in err
    status, result, _ = said(capsys, *command, "--epochs", "3", "--resume")
    assert status == 0 and result["epochs"] == 3


def test_folds_train_a_run_each(capsys, chain, tmp_path):
    status, result, _ = said(capsys, "pretrain", "swapclr", "--data", chain / "a.skel", "--protocol", "folds:subject/2", "--run", tmp_path / "folds",
                             "--epochs", "1", "--recipe", "batch_size=32", "--json")
    assert status == 0 and len(result["runs"]) == 2
    status, result, _ = said(capsys, "evaluate", tmp_path / "folds", "--with", "nearest", "--json")
    assert status == 0 and len(result["splits"]) == 2


@pytest.mark.parametrize("argv, expected", [
    (["params", "nonsense"], "swapclr"),
    (["params", "swapclr", "--preset", "huge"], "small"),
    (["params", "swapclr", "--skeleton", "dog"], "ntu25"),
    (["params", "swapclr", "--option", "colour=red"], "colour"),
    (["params", "swapclr", "--option", 'streams=["smell"]'], "motion"),
    (["data", "info", "nowhere.skel"], "nowhere.skel"),
    (["data", "import", "nw_ucla", "nowhere.zip", "x.skel"], "nowhere.zip"),
    (["data", "import", "nonsense", "a.zip", "x.skel"], "nw_ucla"),
    (["evaluate", "nowhere"], "nowhere"),
    (["pretrain", "swapclr", "--data", "nowhere.skel", "--protocol", "xview", "--run", "r"], "nowhere.skel"),
    (["data", "synth", "x.skel", "--clips", "3"], "clips"),
    (["nonsense"], "nonsense"),
    (["queue", "nowhere.json"], "nowhere.json"),
    (["report", "nowhere"], "nowhere"),
])
def test_bad_input_is_one_line(capsys, tmp_path, monkeypatch, argv, expected):
    monkeypatch.chdir(tmp_path)
    status, _, err = said(capsys, *argv)
    assert status == 2
    assert len(err.strip().splitlines()) == 1, err
    assert expected in err
    assert not list(tmp_path.iterdir()), "something was left behind"


def test_bad_words_about_a_good_run(capsys, chain, tmp_path):
    data = str(chain / "a.skel")
    for argv, expected in [
        (["pretrain", "swapclr", "--data", data, "--protocol", "nonsense", "--run", tmp_path / "r"], "xview"),
        (["pretrain", "swapclr", "--data", data, "--protocol", "xview", "--run", tmp_path / "r", "--recipe", "batch_size=5000"], "batch"),
        (["pretrain", "swapclr", "--data", data, "--protocol", "xview", "--run", tmp_path / "r", "--recipe", "colour=1"], "colour"),
        (["evaluate", chain / "run", "--with", "magic"], "linear"),
        (["evaluate", chain / "run", "--representation", "magic"], "z_clr"),
        (["evaluate", chain / "run", "--data", tmp_path], "set.json"),
        (["inpaint", chain / "run", "--drop", "all"], "--drop"),
        (["inpaint", chain / "run", "--joints", "tail"], "tail"),
        (["inpaint", chain / "run", "--clip", "nobody"], "nobody"),
        (["generate", chain / "run", "--seed-clip", "nobody"], "nobody"),
    ]:
        status, _, err = said(capsys, *argv)
        assert status == 2 and expected in err, (argv, err)
        assert len(err.strip().splitlines()) == 1, err
        assert not (tmp_path / "r").exists()


def test_runs_from_an_uninstalled_checkout(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-m", "skelbench.cli", "--help"], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0 and "pretrain" in done.stdout


def test_queue_measures_what_is_missing(capsys, chain, tmp_path):
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps({"data": str(chain / "a.skel"), "protocol": "xview", "seeds": [0], "rows": [
        {"row": "whole", "method": "swapclr", "recipe": {"epochs": 1, "batch_size": 32},
         "evaluate": [{"with": "nearest"}, {"with": "nearest", "representation": "z_clr"}]}]}))
    command = ("queue", rows, "--results", tmp_path / "results", "--runs", tmp_path / "runs", "--json")
    status, result, err = said(capsys, *command)
    assert status == 0, err
    assert len(result["written"]) == 2
    kept = json.loads(Path(result["written"][0]).read_text())
    for key in ("row", "method", "data", "fingerprint", "protocol", "seed", "epochs", "seconds", "device", "version", "command", "recipe"):
        assert key in kept, key
    status, result, _ = said(capsys, *command)
    assert status == 0 and result["written"] == [], "what was measured is not measured again"


@pytest.mark.slow
def test_queue_trains_a_first_stage_once_and_refuses_a_run_that_was_trained_otherwise(capsys, chain, tmp_path):
    rows, short = tmp_path / "rows.json", {"epochs": 1, "batch_size": 32}
    first = {"options": {"people": 2, "fusion": "cml", "width": 8}, "recipe": short}
    second = {"method": "crrl", "options": {"people": 2, "width": 8}, "recipe": short, "start_from": first, "evaluate": [{"with": "nearest"}]}
    rows.write_text(json.dumps({"data": str(chain / "a.skel"), "protocol": "xview", "seeds": [0], "rows": [
        {"row": "first", "method": "crrl", **first, "evaluate": [{"with": "nearest"}]}, {"row": "second", **second}]}))
    command = ("queue", rows, "--results", tmp_path / "results", "--runs", tmp_path / "runs", "--threads", "1", "--json")
    status, result, err = said(capsys, *command)
    assert status == 0 and len(result["written"]) == 2, err
    assert len(list((tmp_path / "runs").glob("crrl-*"))) == 2, "the first stage is shared"
    assert json.loads((tmp_path / "results" / "second--nearest--seed0.json").read_text())["start_from"] == first
    for file in (tmp_path / "results").glob("*.json"):
        file.unlink()
    for file in (tmp_path / "runs").glob("*/run.json"):  # as if a preset had other values then
        info = json.loads(file.read_text())
        info["arguments"]["temperature"] = 0.7
        file.write_text(json.dumps(info))
    status, _, err = said(capsys, *command)
    assert status == 2 and "temperature" in err and "2 rows failed" in err


def test_rows_whose_results_would_share_a_file_are_refused(capsys, tmp_path):
    rows = tmp_path / "rows.json"
    both = [{"row": f"without {sign}", "method": "swapclr"} for sign in "+-"]
    rows.write_text(json.dumps({"data": "a.skel", "protocol": "xview", "rows": both}))
    status, _, err = said(capsys, "queue", rows, "--list")
    assert status == 2 and "'without +'" in err and "'without -'" in err
