"What a sheet is told and says: nothing is lost on the way, what is painted comes back, and what cannot be shown is refused."
import base64
import json
import re

import numpy as np
import pytest

from skelbench.sheet import SHEET_MODULE, SHEET_STYLE, Sheet, bits, steps

VALUES, NAMES = np.linspace(0, 1, 24).reshape(4, 6), ["head", "hand", "hip", "foot"]


def area(*cells, shape=(4, 6)):
    out = np.zeros(shape, bool)
    out[tuple(np.transpose(cells))] = True
    return out


def test_what_is_sent_is_what_was_given():
    values = VALUES.copy()
    values[1, 2] = np.nan
    sheet = Sheet(values, NAMES, "a title", mask=area((0, 1), (3, 5)), outline=area((2, 2)), groups={"arm": [1]}, label="Map")
    raw = np.frombuffer(sheet._values, np.uint8).reshape(4, 6)
    assert raw[1, 2] == 255 and np.abs(raw / 254 - np.nan_to_num(VALUES))[raw < 255].max() < .5 / 254 + 1e-9
    assert np.array_equal(sheet.mask, area((0, 1), (3, 5))) and sheet._outline == bits(area((2, 2)), (4, 6), "")
    assert sheet.spec["rows"] == NAMES and sheet.spec["frames"] == 6 and sheet.spec["groups"] == {"arm": [1]} and not sheet.spec["paint"]
    assert len(sheet._mask) == 3 and json.loads(json.dumps(sheet.spec, allow_nan=False)) == sheet.spec
    assert sheet.spec["heat_colours"][0] != sheet.spec["heat_colours"][-1]


def test_the_largest_is_small():
    big = Sheet(np.random.default_rng(0).random((75, 1000)), [f"row {i}" for i in range(75)], mask=np.ones((75, 1000)), paint=True)
    assert sum(map(len, (big._values, big._mask, big._outline, json.dumps(big.spec), SHEET_MODULE, SHEET_STYLE))) < 2e5


@pytest.mark.parametrize("options, said", [
    ({"values": VALUES + .1}, r"must lie in \[0, 1\].*1.1"), ({"values": VALUES - .1}, r"-0.1"),
    ({"values": np.where(VALUES > .5, np.inf, VALUES)}, r"\[0, 1\]"), ({"values": VALUES[0]}, r"\(rows, frames\).*\(6,\)"),
    ({"values": np.zeros((4, 0))}, "at least one"), ({"values": np.zeros((0, 6)), "rows": []}, "at least one"),
    ({"rows": NAMES[:3]}, "3 names for 4 rows"), ({"mask": area((0, 0), shape=(6, 4))}, r"mask of shape \(6, 4\)"),
    ({"outline": [True]}, "outline of shape"), ({"groups": {"arm": [4]}}, "group arm .* of 4"), ({"groups": {"arm": [-1]}}, "group arm"),
])
def test_bad_input_is_one_clear_line(options, said):
    with pytest.raises(ValueError, match=said) as caught:
        Sheet(**({"values": VALUES, "rows": NAMES} | options))
    assert "\n" not in str(caught.value)


def test_edges():
    assert Sheet([[.5]], ["one"]).spec["frames"] == 1 and (steps(np.full((2, 3), np.nan)) == 255).all()
    assert Sheet(VALUES, NAMES, groups={"none": []}).spec["groups"] == {"none": []}


def test_picks_and_strokes_are_told_and_not_sent_back():
    sheet, heard, sent = Sheet(VALUES, NAMES, paint=True), [], []
    sheet.on_pick(lambda *cell: heard.append(cell))
    sheet.on_paint(heard.append)
    sheet.send_state = lambda key=None: sent.append(key)
    sheet._heed(None, {"picked": [2, 5]}, [])
    sheet.set_state({"_mask": memoryview(np.packbits(area((1, 1))).tobytes())})  # as the browser says it
    assert heard[0] == (2, 5) and sheet.frame == 5 and np.array_equal(heard[1], area((1, 1))) and np.array_equal(sheet.mask, heard[1])
    assert sent == []
    sheet.set_state({"_mask": memoryview(b"of another shape")})  # painted before the sheet was changed
    assert len(heard) == 2 and np.array_equal(sheet.mask, area((1, 1)))
    assert sent == ["_mask"]  # the browser is told which one counts
    sheet.mask = area((0, 0))
    assert len(heard) == 2, "what Python sets is no stroke"
    with pytest.raises(ValueError, match="mask of shape"):
        sheet.mask = [True]


def test_show_changes_in_place_in_one_message():
    sheet, sent = Sheet(VALUES, NAMES, "t", mask=area((0, 1)), outline=area((1, 1)), groups={"arm": [1]}), []
    sheet.comm, sheet.frame, sheet.chosen = None, 5, [3]
    sheet.send_state = lambda key=None: sent.append(key)
    sheet.show(values=VALUES[::-1])
    assert np.array_equal(sheet.mask, area((0, 1))) and sheet.spec["title"] == "t" and sheet._outline == bits(area((1, 1)), (4, 6), "")
    sheet.show(mask=area((2, 2)), outline=None, rows=[f"r{i}" for i in range(4)])
    assert np.array_equal(sheet.mask, area((2, 2))) and sheet.spec["rows"][0] == "r0" and not any(sheet._outline)
    sheet.show(values=np.zeros((2, 3)), rows=["a", "b"], groups={})
    assert not sheet.mask.any() and sheet.mask.shape == (2, 3) and sheet.frame == 2 and sheet.chosen == []
    for wrong, said in (({"value": 1}, "has no value"), ({"rows": ["a"]}, "1 names"), ({"values": np.zeros((3, 3))}, "2 names for 3")):
        with pytest.raises(ValueError, match=said):
            sheet.show(**wrong)
    assert sheet.mask.shape == (2, 3)


def test_frame_stays_inside():
    sheet = Sheet(VALUES, NAMES)
    sheet.frame = 99
    assert sheet.frame == 5
    sheet.frame = -3
    assert sheet.frame == 0


def test_a_page_holds_text_and_no_markup():
    trap = "</script><img src=x onerror=alert(1)>"
    sheet = Sheet(VALUES, [trap, *NAMES[1:]], trap, groups={trap: [0]})
    sheet.frame = 3
    page = sheet.to_html()
    assert page.count("<script") == page.count("</script>") == 2 and "<img" not in page
    told = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.S)[1])
    assert told["spec"]["rows"][0] == trap and told["state"] == {"frame": 3, "rows": []} and base64.b64decode(told["data"]["values"]["base64"]) == sheet._values
    assert not re.search(r"innerHTML|https?://(?!www\.w3\.org)", SHEET_MODULE)
