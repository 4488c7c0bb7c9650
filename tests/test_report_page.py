"The page of the report: what it holds, what it keeps apart, what it refuses; the claims it draws."
import json
import re
from pathlib import Path

import numpy as np
import pytest

from skelbench.claims import CLAIMS, claims_table, compared, decidable, difference, side_of, verdict
from skelbench.comparison import answers
from skelbench.gathering import gather, rows_of_runs
from skelbench.report import read_results
from skelbench.report_page import choose_pair, class_names, classes_html, confusion_html, report_page
from skelbench.synthetic import make_synthetic

ROOT = Path(__file__).resolve().parents[1]


def result_of(row="a", seed=0, share=.8, clips=24, **changes):
    truth = np.arange(clips) % 3
    right = np.random.default_rng([seed, len(row), int(100 * share)]).random(clips) < share
    return {"row": row, "evaluation": "linear", "method": "m", "data": "d", "fingerprint": "f", "protocol": "p", "seed": seed, "epochs": 3, "command": "c",
            "file": f"{row}{seed}", "official": 100 * float(right.mean()), "raw_coordinates": {"official": 40.0}, "random_encoder": {"official": 30.0 + seed},
            "per_class": {"x": 1., "y": 2., "z": 3.}, "settings": {"representation": "c"}, "predictions": {
                "clips": [f"c{k}" for k in range(clips)], "truth": truth.tolist(), "leaked": [int(k < 4) for k in range(clips)],
                "predicted": np.where(right, truth, (truth + 1) % 3).tolist()}} | changes


def headings(path):
    return re.findall(r"<h2>(.*?)</h2>", path.read_text(encoding="utf-8"))


def test_page_has_all_parts(tmp_path):
    results = [result_of(row, seed, share) for row, share in (("a", .9), ("bb", .5)) for seed in range(3)]
    page = report_page(results, tmp_path / "r.html", "Mine")
    assert headings(page) == ["linear · d · p", "How sure: linear · d · p", "Two rows: what is taken for what", "Two rows: class by class",
                              "Two rows: clip by clip"]
    text = page.read_text(encoding="utf-8")
    assert "<title>Mine</title>" in text and "a − bb" in text and not re.search(r"(src|href)=.?https?:", text) and "<link rel=\"stylesheet" not in text
    assert list(tmp_path.iterdir()) == [page], "nothing half-written lies about"


def test_other_protocols_and_data_never_share_a_table(tmp_path):
    results = [result_of(), result_of(protocol="q", file="1"), result_of(data="e", file="2"), result_of(fingerprint="g", file="3"), result_of("old", file="4")]
    del results[4]["predictions"]
    page = report_page(results, tmp_path / "r.html")
    tables = [h for h in headings(page) if h.startswith("linear")]
    assert tables == ["linear · d · p · clips f", "linear · d · q", "linear · e · p", "linear · d · p · clips g"]
    assert "row old has no predictions: measure it again" in page.read_text(encoding="utf-8")
    assert not any("Two rows" in h for h in headings(page)), "no two rows on the same clips"


def test_published_rows_are_set_apart(tmp_path):
    text = report_page([result_of(data="nw_ucla", protocol="xview")], tmp_path / "r.html").read_text(encoding="utf-8")
    measured, printed = text.split("Published, not measured here")
    assert "FoCoViL, Table 1, pp. 198-209" in printed and "FoCoViL, Table 1" not in measured and '<tbody class="published">' in printed
    assert "Published" not in report_page([result_of(data="nw_ucla", protocol="xview")], tmp_path / "s.html", published=()).read_text(encoding="utf-8")


def test_what_is_written_is_text(tmp_path):
    evil = '"><script>alert(1)</script>'
    results = [result_of(evil + str(k), seed, .5 + .4 * k, per_class={evil: 1., "y": 2., "z": 3.}) for k in range(2) for seed in range(2)]
    text = report_page(results, tmp_path / "r.html", evil).read_text(encoding="utf-8")
    assert "<script>alert" not in text


def test_bad_input_is_one_sentence(tmp_path):
    results = [result_of("a"), result_of("b")]
    for wrong, keywords, words in (([], {}, "nothing to report"), (results, {"pair": ("a", "c")}, "no two rows 'a' and 'c'")):
        with pytest.raises(ValueError, match=words) as error:
            report_page(wrong, tmp_path / "r.html", **keywords)
        assert "\n" not in str(error.value) and not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError, match="nowhere"):
        gather([tmp_path / "nowhere"])
    (tmp_path / "cut.json").write_text('{"row": 1')
    with pytest.raises(ValueError, match="cut.json"):
        gather([tmp_path])


def test_the_two_best_or_the_two_named():
    results = [result_of(row, seed, share) for row, share in (("a", .3), ("bb", .9), ("ccc", .6)) for seed in range(3)]
    assert [m.name for m in choose_pair(results)] == ["bb", "ccc"] and [m.name for m in choose_pair(results, ("ccc", "a"))] == ["ccc", "a"]
    assert choose_pair([r for r in results if r["row"] == "a"]) is None


def test_confusions_and_classes_hold_the_numbers():
    first, second = answers([result_of("a", share=1.)]), answers([result_of("b", share=0.)])
    text = confusion_html(np.array([[3., 1.], [0., 4.]]), ["x", "y & z"], "mine")
    assert ">75<" in text and ">25<" in text and ">100<" in text and "y &amp; z" in text and "confusion many" not in text
    assert "confusion many" in confusion_html(np.eye(21), [str(k) for k in range(21)], "many")
    assert "+100" in confusion_html(np.array([[100.]]), ["x"], "gap", difference=True)
    assert classes_html(first, second, {0: "x", 1: "y", 2: "z"}).count("+100.0") == 3
    assert class_names(result_of()) == {0: "x", 1: "y", 2: "z"} and class_names(result_of(per_class={})) == {0: "0", 1: "1", 2: "2"}


def test_folders_of_folders_are_gathered(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.json").write_text(json.dumps(result_of(folder)))
        (tmp_path / folder / "x.rows.json").write_text("{}")
    results, runs = gather([tmp_path])
    assert [r["row"] for r in results] == ["one", "two"] and not runs
    assert len(gather([tmp_path / "one", tmp_path / "two" / "a.json"])[0]) == 2


def test_runs_that_differ_in_their_seed_are_one_row(tmp_path):
    for name, seed, width in (("net-1a-seed0", 0, 8), ("net-7c-seed1", 1, 8), ("wide", 0, 16)):
        (tmp_path / name).mkdir()
        about = {"format": 1, "method": "M", "arguments": {"width": width}, "recipe": {"seed": seed, "epochs": 2}}
        (tmp_path / name / "run.json").write_text(json.dumps(about))
    folders = [tmp_path / n for n in ("net-1a-seed0", "net-7c-seed1", "wide")]
    assert list(rows_of_runs(folders).values()) == ["net", "net", "wide"]


@pytest.mark.slow
def test_a_run_is_measured_once_and_kept(tmp_path):
    from skelbench.swapclr import SwapCLR
    from skelbench.training import fit

    make_synthetic(clips=60, seed=0).save(tmp_path / "set.skel")
    from skelbench.datasets import open_set

    data = open_set(tmp_path / "set.skel")
    model = SwapCLR(data.skeleton, preset="small", streams=("joint",))
    fit(model, data.split("xview")[0], model.recipe(epochs=1, seed=0, batch_size=16, frames=16), to=tmp_path / "run", protocol="xview", progress=False)
    results, runs = gather([tmp_path / "run"])
    assert runs == [tmp_path / "run"] and {r["evaluation"] for r in results} == {"linear", "nearest"}
    kept = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "run" / "results").iterdir()}
    again, _ = gather([tmp_path / "run"])
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "run" / "results").iterdir()} == kept and len(again) == 2
    page = report_page(again, tmp_path / "r.html", runs=runs)
    assert headings(page)[-1] == "Training" and "curves" in page.read_text(encoding="utf-8")


# --- claims ----------------------------------------------------------------------------------------------------------

def rows_of(row, numbers, **changes):
    return [{"row": row, "evaluation": e, "method": "m", "data": "d", "protocol": "p", "seed": k, "official": n} | changes
            for k, n in enumerate(numbers) for e in ("linear", "nearest")]


def test_a_difference_is_that_of_the_formula():
    first, second = [80., 82., 85.], [70., 71., 75.]
    gap, error = difference(first, second)
    assert gap == pytest.approx(np.mean(first) - np.mean(second))
    assert error == pytest.approx(np.sqrt(np.var(first, ddof=1) / 3 + np.var(second, ddof=1) / 3))
    with pytest.raises(ValueError, match="two of each"):
        difference([1.], second)


@pytest.mark.parametrize("seen, word", [([[1, 1], [1, 0]], "held"), ([[1], []], "held where measured"), ([[0, 0]], "undecided"),
                                        ([[-1, 0]], "refuted"), ([[1, -1]], "in part"), ([[1], [-1]], "in part"), ([[1], [0]], "in part"),
                                        ([[], []], "open"), ([[0], [-1]], "refuted")])
def test_verdicts(seen, word):
    assert verdict(seen) == word


def test_a_comparison_is_leak_free_where_that_is_known():
    rows = rows_of("a", [80, 82], leak_free=60.) + rows_of("b", [70, 71], leak_free=65.)
    assert {(c["clips"], c["difference"], c["seen"]) for c in compared(rows, "a > b")} == {("leak-free", -5, -1)}
    assert {c["seen"] for c in compared(rows, "b >= a")} == {1} and {c["seen"] for c in compared(rows, "a >= b")} == {-1}
    rows = rows_of("a", [80, 82]) + rows_of("b", [70, 71], raw_coordinates={"official": 10.})
    assert {c["clips"] for c in compared(rows, "a > b")} == {""} and compared(rows, "a > raw coordinates")[0]["difference"] == 71
    assert compared(rows, "a > nobody") == [] and compared(rows[:1], "a > b") == [], "one seed decides nothing"
    assert side_of("a") == [("a", "linear", "official"), ("a", "nearest", "official")]
    assert side_of("a # gaps.lengths/0.4/model") == [("a", "gaps", "lengths/0.4/model")]


def test_all_claims_are_asked_of_rows_that_exist():
    assert len(CLAIMS) == 27 and len({c[0] for c in CLAIMS}) == 27
    assert [sum(c[0][0] == letter for c in CLAIMS) for letter in "SCAF"] == [9, 7, 5, 6]
    known = {row["row"] for path in (ROOT / "skelbench" / "rows").glob("*.rows.json") for row in json.loads(path.read_text())["rows"]} | {"raw coordinates"}
    for key, _, _, text in CLAIMS:
        for side in re.split(r"\||>=|>", text):
            row = side.partition("#")[0].strip()
            assert row in known or row.rpartition(", ")[0] in known, f"{key}: {row!r} is in no rows file"


def test_claims_of_one_set_only():
    rows = rows_of("table4 swapclr", [80, 81]) + rows_of("table6 width 64", [70, 71])
    table = claims_table(rows)
    assert len(table) == 27 and table["verdict"][5] == "held where measured" and set(table["verdict"]) == {"held where measured", "open"}
    with pytest.raises(ValueError, match="d p, d q"):
        claims_table(rows + rows_of("a", [1], protocol="q"))
    assert list(decidable(rows + rows_of("a", [1, 2], protocol="q"))) == [("d", "p")]
    assert list(decidable(rows + rows_of("a", [1, 2], protocol="p 10%"))) == [("d", "p")]


@pytest.mark.slow
def test_real_results_make_a_page(tmp_path):
    results = [r for folder in sorted((ROOT / "nbs" / "results").glob("*/")) for r in read_results(folder)]
    page = report_page(results, tmp_path / "r.html")
    assert any(h.startswith("The papers&#x27; claims") for h in headings(page)) and page.stat().st_size < 3_000_000
