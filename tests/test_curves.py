"Curves: what is sent is what was logged, and what stays at chance is said."
import json

import numpy as np
import pytest

from skelbench.curves import CURVES_MODULE, MOST, Curves, at_chance, grouped


def lines(epochs, **terms):
    return [{"epoch": e, "loss": 1 / e, "gradient_norm_encoder": float(e), "learning_rate_encoder": .1, "probe_error_mm": 3., "steps": 4, "seconds": .5} | terms
            for e in range(1, epochs + 1)]


def column(curves, run, name):
    spec = curves.spec["runs"][run]
    k = spec["columns"].index(name)
    return np.frombuffer(curves.data, "<f4", spec["count"], spec["at"] + 4 * k * spec["count"])


def test_what_is_sent_is_what_was_logged():
    curves = Curves({"a": lines(5, contrast=2.), "b": lines(3)}, {"a": 9, "b": 3})
    assert column(curves, 0, "loss") == pytest.approx([1 / e for e in range(1, 6)]) and list(column(curves, 1, "gradient_norm_encoder")) == [1, 2, 3]
    assert [run["total"] for run in curves.spec["runs"]] == [9, 3] and "contrast" not in curves.spec["runs"][1]["columns"]
    assert [group for group, _ in curves.spec["groups"]] == ["loss terms", "gradient norms", "learning rates", "probe clips", "seconds"]
    assert sum(4 * run["count"] * len(run["columns"]) for run in curves.spec["runs"]) == len(curves.data)
    assert json.loads(json.dumps(curves.spec, allow_nan=False)) == curves.spec


def test_groups_name_every_column_once():
    found = grouped(["epoch", "kl", "loss", "chance_kl", "learning_rate_x", "steps", "probe_a", "secondsight"])
    assert found == {"loss terms": ["loss", "kl"], "learning rates": ["learning_rate_x"], "probe clips": ["probe_a"], "seconds": ["secondsight"]} or \
        found["loss terms"] == ["loss", "kl", "secondsight"]
    assert grouped([]) == {}


@pytest.mark.parametrize("value, level, there", [(4.3, 4.33, True), (3., 4.33, False), (5., 4.33, True), (0., 0., False),
                                                 (None, 4.33, False), (4.3, None, False)])
def test_at_chance(value, level, there):
    assert at_chance([{"epoch": 1, "contrast": value, "chance_contrast": level}]) == (["contrast"] if there else [])
    assert at_chance([{"epoch": 1, "loss": 1.}]) == [] == at_chance([])


def test_nothing_yet_odd_lines_and_long_runs():
    empty = Curves({})
    assert empty.data == b"" and empty.spec == {"runs": [], "groups": []}
    odd = Curves({"a": [{"epoch": 1, "loss": None}, {"no": 1}, {"epoch": 2, "loss": True}, {"epoch": 3, "loss": 2}]})
    assert np.isnan(column(odd, 0, "loss")[:2]).all() and column(odd, 0, "loss")[2] == 2
    long = Curves({"a": lines(20_000)})
    assert len(long.data) <= 4 * MOST and column(long, 0, "epoch")[-1] == 20_000


def test_more_of_them_in_the_same_widget():
    curves = Curves({"a": lines(2)}, group="seconds", log=True)
    sent = []
    curves.observe(lambda change: sent.append(change["name"]), ["spec", "data"])
    curves.show({"a": lines(3)}, {"a": 8})
    assert sent.count("data") == 1 and list(column(curves, 0, "epoch")) == [1, 2, 3] and curves.choice == {"group": "seconds", "log": True}
    heard = []
    curves.on_pick(heard.append)
    curves._heed(None, {"picked": 2}, [])
    assert heard == [2]


def test_html_needs_nothing_and_holds_no_markup_of_data():
    page = Curves({"<img src=x>": lines(2)}).to_html()
    assert "<img" not in page and "http" not in page.replace("http://www.w3.org/2000/svg", "") and "innerHTML" not in CURVES_MODULE
    assert len(CURVES_MODULE) < 60_000
