"Rows of several splits, shares without labels, and evaluations by name."
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from skelbench import bench
from skelbench.bench import evaluate_job, evaluate_split, evaluation_of, folders_of, grouped, measure, splits_of, work
from skelbench.commands import Builder, method_class
from skelbench.evaluation import nearest
from skelbench.jobs import EVALUATIONS, check_kinds, first_stage, members_of, read_rows, result_file, run_folder
from skelbench.pairs import unlabelled_share
from skelbench.results import Result, mean_of, mean_result
from skelbench.runs import own_split, read_info

SMALL = {"method": "crrl", "preset": "small", "options": {"fusion": "ser", "width": 8, "people": 2}, "recipe": {"epochs": 1, "batch_size": 16},
         "evaluate": [{"with": "nearest"}], "seed": 0}


@pytest.fixture(scope="module")
def place(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    data.save(folder / "a.skel")
    return folder


@pytest.fixture(scope="module")
def model(data):
    torch.manual_seed(0)
    return Builder("crrl")(data.skeleton, "small", **SMALL["options"]).eval()


def test_several_splits_are_a_run_each_and_one_result(place, data):
    job = {**SMALL, "row": "folds", "data": str(place / "a.skel"), "protocol": "cameras:1,3/2+cameras:1,2/3"}
    written = measure(job, Builder, place / "runs", place / "results", "a command", progress=False)
    result, folders = json.loads(written[0].read_text()), folders_of(job, place / "runs", splits_of(data, job["protocol"]))
    assert [folder.name for folder in folders] == ["split1", "split2"] and folders[0].parent == run_folder(job, place / "runs")
    assert [read_info(folder)["protocol"] for folder in folders] == ["cameras:1,3/2", "cameras:1,2/3"]
    for folder in folders:
        assert own_split(read_info(folder))[0].fingerprint == read_info(folder)["fingerprint"], "the words of a split lead back to it"
    assert result["official"] == pytest.approx(np.mean([part["official"] for part in result["parts"]]), abs=.01)
    assert result["protocol"] == job["protocol"] and result["fingerprint"] == data.fingerprint and result["clips"]["test"] == 16 + 16
    assert len(result["predictions"]["clips"]) == 32
    shutil.rmtree(folders[1])  # as if it had been stopped after the first split
    written[0].unlink()
    kept = {path: path.stat().st_mtime_ns for path in (folders[0] / "checkpoints").iterdir()}
    again = json.loads(measure(job, Builder, place / "runs", place / "results", "a command", progress=False)[0].read_text())
    assert kept == {path: path.stat().st_mtime_ns for path in (folders[0] / "checkpoints").iterdir()}, "a split that is trained is not trained again"
    assert [part["official"] for part in again["parts"]] == [part["official"] for part in result["parts"]]


def test_a_share_is_drawn_without_labels_and_classifiers_have_all_clips(place, data):
    job = {**SMALL, "row": "share", "data": str(place / "a.skel"), "protocol": "xview", "train_share": .5}
    assert run_folder(job, "r") != run_folder({k: v for k, v in job.items() if k != "train_share"}, "r")
    result = json.loads(measure(job, Builder, place / "runs", place / "results", "a command", progress=False)[0].read_text())
    train = data.split("xview")[0]
    assert result["clips"]["train"] == len(train) and result["clips_trained_on"] == len(unlabelled_share(train, .5, 0)) < len(train)
    shuffled = replace(train, table=train.table.assign(label=np.roll(train.table["label"], 5)))
    for share in (.1, .5, 1):
        a, b = unlabelled_share(train, share, 3), unlabelled_share(shuffled, share, 3)
        assert list(a.table["name"]) == list(b.table["name"]), "labels change nothing"
        assert set(unlabelled_share(train, .1, 3).table["name"]) <= set(a.table["name"])
    assert len(unlabelled_share(train, 1, 0)) == len(train)
    assert set(unlabelled_share(train, .3, 0).table["name"]) != set(unlabelled_share(train, .3, 1).table["name"])
    with pytest.raises(ValueError, match="train_share must be above 0"):
        unlabelled_share(train, 0, 0)


def test_one_evaluation_that_fails_does_not_lose_the_others(place):
    job = {**SMALL, "row": "half", "data": str(place / "a.skel"), "protocol": "xview",
           "evaluate": [{"with": "nearest", "representation": "soul"}, {"with": "nearest"}]}
    bad = {**job, "row": "wrong", "evaluate": [{"with": "luck"}]}
    done, failed = work([job, bad], Builder, place / "runs", place / "results", "a command", "cpu", None)
    assert [path.rsplit("--", 2)[0].rsplit("/", 1)[1] for path in done] == ["half"] and len(failed) == 2
    assert "soul" in failed[0] and "1 other results are written" in failed[0] and "no evaluation 'luck'" in failed[1]


def test_a_wish_that_cannot_be_met_is_refused_before_hours_of_training(place, monkeypatch):
    monkeypatch.setattr(bench, "train", lambda *_: pytest.fail("it was trained"))
    job = {**SMALL, "row": "typed", "data": str(place / "a.skel"), "protocol": "xview", "evaluate": [{"with": "nearest"}, {"with": "cluster", "colour": 1}]}
    with pytest.raises(ValueError, match="cluster has no colour: there are model"):
        measure(job, Builder, place / "runs", place / "results", "a command", progress=False)


def test_means_against_a_loop():
    parts = [{"official": float(k), "errors": {"right": k / 2, "unknown": None if k else 3}, "clips": {"test": 10 + k}, "seconds": .5, "settings": {"k": 1},
              "list": [k], "same": ["a"], "flag": True} for k in range(4)]
    whole = mean_of(parts)
    assert whole == {"official": 1.5, "errors": {"right": .75}, "clips": {"test": 46}, "seconds": 2.0, "settings": {"k": 1}, "same": ["a"], "flag": True}
    assert mean_result(parts, "p", "f")["parts"] == parts and mean_result(parts[:1], "p", "f") == parts[0]


def test_rows_and_answers_of_several_splits():
    "Few labels on folds: every share has its mean, and every clip its answer."
    parts = [{"official": 10. * k, "shares": [{"share": s, "official": s + k, "labelled": 3 + k} for s in (.1, .4)],
              "predictions": {"clips": [f"{k}a", f"{k}b"], "truth": [k, 0], "predicted": [0, 0], "leaked": [0, k]}} for k in range(3)]
    whole = mean_result(parts, "p", "f")
    assert [(row["share"], row["official"], row["labelled"]) for row in whole["shares"]] == [(.1, 1.1, 4), (.4, 1.4, 4)]
    assert whole["predictions"] == {"clips": ["0a", "0b", "1a", "1b", "2a", "2b"], "truth": [0, 0, 1, 0, 2, 0], "predicted": [0] * 6,
                                    "leaked": [0, 0, 0, 1, 0, 2]}
    assert all("predictions" not in part and part["shares"] for part in whole["parts"]) and "predictions" in parts[0]
    assert "predictions" not in mean_of([parts[0], {**parts[1], "predictions": None}])  # half of the clips are no answer


def test_every_evaluation_is_there_and_takes_run_train_test():
    from importlib import import_module
    from inspect import signature

    for name, (module, function) in EVALUATIONS.items():
        names = list(signature(getattr(import_module(module), function)).parameters)
        assert names[0] == "run", name
        assert names[1:3] == ["train", "test"] or name == "inpaint", name


def test_evaluations_by_name(model, data):
    train, test = data.split("xview")
    found = evaluate_split(model, train, test, {"with": "nearest"})
    assert isinstance(found, Result) and found.official == nearest(model, train, test).official
    assert evaluate_job(model, train, test, {"with": "nearest"})["official"] == found.official
    for wish, words in (({"with": "luck"}, "no evaluation 'luck': there are linear"), ({"with": "cluster", "colour": 1}, "cluster|colour")):
        with pytest.raises((ValueError, TypeError), match=words):
            evaluate_split(model, train, test, wish)


def test_a_transfer_goes_to_all_splits_of_the_other_set(model, place, data, monkeypatch):
    asked = []
    def transfer(run, train, test, protocol=None, how="linear", **settings):
        asked.append((protocol, how, len(train), len(test)))
        return nearest(run, train, test, protocol=protocol)
    monkeypatch.setattr(bench, "import_module", lambda name: type("module", (), {"transfer": staticmethod(transfer)}))
    wish = {"with": "transfer", "data": str(place / "a.skel"), "protocol": "folds:camera/3", "how": "finetune"}
    found = evaluate_split(model, None, None, wish)
    assert [a[:2] for a in asked] == [(f"folds:camera/3#{k}", "finetune") for k in (1, 2, 3)] and sum(a[3] for a in asked) == len(data)
    assert found.protocol == "folds:camera/3" and found.fingerprint == data.fingerprint and len(found.parts) == 3


def test_rows_with_one_first_stage_share_a_worker():
    base = {**SMALL, "data": "a.skel", "protocol": "fold1+fold2"}
    first = {"options": {"fusion": "cml"}}
    jobs = [{**base, "row": name, "start_from": first, "options": {"n": n}} for n, name in enumerate("ab")] + [{**base, "row": "c"}]
    assert [[job["row"] for job in group] for group in grouped(jobs, "no such runs")] == [["a", "b"], ["c"]]
    both = {**base, "row": "both", "options": jobs[0]["options"], "start_from": first, "beside": [{"options": SMALL["options"], "recipe": SMALL["recipe"]}]}
    assert [[job["row"] for job in group] for group in grouped([*jobs, both], "no such runs")] == [["c", "a", "b", "both"]], "it needs the runs of both"


def test_a_row_beside_others_is_their_ensemble(place, data):
    job = {**SMALL, "row": "pair", "data": str(place / "a.skel"), "protocol": "cameras:1,3/2+cameras:1,2/3",
           "beside": [{"options": {**SMALL["options"], "width": 6}, "recipe": {**SMALL["recipe"], "frames": 8}}]}
    result = json.loads(measure(job, Builder, place / "runs", place / "results", "a command", progress=False)[0].read_text())
    assert result["method"] == "CRRL + CRRL" and len(result["parts"][0]["streams"]) == 2 and result["beside"] == job["beside"]
    one, other = ({k: v for k, v in job.items() if k != "beside"}, {**SMALL, **job["beside"][0], "data": job["data"], "protocol": job["protocol"]})
    alone = [json.loads(measure({**each, "row": f"alone {k}"}, Builder, place / "runs", place / "results", "", progress=False)[0].read_text())
             for k, each in enumerate((one, other))]
    assert result["parameters"] == sum(a["parameters"] for a in alone)
    assert [part["streams"][0]["official"] for part in result["parts"]] == [part["official"] for part in alone[0]["parts"]]
    with pytest.raises(ValueError, match="row 'pair': beside has unknown fields \\['seed'\\]"):
        measure({**job, "evaluate": [{"with": "linear"}], "beside": [{"seed": 1}]}, Builder, place / "runs", place / "results", "", progress=False)


def test_bad_rows(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps({"data": "a", "protocol": "p", "rows": [{"row": "r", "method": "m", "train_share": 2}]}))
    with pytest.raises(ValueError, match="row 'r': train_share must be above 0 and at most 1, got 2"):
        read_rows(path)
    wish = {"with": "transfer", "data": "x/y.skel", "protocol": "fold1+fold2"}
    assert result_file({"row": "a b", "seed": 1}, wish, "r").name == "a-b--transfer--x-y.skel--fold1-fold2--seed1.json"


def test_every_row_that_comes_along_asks_for_what_there_is():
    for path in sorted((Path(bench.__file__).parent / "rows").glob("*.json")):
        for job in read_rows(path):
            stages = [one for one in (*members_of(job), first_stage(job)) if one]
            for one in (*stages, *([{**job, "options": job["paper"].get("options", {})}] if "paper" in job else [])):
                check_kinds(method_class(one["method"]), one["options"], f"{path.name}: {job['row']}")
            for evaluation in job["evaluate"]: evaluation_of(evaluation)
