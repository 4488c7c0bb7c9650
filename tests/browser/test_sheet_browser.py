"The sheet in a real browser: in a page opened from disk, and in JupyterLab, one with a player."
import numpy as np
import pytest
from laboratory import of_ours, opened, pixels, reload, run_in_kernel, theme, told, until

from skelbench.page import write_page
from skelbench.sheet import Sheet

pytestmark = pytest.mark.browser
TRAP = "<img src=x onerror=alert(1)>"


def sheet(page, nth=0):
    return page.locator(".sb-sheet").nth(nth)


def state(page, nth=0):
    "Where a sheet stands, after its next drawing."
    return sheet(page, nth).evaluate("""e => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(
        {frame: e.sheet.frame, rows: [...e.sheet.rows], draws: e.sheet.draws, at: e.sheet.at, mask: [...e.sheet.mask], T: e.sheet.spec.frames}))))""")


def mask(page, nth=0):
    now = state(page, nth)
    return np.array(now["mask"], bool).reshape(-1, now["T"])


def picture(page, nth=0):
    return pixels(sheet(page, nth).locator("canvas").first)


def place(page, row, frame, nth=0):
    "Where a cell is on the page."
    sheet(page, nth).locator("canvas").scroll_into_view_if_needed()
    box = sheet(page, nth).locator("canvas").bounding_box()
    x, y = sheet(page, nth).evaluate("(e, [r, t]) => e.sheet.place(r, t)", [row, frame])
    return box["x"] + x, box["y"] + y


def drag(page, *cells, nth=0, shift=False):
    page.mouse.move(*place(page, *cells[0], nth))
    if shift:
        page.keyboard.down("Shift")
    page.mouse.down()
    for cell in cells[1:]:
        page.mouse.move(*place(page, *cell, nth), steps=3)
    page.mouse.up()
    if shift:
        page.keyboard.up("Shift")


@pytest.fixture
def written(tmp_path):
    "A page with a sheet to look at, one to paint on, a single cell, and the largest."
    values = np.random.default_rng(0).random((6, 40))
    values[2, 10:15] = np.nan
    truth = np.zeros((6, 40), bool)
    truth[1:3, 5:20] = True
    names, groups = ["head", TRAP, "left arm", "right arm", "left leg", "right leg"], {"arms": [2, 3], "legs": [4, 5]}
    big = np.clip(np.random.default_rng(1).normal(.5, .2, (75, 1000)), 0, 1)
    return write_page(tmp_path / "page.html", "Sheets", [
        ("Look", Sheet(values, names, TRAP, outline=truth, groups=groups, legend=("value", "painted", "truth")).to_html()),
        ("Paint", Sheet(values, names, paint=True, groups=groups).to_html()), ("One", Sheet([[.5]], ["one"]).to_html()),
        ("Large", Sheet(big, [f"joint {i}" for i in range(75)], mask=big > .8, paint=True).to_html())]).as_uri()


def test_page_click_drag_and_limbs(watched, written, shots):
    page = watched(written)
    until(lambda: state(page)["draws"])
    page.mouse.click(*place(page, 3, 12))
    assert state(page)["frame"] == 12 and "right arm · frame 12" in sheet(page).locator(".sb-sheet-here").inner_text()
    drag(page, (3, 12), (4, 30))
    assert state(page)["frame"] == 30 and not mask(page).any()
    before = picture(page)
    sheet(page).get_by_role("button", name="Mark arms").click()
    assert state(page)["rows"] == [2, 3] and picture(page) != before
    sheet(page).get_by_role("button", name="Mark arms").click()
    assert state(page)["rows"] == [] and picture(page) == before
    page.mouse.move(*place(page, 2, 12))
    assert "none" in sheet(page).locator(".sb-sheet-here").inner_text() and page.locator("img[src='x']").count() == 0
    page.screenshot(path=shots / "sheet_page.png", full_page=True)
    assert page.complaints == []


def test_painting_by_mouse(watched, written):
    page = watched(written)
    until(lambda: state(page, 1)["draws"])
    drag(page, (1, 5), (1, 20), nth=1)
    expected = np.zeros((6, 40), bool)
    expected[1, 5:21] = True
    assert np.array_equal(mask(page, 1), expected)  # a quick hand leaves no holes
    drag(page, (1, 18), (1, 25), nth=1)  # begins where it is painted: erases
    expected[1, 18:21] = False
    assert np.array_equal(mask(page, 1), expected)
    drag(page, (5, 30), (3, 36), nth=1, shift=True)
    expected[3:6, 30:37] = True
    assert np.array_equal(mask(page, 1), expected)
    page.mouse.click(*place(page, 0, 8, 1))
    expected[0, 8] = True
    assert np.array_equal(mask(page, 1), expected) and state(page, 1)["frame"] == 8
    drag(page, (6, 8), (6, 22), nth=1)  # below the cells
    assert state(page, 1)["frame"] == 22 and np.array_equal(mask(page, 1), expected)
    sheet(page, 1).get_by_role("button", name="Paint legs").click()
    assert mask(page, 1)[4:6].all() and not mask(page, 1)[3, :30].any()
    sheet(page, 1).get_by_role("button", name="Clear").click()
    assert not mask(page, 1).any() and page.complaints == []


def test_keys(watched, written):
    page = watched(written)
    until(lambda: state(page, 1)["draws"])

    def after(*keys, nth=1):
        for key in keys:
            page.keyboard.press(key)
        return state(page, nth)

    sheet(page, 1).focus()
    assert after("ArrowDown")["at"] == [0, 0] and after("ArrowDown", "ArrowRight")["at"] == [1, 1] and after("End")["at"] == [1, 39]
    assert "frame 39" in sheet(page, 1).locator(".sb-said").inner_text()
    after("Home", "PageDown", *["Shift+ArrowRight"] * 3, "Shift+ArrowDown", "Space")
    assert np.argwhere(mask(page, 1)).tolist() == [[r, t] for r in (1, 2) for t in (10, 11, 12, 13)]
    after("2")  # with frames chosen: the limb in these frames
    assert np.argwhere(mask(page, 1))[-1].tolist() == [5, 13] and mask(page, 1)[4:].sum() == 8
    after("Escape")
    assert state(page, 1)["at"] is None and mask(page, 1).sum() == 16
    after("Escape")
    assert not mask(page, 1).any()
    sheet(page).focus()
    after("ArrowRight", "ArrowRight", "ArrowDown", "Enter", nth=0)
    assert state(page)["frame"] == 1 and after("1", nth=0)["rows"] == [2, 3] and after("Escape", "Escape", nth=0)["rows"] == []
    after("?")
    assert "escape" in sheet(page).locator(".sb-help").inner_text() and page.complaints == []


def test_dark_narrow_and_sharp(watched, written, shots):
    page = watched(written, color_scheme="dark", viewport={"width": 360, "height": 700}, device_scale_factor=2)
    until(lambda: state(page, 3)["draws"])
    sizes = sheet(page).evaluate("e => [e.querySelector('canvas').width, e.clientWidth, document.documentElement.scrollWidth]")
    assert sizes[0] == 2 * sizes[1] and sizes[2] <= 360
    page.screenshot(path=shots / "sheet_dark_narrow.png", full_page=True)
    drag(page, (3, 100), (70, 800), nth=3)
    page.set_viewport_size({"width": 900, "height": 700})
    until(lambda: sheet(page).evaluate("e => e.querySelector('canvas').width === 2 * e.clientWidth && e.clientWidth > 600"))
    assert page.complaints == []


NOTEBOOK = """\
import ipywidgets, numpy as np
from conftest import hand_made
from skelbench.player import Player
from skelbench.sheet import Sheet
from skelbench.skeleton import NTU25
walk = hand_made("walk")
speed = np.zeros((25, 45)); speed[:, 1:] = (walk[1:] - walk[:-1]).norm(dim=-1).T; speed /= speed.max()
player = Player(walk, NTU25, heat=speed.T, height=220, playing=False)
sheet = Sheet(speed, NTU25.joints, "speed", outline=speed > .5, groups=NTU25.limbs, legend=("speed", "painted", "fast"))
link = ipywidgets.jslink((player, "frame"), (sheet, "frame"))
heard = []
sheet.on_pick(lambda row, frame: heard.append([row, frame]))
ipywidgets.VBox([player, sheet])
---
painted = Sheet(speed, NTU25.joints, paint=True, groups=NTU25.limbs)
areas = []
painted.on_paint(lambda mask: (areas.append(int(mask.sum())), painted.show(values=np.where(mask, 1 - speed, speed))))
painted
"""
FRAME = "() => Math.floor(document.querySelector('.sb-player:not(.sb-sheet)').player.position)"


@pytest.mark.slow
def test_jupyterlab(watched, lab, shots):
    page = opened(watched, lab, "sheet", NOTEBOOK.split("---\n"), ".sb-sheet >> nth=1")
    until(lambda: state(page)["draws"], 30)
    # a click on the sheet moves the player, the player moves the sheet, and Python hears of both
    page.mouse.click(*place(page, 9, 17))
    until(lambda: page.evaluate(FRAME) == 17)
    assert told(page, "[heard, player.frame, sheet.frame]") == [[[9, 17]], 17, 17]
    page.locator(".sb-player:not(.sb-sheet)").first.focus()
    page.keyboard.press("ArrowRight")
    until(lambda: state(page)["frame"] == 18)
    page.screenshot(path=shots / "sheet_lab_light.png")
    page.keyboard.press("Space")  # it plays: the line runs along
    seen = [page.wait_for_timeout(60) or page.evaluate(f"() => [({FRAME})(), document.querySelector('.sb-sheet').sheet.frame]") for _ in range(20)]
    assert len({b for _, b in seen}) > 4 and np.median([min(abs(a - b), 45 - abs(a - b)) for a, b in seen]) <= 3, seen
    run_in_kernel(page, "import time; time.sleep(1); player.playing = False; player.frame = 5; print('done')")
    until(lambda: page.evaluate(FRAME) == 5 and state(page)["frame"] == 5)
    run_in_kernel(page, "sheet.frame = 9; sheet.chosen = [3]; print('done')")
    until(lambda: page.evaluate(FRAME) == 9 and state(page)["rows"] == [3])
    # painting
    drag(page, (2, 5), (2, 20), nth=1)
    until(lambda: told(page, "int(painted.mask.sum())") == 16)
    assert told(page, "areas")[-1] == 16 and mask(page, 1).sum() == 16
    run_in_kernel(page, "painted.mask = speed > .9; print('done')")
    until(lambda: mask(page, 1).sum() == told(page, "int((speed > .9).sum())"))
    # other rows in one message
    run_in_kernel(page, "painted.show(values=speed[:5, :20], rows=NTU25.joints[:5], groups={}); print('done')")
    until(lambda: mask(page, 1).shape == (5, 20) and not mask(page, 1).any())
    theme(page, "Dark")
    until(lambda: sheet(page).evaluate("e => e.style.colorScheme") == "dark")
    page.screenshot(path=shots / "sheet_lab_dark.png")
    assert of_ours(page.complaints) == []
    # a page that is loaded again
    run_in_kernel(page, "player.frame = 21; sheet.mask = speed > .5; print('done')")
    reload(page)
    until(lambda: page.locator(".sb-sheet").count(), 60)
    until(lambda: mask(page).sum() == told(page, "int((speed > .5).sum())"))
    page.mouse.click(*place(page, 4, 30))
    until(lambda: page.evaluate(FRAME) == 30)
    theme(page, "Light")
