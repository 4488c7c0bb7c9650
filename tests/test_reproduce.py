"Tables of the papers: the catalogue holds, and a table is planned, run and shown."
import json
from pathlib import Path

import pytest

from skelbench import reproduce as module
from skelbench.catalogue import CATALOGUE, cited, find_entry, listing, order, pairs_of, published, rows_file
from skelbench.cli import main, parser
from skelbench.commands import Builder
from skelbench.jobs import read_rows, result_file, run_folder
from skelbench.reproduce import counted, estimate, in_words, jobs_of, measured, paces, reproduce, results_folder, side_by_side, stages_to_train, under

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "nbs" / "results"
WITH_ROWS = [(paper, key) for paper, entries in CATALOGUE.items() for key, entry in entries.items() if "rows" in entry]


@pytest.mark.parametrize("paper,numbers", [("swapclr", (7, 7)), ("crrl", (13, 10)), ("actclr", (9, 5)), ("focovil", (10, 6))])
def test_every_numbered_table_and_figure_is_listed(paper, numbers):
    wanted = [f"table {n + 1}" for n in range(numbers[0])] + [f"fig {n + 1}" for n in range(numbers[1])]
    assert sorted(CATALOGUE[paper], key=order) == wanted
    found = listing()
    assert list(found[found["paper"] == paper]["table"]) == wanted
    assert (found["here"].ne("-") | found["why"].ne("")).all(), "what cannot be had says why"
    for n in range(numbers[0]):
        assert published(cited(paper, f"table {n + 1}")), f"no published number of {paper} table {n + 1}"


@pytest.mark.parametrize("paper,key", WITH_ROWS, ids=lambda x: x.replace(" ", ""))
def test_a_table_points_at_rows_and_lines_that_exist(paper, key):
    entry = CATALOGUE[paper][key]
    rows, lines = {job["row"] for job in read_rows(rows_file(entry["rows"]))}, {p["row"] for p in published(cited(paper, key))}
    for row, _, line in pairs_of(entry):
        assert row in rows and (not line or not lines or line in lines), (row, line)


def test_no_number_is_published_twice():
    for paper, entries in CATALOGUE.items():
        for key in entries:
            rows = [(p["row"], p["data"], p["protocol"], p["measure"]) for p in published(cited(paper, key))]
            assert len(rows) == len(set(rows)), (paper, key)


def test_words_for_a_table():
    assert find_entry("CRRL", "viii")[1] == find_entry("crrl", "8")[1] == find_entry("crrl", "Table VIII")[1] == "table 8"
    assert find_entry("swapclr", "fig5")[1] == find_entry("swapclr", "Figure 5")[1] == "fig 5"
    for wrong, words in ((("nobody", "1"), "no paper 'nobody': there are swapclr"), (("swapclr", "8"), "SwapCLR has no '8': there are table 1, table 2"),
                         (("swapclr", ""), "has no ''"), (("swapclr", "table"), "there are")):
        with pytest.raises(ValueError, match=words):
            find_entry(*wrong)


def test_jobs_are_the_rows_own_so_that_results_are_found():
    entry = find_entry("crrl", "VIII")[2]
    own = {(job["row"], job["seed"]): job for job in read_rows(rows_file("crrl"))}
    for job in jobs_of(entry):
        assert run_folder(job, "runs") == run_folder(own[job["row"], job["seed"]], "runs")
        assert result_file(job, job["evaluate"][0], "r") == result_file(own[job["row"], job["seed"]], {"with": "linear"}, "r")
    assert [job["seed"] for job in jobs_of(entry, seeds=[4, 7])][:2] == [4, 7]
    assert {job["protocol"] for job in jobs_of(find_entry("focovil", "10")[2], protocol="xsub")} == {"xsub", "xsub 10%", "xsub 50%", "xsub 70%"}
    paper = jobs_of(entry, preset="paper")
    assert not any("epochs" in job["recipe"] for job in paper)
    assert all("epochs" not in job["start_from"].get("recipe", {}) for job in paper if "start_from" in job)
    small = jobs_of(entry)[0]
    assert under(small, "small") is small
    assert results_folder(entry, "r").name == "crrl" and results_folder(entry, "r", "elsewhere/nw_ucla.skel", "xview").name == "crrl"
    assert results_folder(entry, "r", "sbu.skel", "fold1+fold2", "paper").name == "crrl--sbu--fold1-fold2--paper"
    for wrong, words in ((("swapclr", "fig1"), "no row makes this here: a drawing"), (("actclr", "5"), "give the other set and its protocol")):
        with pytest.raises(ValueError, match=words):
            jobs_of(find_entry(*wrong)[2])
    jobs = jobs_of(find_entry("crrl", "VII")[2], target="b.skel", target_protocol="xsub")
    assert jobs[0]["evaluate"] == [{"with": "transfer", "how": "finetune", "data": "b.skel", "protocol": "xsub"}]


@pytest.mark.parametrize("paper,table", [("swapclr", "4"), ("crrl", "VIII"), ("actclr", "9"), ("focovil", "8")])
def test_a_table_of_each_paper_from_the_results_that_come_along(paper, table):
    said = []
    out = reproduce(paper, table, Builder, results=RESULTS, runs="no runs", say=said.append)
    assert out["planned"] == 0 and not out["failed"] and any("nothing to run" in line for line in said)
    assert all(row["seeds"] == "3" for row in out["rows"] if row["seeds"])
    foreign = any("DATA ARE NOT THE PAPER'S" in remark for remark in out["remarks"])
    assert foreign == (paper in ("swapclr", "actclr")), "NW-UCLA is among the data of the other two tables"


def test_a_number_against_the_files():
    entry = find_entry("crrl", "VIII")[2]
    jobs = jobs_of(entry)
    values = [json.loads((RESULTS / "crrl" / f"table8-ser--linear--seed{s}.json").read_text())["official"] for s in range(3)]
    mean, spread, seeds = measured(jobs, "table8 ser", {"with": "linear"}, RESULTS / "crrl")["official"]
    assert mean == pytest.approx(sum(values) / 3) and seeds == 3
    assert spread == pytest.approx((sum((v - mean) ** 2 for v in values) / 2) ** .5)
    line = next(r for r in side_by_side("crrl", "table 8", entry, jobs, RESULTS / "crrl").to_dict("records") if r["row"] == "SER")
    assert line["here: linear"] == f"{mean:.1f} ± {spread:.1f}" and line["paper: NW-UCLA xview"] == "81.4"


def test_paces_and_estimate(tmp_path, monkeypatch, data):
    data.save(tmp_path / "a.skel")
    for seed, seconds in enumerate((32.0, 64.0, 96.0)):
        (tmp_path / f"x--linear--seed{seed}.json").write_text(json.dumps({
            "method": "CRRL", "preset": "small", "row": "x", "asked": {"with": "linear"}, "seconds": 2, "clips": {"train": 32}, "recipe": {"epochs": 4},
            "train_seconds": seconds}))
    (tmp_path / "y--linear--seed0.json").write_text("{")
    known = paces(tmp_path)
    assert known["crrl", "small", "x"] == known["crrl", "small", None] == 64 / 4 / 32 and known["crrl", "linear"] == 2
    job = {"method": "crrl", "preset": "small", "options": {"people": 2}, "recipe": {"epochs": 10}, "data": str(tmp_path / "a.skel"),
           "protocol": "xview", "row": "z",
           "evaluate": [{"with": "linear"}, {"with": "nearest"}], "start_from": {"options": {"fusion": "cml", "people": 2}, "recipe": {"epochs": 5}}}
    jobs = [{**job, "seed": seed} for seed in (0, 1)] + [{**job, "seed": 0, "row": "same run"}]
    assert len(stages_to_train(jobs, tmp_path / "runs")) == 4, "two stages, two seeds"
    seconds, unknown = estimate(jobs, tmp_path / "runs", known, Builder)
    assert seconds == pytest.approx(2 * (10 + 5) * 32 * .5 + 3 * (2 + 5)) and not unknown
    monkeypatch.setattr(module, "timed", lambda *a: None)
    assert estimate(jobs, tmp_path / "runs", {}, Builder)[1] == 4
    assert in_words(59) == "59 s" and in_words(600) == "10 min" and in_words(7200) == "2.0 h"


def test_an_unknown_pace_is_timed_where_the_queue_fits(tmp_path, data):
    data.save(tmp_path / "a.skel")
    job = {"method": "actclr", "preset": "small", "options": {"stage": "moco", "queue": 24}, "recipe": {"batch_size": 4}, "data": str(tmp_path / "a.skel"),
           "protocol": "xview", "row": "z", "evaluate": []}
    assert 0 < module.timed(job, Builder, "cpu") < 10, "24 keys do not fit into four batches of four"
    assert module.timed(job | {"options": {"stage": "moco", "queue": 2000}}, Builder, "cpu") is None


def test_what_is_missing_is_run_and_what_failed_is_said(tmp_path, monkeypatch, data):
    data.save(tmp_path / "a.skel")
    asked, said = {}, []
    def queue(jobs, build, runs, results, workers, threads, device, command):
        asked.update(jobs=jobs, results=results, command=command)
        return ["a file"], ["table9 shear seed 0: too hot"]
    monkeypatch.setattr(module, "run_queue", queue)
    monkeypatch.setattr(module, "timed", lambda *a: .01)
    where = {"data": str(tmp_path / "a.skel"), "seeds": 1, "results": tmp_path, "runs": tmp_path / "runs", "say": said.append}
    assert reproduce("crrl", "IX", Builder, plan=True, **where)["planned"] == 8 and not asked
    out = reproduce("crrl", "IX", Builder, **where)
    assert out["failed"] and "failed: table9 shear seed 0: too hot" in said and out["seconds"] > 0
    assert asked["results"].name == "crrl--a" and len(asked["jobs"]) == 4 and asked["command"] == f"skelbench reproduce crrl 9 --results {tmp_path}"
    assert any(line.startswith("to do: 4 trainings, 8 evaluations, about") for line in said)
    assert any("DATA ARE NOT THE PAPER'S" in line for line in said) and all(row["seeds"] == "not measured" for row in out["rows"])
    with pytest.raises(FileNotFoundError, match="nowhere.skel is not there: give --data"):
        reproduce("crrl", "IX", Builder, **{**where, "data": "nowhere.skel"})


def test_a_table_that_is_counted():
    from skelbench.skeleton import NTU25

    entry = find_entry("crrl", "XI")[2]
    rows = counted("crrl", "table 11", {**entry, "cost": {**entry["cost"], "frames": 4, "rows": entry["cost"]["rows"][:2]}}, Builder, NTU25).to_dict("records")
    assert [(r["row"], r["paper: parameters"], round(float(r["here: parameters (M)"] or 0), 1)) for r in rows[:2]] == [("CML", "4.7", 4.7), ("SER", "2.2", 2.2)]
    assert rows[2]["row"] == "CRRL" and rows[2]["here: parameters (M)"] == ""


def test_rows_come_with_the_package():
    paths = sorted((ROOT / "skelbench" / "rows").glob("*.rows.json"))
    assert len(paths) >= 9 and all(path.resolve() == rows_file(path.name.removesuffix(".rows.json")).resolve() for path in paths)
    with pytest.raises(ValueError, match="no rows 'nothing' in the package: there are actclr"):
        rows_file("nothing")
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert "rows/*.json" in setup, "package_data of the wheel"


def test_a_checkout_shows_the_results_that_come_along(monkeypatch, tmp_path, capsys):
    asked = ["reproduce", "focovil", "8"]
    monkeypatch.chdir(tmp_path)
    assert parser().parse_args(asked).results == "results"
    monkeypatch.chdir(ROOT)
    assert parser().parse_args(asked).results == "nbs/results"
    main(asked)  # without data and without runs: every number of this table is there
    assert "42 of 42 results are in nbs/results/focovil: nothing to run" in capsys.readouterr().out
