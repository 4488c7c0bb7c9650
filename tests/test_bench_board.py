"The bench board without a browser: what a table mixes and what not, what two rows differ in, and what is said of a file that is damaged."
import json

import numpy as np
import pytest

from skelbench.bench_board import WALL, BenchBoard, bench
from skelbench.board import ResultTable
from skelbench.panel import Panel
from skelbench.standings import collected, compared, corrected_for_all, rows_of, tables_of
from skelbench.synthetic import make_synthetic

CLASSES = ["walk", "wave", "sit"]


def mcnemar_slow(first, second):
    "Two-sided exact binomial test, counted."
    from math import comb

    only, other = (sum(bool(x) and not y for x, y in zip(*pair)) for pair in ((first, second), (second, first)))
    n, k = only + other, min(only, other)
    return 1. if only == other else min(1., 2 * sum(comb(n, i) for i in range(k + 1)) / 2 ** n)


def result(row="one", seed=0, accuracy=None, predicted=None, **other):
    "A result as a file holds it; `predicted` of nine clips, three a class, two of which are leaked."
    truth = [0, 0, 0, 1, 1, 1, 2, 2, 2]
    predicted = truth if predicted is None else predicted
    right = np.array(predicted) == truth
    made = {"row": row, "evaluation": "linear", "method": "SwapCLR", "data": "made", "fingerprint": "f" * 16, "protocol": "xview", "seed": seed,
            "epochs": 4, "command": "made up", "device": "cpu", "version": "0", "seconds": 1., "interval": [40., 90.],
            "official": round(100 * float(right.mean()), 2) if accuracy is None else accuracy, "leak_free": 60., "leak_free_interval": [30., 80.],
            "best_on_test": 99., "raw_coordinates": {"official": 50., "leak_free": 61.}, "random_encoder": {"official": 40. + seed, "leak_free": 30.},
            "clips": {"train": 20, "test": 9, "leaked": 2}, "settings": {"frames": 8, "representation": None}, "options": {}, "recipe": {"epochs": 4},
            "per_class": {name: 100 * float(right[3 * k:3 * k + 3].mean()) for k, name in enumerate(CLASSES)},
            "predictions": {"clips": [f"clip{k}" for k in range(9)], "truth": truth, "predicted": predicted, "leaked": [1, 1, 0, 0, 0, 0, 0, 0, 0]}}
    return made | other


ONE = [0, 0, 1, 1, 1, 1, 2, 2, 0]  # clips 2 and 8 are wrong
TWO = [0, 1, 1, 1, 0, 0, 2, 2, 2]  # clips 1, 2, 4, 5


@pytest.fixture()
def board():
    return bench([result("one", predicted=ONE), result("two", predicted=TWO, options={"blocks": 3}, preset="small")])


def test_what_two_rows_differ_in(board):
    assert isinstance(board, BenchBoard) and board.picked == [] and board.only_a == []
    board.picked = ["one", "two"]
    assert board.only_a == ["clip1", "clip4", "clip5"] and board.only_b == ["clip8"] and board.neither == ["clip2"]
    found = board.comparison
    assert ["blocks", "–", "3"] in found["settings"] and ["preset", "–", "small"] in found["settings"]
    assert found["classes"][0][0] == "wave" and found["classes"][0][3] == pytest.approx(200 / 3)
    line = found["numbers"][0]
    right = [[p == t for p, t in zip(x, [0, 0, 0, 1, 1, 1, 2, 2, 2])] for x in (ONE, TWO)]
    assert line["difference"] == "+22.2" and line["p"] == f"{mcnemar_slow(*right):.3f}" == line["corrected"] and found["test"] == "McNemar"
    clips = found["clips"].set_index("clip")
    assert clips.loc["clip4", "b says"] == "walk" and clips.loc["clip8", "a says"] == "walk" and clips.loc["clip0", "leaked"]
    board.picked = ["two", "one"]
    assert board.only_b == ["clip1", "clip4", "clip5"]


def test_a_clip_is_right_where_most_seeds_have_it_right():
    wrong = [1] * 3 + [1] * 3 + [2] * 3
    seeds = [result("one", k, predicted=p) for k, p in enumerate((ONE, ONE, wrong))]
    one, two = next(iter(rows_of([*seeds, result("two", 0, predicted=TWO), result("two", 1, predicted=ONE)]).values()))
    found = compared(one, two)
    mine, theirs = one.answers().right, two.answers().right
    for k, clip in enumerate(one.answers().clips):
        a, b = 2 * sum(mine[:, k]) > 3, 2 * sum(theirs[:, k]) > 2
        assert (clip in found["only_a"], clip in found["only_b"], clip in found["neither"]) == (a and not b, b and not a, not a and not b)
    assert found["test"] == "sign flips" and found["clips"].set_index("clip").loc["clip0", "a says"] == "wave"  # the error, not the answer given most


def test_p_is_corrected_for_all_pairs_of_the_table():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 3, 200).tolist()
    def guess(share):
        return [t if u < share else (t + 1) % 3 for t, u in zip(truth, generator.random(200))]
    kept = {"clips": [f"c{k}" for k in range(200)], "truth": truth, "leaked": [0] * 200}
    rows = next(iter(rows_of([result(f"r{k}", predictions=kept | {"predicted": guess(.5 + .1 * k)}) for k in range(4)]).values()))
    corrected = corrected_for_all(rows)
    plain = {(a.key, b.key): mcnemar_slow(a.answers().right[0], b.answers().right[0]) for a in rows for b in rows if a.key < b.key}
    order, raised = sorted(plain, key=plain.get), 0.
    for rank, pair in enumerate(order):
        raised = max(raised, min(1., plain[pair] * (6 - rank)))
        assert corrected[(*pair, "official")] == pytest.approx(raised)
    assert compared(rows[0], rows[3], corrected)["numbers"][0]["corrected"] != ""


def test_many_pairs_are_corrected_later():
    board = bench([result(f"r{k}", predicted=(ONE, TWO)[k % 2]) for k in range(14)])
    board.picked = ["r0", "r1"]
    if board._thread is not None:
        board._thread.join(60)
    line = board.comparison["numbers"][0]
    assert "91 pairs" in board._heading.text and float(line["corrected"]) == min(1., float(line["p"]) * 91) and board.said == ""


def test_protocols_and_fingerprints_are_never_in_one_table():
    mixed = [result(), result("two"), result(protocol="xsub"), result(fingerprint="0" * 16), result(evaluation="nearest"), result(data="other")]
    tables = tables_of(rows_of(mixed))
    assert [len(t["rows"]) for t in tables] == [2, 1, 1, 1, 1] and len({t["of"] for t in tables}) == 5
    assert tables[0]["of"][1] == "made (ffffff)" and tables[2]["of"][1] == "made (000000)" and tables[3]["of"][1] == "other"
    board = bench(mixed)
    board.picked = ["one", "two"]
    with pytest.raises(ValueError):
        board.table.picked = [0, 2]  # of two protocols


def test_rows_of_a_table():
    results = [result("one", seed, accuracy=70. + seed) for seed in range(3)] + [result("one", epochs=8, accuracy=45.),
               result("one", settings={"representation": "z"}, accuracy=80.), result("two", raw_coordinates=None, random_encoder=None, leak_free=None)]
    board = bench(results)
    assert sorted(r.name for r in board.rows.values()) == ["one, 4 epochs", "one, 8 epochs", "one, z", "two"]
    frame = board.frame
    assert list(frame["official, accuracy"]) == [71., 45., 80., 100.] and list(frame["seeds"]) == [3, 1, 1, 1]
    assert not any("best" in name for name in frame.columns)
    rows = board.table.spec["tables"][0]["rows"]
    texts = rows[0]["texts"]
    assert "71.0 ± 1.0" in texts and "50.0" in texts and "41.0 ± 1.0" in texts and "40.0 – 90.0" in texts
    heads = [h["group"] + h["name"] for h in board.table.spec["tables"][0]["heads"]]
    assert [heads[k] for k in rows[1]["low"]] == ["officialaccuracy", "leak-freeaccuracy"] and [heads[k] for k in rows[0]["low"]] == ["leak-freeaccuracy"]
    assert rows[3]["values"][heads.index("leak-freeaccuracy")] is None and rows[3]["low"] == []


def test_draws_of_labels_are_seeds_of_one_row():
    drawn = [result(evaluation="linear", settings={"frames": 8, "draw": k}) for k in range(3)]
    (row,) = next(iter(rows_of(drawn).values()))
    assert len(row.results) == 3 and row.answers().right.shape == (3, 9)


def test_shares_of_labels_are_rows():
    shares = [{"share": share, "official": 10. * k, "interval": [1., 90.], "raw_coordinates": {"official": 5.}} for k, share in enumerate((.1, .5, 1.))]
    board = bench([result("few", seed, evaluation="semi", shares=shares) for seed in range(2)])
    assert [r.name for r in board.rows.values()] == ["few, share 0.1", "few, share 0.5", "few, share 1.0"]
    assert list(board.frame["official, accuracy"]) == [0, 10, 20]
    board.picked = ["few, share 0.1", "few, share 1.0"]
    assert board.comparison["numbers"][0]["difference"] == "-20.0" and ["semi: share", "0.1", "1.0"] in board.comparison["settings"]


def test_a_measure_inside_another():
    board = bench([result("h", evaluation="health", effective_rank=3.25, alignment=.5, camera={"accuracy": 44.4, "chance": 33.3})])
    frame = board.frame
    assert frame["camera, accuracy"][0] == 44.4 and "3.25" in board.table.spec["tables"][0]["rows"][0]["texts"]


def test_without_predictions_it_is_a_sentence(board):
    old = result("old")
    del old["predictions"]
    board = bench([old, result("new", predicted=ONE)])
    board.picked = ["new", "old"]
    assert "row old has no predictions: measure it again" in board._why.text and board.only_a == [] and board.comparison["numbers"][0]["difference"] == "-22.2"
    cluster = [result(name, evaluation="cluster", purity=.5, ari=.25) for name in ("one", "two")]
    board = bench(cluster)
    board.picked = ["one", "two"]
    assert "no answer for a single clip" in board._why.text and board.comparison["numbers"][0]["a"] == "0.500"
    other = result("two", predictions=old | {"clips": [f"other{k}" for k in range(9)], "truth": [0] * 9, "predicted": [0] * 9, "leaked": [0] * 9})
    board = bench([result(), other])
    board.picked = ["one", "two"]
    assert "other clips" in board._why.text


def test_clips_play_from_the_set():
    data = make_synthetic(clips=60, seed=0)
    test = data.split("xview")[1]
    names, truth = [str(n) for n in test.table["name"]], [int(k) for k in test.table["label"]]
    kept = {"clips": names, "truth": truth, "leaked": [0] * len(names)}
    wrong = [(t + 1) % len(data.classes) for t in truth]
    results = [result("right", predictions=kept | {"predicted": truth}, per_class={}), result("wrong", predictions=kept | {"predicted": wrong}, per_class={})]
    board = bench(results, data)
    board.picked = ["right", "wrong"]
    assert board.only_a == names and len(board.player.spec["cells"]) == min(WALL, len(names)) and board.player in board._below.children
    assert board.player.spec["cells"][0]["name"] == f"class {truth[0]}, not class {wrong[0]}"
    before = board.player.data
    board._clips.value = names[-1]  # the list: those at its end
    assert board.player.data != before and f"to {len(names)} of {len(names)} play" in board._words.text
    board._who.value = "neither"
    assert board.player not in board._below.children and board.neither == []
    part = bench(results, test.select(range(3)))
    part.picked = ["right", "wrong"]
    assert "not in the set" in part._words.text and part.player is None
    alone = bench(results)
    alone.picked = ["right", "wrong"]
    assert "Give the set" in alone._words.text


def test_set_from_a_run(tmp_path):
    data = make_synthetic(clips=48, seed=0)
    data.save(tmp_path / "set.skel")
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"format": 1, "data": str(tmp_path / "set.skel")}))
    for runs in (folder, tmp_path / "runs", [folder, folder]):
        board = bench([result()], runs=runs)
        assert [len(one) for one in board._sets] == [48]
    assert "no run in" in bench([result()], runs=tmp_path / "set.skel").said


def test_files_and_folders(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for seed in range(2):
            (tmp_path / name / f"{seed}.json").write_text(json.dumps(result("same", seed)))
    (tmp_path / "a" / "bad.json").write_text('{"row": 1')
    (tmp_path / "a" / "old.json").write_text('{"row": "x"}')
    (tmp_path / "a" / "list.rows.json").write_text("{}")
    board = bench(tmp_path)
    assert sorted(r.name for r in board.rows.values()) == ["same (a)", "same (b)"]
    assert board._left.text.startswith("2 left out:") and "bad.json" in board._left.text and "old.json lacks" in board._left.text
    assert len(bench(tmp_path / "b").rows) == len(bench(tmp_path / "b" / "0.json").rows) == len(bench([tmp_path / "b", result("x")]).rows) - 1 == 1
    results, left = collected([tmp_path / "b"])
    assert len(results) == 2 and left == []


def test_what_cannot_be_shown_is_a_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.json").write_text("[]")
    for wrong, said in ((tmp_path / "nowhere", "no such result"), (tmp_path / "empty", "There is no result"),
                        (tmp_path / "bad.json", "expected a JSON object"),
                        ([], "There is no result"), ([5], "result 1: expected a result"), ([{"row": "x"}], "result 1 lacks evaluation"),
                        ([result(), result()], "same row and seed: one, seed 0"), ([result(evaluation="guess")], "'guess', which is unknown")):
        panel = bench(wrong)
        assert type(panel) is Panel and said in panel.said, panel.said
    assert "expected a SkeletonSet" in bench([result()], data=5).said and "no such" in bench([result()], data=tmp_path / "none").said


def test_picked_by_name(board):
    with pytest.raises(ValueError, match="no table has the rows three"):
        board.picked = ["three"]
    two = bench([result("one"), result("one", protocol="xsub"), result("two", protocol="xsub")])
    two.picked = ["one", "two"]  # the table that has them both
    assert two.table.view["table"] == 1 and two.table.spec["tables"][1]["of"][2] == "xsub" and two.picked == ["one", "two"]
    two.table.view = {"table": 0}
    assert two.picked == [] and two.comparison is None
    two.picked = ["one"]
    assert two.table.view["table"] == 0 and "pick a second row" in two._heading.text


def test_table_widget():
    heads, row = [{"name": "row"}, {"name": "n", "number": True}], {"key": 1, "cells": ["<b>", ("1", 1)]}
    table = ResultTable([{"of": ("a", "b", "c"), "heads": heads, "rows": [row, {"key": 2, "cells": ["x", ("", float("nan"))]}]}])
    assert [r["values"] for r in table.spec["tables"][0]["rows"]] == [["<b>", 1.], ["x", None]]
    for picked in ([3], [1, 1], [1, 2, 1]):
        with pytest.raises(ValueError):
            table.picked = picked
    with pytest.raises(ValueError, match="1 cells under 2 heads"):
        ResultTable([{"of": ("a", "b", "c"), "heads": heads, "rows": [{"key": 1, "cells": ["x"]}]}])
    with pytest.raises(ValueError, match="key 1"):
        ResultTable([{"of": ("a", "b", "c"), "heads": heads, "rows": [row, row]}])
    assert "<b>" not in table.to_html()


def test_page(board):
    board.picked = ["one", "two"]
    page = board.to_html()
    assert 'data-pair="0 1"' in page and "clip1, clip4, clip5" in page and "http" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "data-pair" not in board.to_html(pairs=0).split("</style>")[-1].split("<script")[0]
    evil = bench([result("<script>alert(1)</script>", predicted=ONE), result("two", predicted=TWO)])
    assert "<script>alert" not in evil.to_html()
