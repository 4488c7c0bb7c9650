"The actionlet lens in JupyterLab and in a page from disk: slider, cell, joint, dice, and the truth beside."
import pytest
import torch
from laboratory import command, fits, idle, of_ours, opened, pixels, reload, restart, run_in_kernel, theme, told, until
from measure_actionlet_lens import NOTEBOOK
from test_sheet_browser import FRAME, mask, picture, place, sheet, state

from skelbench.page import write_page

pytestmark = pytest.mark.browser
PLAYER = ".sb-player:not(.sb-sheet)"


def slide(page, name, keys):
    "Moves a slider by keyboard."
    page.locator(f".jupyter-widgets:has(> .widget-label:text-is('{name}')) .noUi-handle").first.focus()
    for key in keys:
        page.keyboard.press(key)


def look(page):
    return pixels(page.locator(f"{PLAYER} canvas").first)


def shot(page, path, part=".sb-panel"):
    page.locator(part).first.scroll_into_view_if_needed()
    page.locator(part).first.screenshot(path=path)


def joint_at(page, joint):
    "Where a joint of the first motion is on the page."
    page.locator(f"{PLAYER} canvas").first.scroll_into_view_if_needed()
    box = page.locator(f"{PLAYER} canvas").first.bounding_box()
    x, y = page.locator(PLAYER).first.evaluate("""(e, joint) => { const w = e.clientWidth, h = e.querySelector("canvas").clientHeight, hit = [];
        for (let y = 0; y < h; y += 2) for (let x = 0; x < w / 3; x += 2)
          { const p = e.player.pick(x, y); if (p && p.cell === 0 && p.joint === joint) hit.push([x, y]); }
        return [0, 1].map((k) => hit.reduce((sum, at) => sum + at[k], 0) / hit.length); }""", joint)
    return box["x"] + x, box["y"] + y


def shown(watched, lab, name):
    "A page with the lens in it."
    page = opened(watched, lab, name, NOTEBOOK, ".sb-sheet", (1100, 1250))
    until(lambda: state(page)["draws"], 30)
    return page


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    space = {}
    for cell in NOTEBOOK:
        exec(cell, space)
    return write_page(tmp_path_factory.mktemp("page") / "lens.html", "Lens", [("Actionlet", space["lens"].to_html())]).as_uri()


def test_page_without_a_kernel(watched, page_file, shots):
    page = watched(page_file)
    until(lambda: state(page)["draws"])
    page.mouse.click(*place(page, 4, 9))
    until(lambda: page.evaluate(FRAME) == 9)
    assert state(page)["rows"] == [4] and page.locator(PLAYER).first.evaluate("e => [...e.player.marks]") == [4]
    page.locator(PLAYER).first.focus()
    page.keyboard.press("ArrowRight")
    until(lambda: state(page)["frame"] == 10)
    page.mouse.click(*joint_at(page, 0))
    until(lambda: state(page)["rows"] == [0])
    page.screenshot(path=shots / "actionlet_lens_page.png", full_page=True)
    assert page.complaints == []


@pytest.mark.slow
def test_jupyterlab(watched, lab, shots):
    page = shown(watched, lab, "lens")
    # the slider by keyboard: map and figure follow, and Python knows
    before, area, figure = told(page, "lens.threshold"), mask(page).sum(), look(page)
    slide(page, "threshold", ["ArrowRight"] * 10)
    until(lambda: mask(page).sum() < area)
    assert abs(told(page, "lens.threshold") - before - .1) < 1e-6 and look(page) != figure
    until(lambda: mask(page).sum() == told(page, "int(lens.actionlet.sum())"))
    # a cell by mouse: the player jumps there, the joint is marked
    page.mouse.click(*place(page, 7, 12))
    until(lambda: page.evaluate(FRAME) == 12)
    until(lambda: page.locator(PLAYER).first.evaluate("e => [...e.player.marks]") == [7])
    assert told(page, "[lens.player.frame, lens.sheet.chosen, lens.player.playing]") == [12, [7], False]
    # a cell by keyboard
    sheet(page).focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    until(lambda: page.evaluate(FRAME) == 13)
    # a joint by mouse: its row is marked
    page.mouse.click(*joint_at(page, 0))
    until(lambda: state(page)["rows"] == [0])
    # the player runs, and the line with it
    page.locator(PLAYER).first.focus()
    page.keyboard.press("Space")
    until(lambda: state(page)["frame"] not in (12, 13))
    page.keyboard.press("Space")
    # another draw, by keyboard
    figure = look(page)
    page.get_by_role("button", name="another draw").focus()
    page.keyboard.press("Enter")
    until(lambda: look(page) != figure)
    assert told(page, "lens.draw") == 1
    # another map, another clip
    before = picture(page)
    page.get_by_label("map", exact=True).select_option(label="distance from its own mean pose")
    until(lambda: picture(page) != before)
    page.get_by_label("map", exact=True).select_option(label="gradient of the difference (Eq. 3-5)")
    run_in_kernel(page, "lens.row = 12; lens.threshold = .5; lens.player.frame = 16; lens.player.mark([]); lens.sheet.chosen = []; print('done')")
    until(lambda: page.evaluate(FRAME) == 16)
    shot(page, shots / "actionlet_lens_light.png")
    theme(page, "Dark")
    until(lambda: sheet(page).evaluate("e => e.style.colorScheme") == "dark")
    shot(page, shots / "actionlet_lens_dark.png")
    theme(page, "Light")
    command(page, "application:toggle-left-area")
    page.set_viewport_size({"width": 500, "height": 1250})
    until(lambda: sheet(page).evaluate("e => e.clientWidth") < 450)
    page.wait_for_timeout(400)
    shot(page, shots / "actionlet_lens_narrow.png")
    page.screenshot(path=shots / "actionlet_lens_narrow_lab.png")
    assert fits(page.locator(".sb-panel").first)
    page.set_viewport_size({"width": 1100, "height": 1250})
    assert of_ours(page.complaints) == []


@pytest.mark.slow
def test_reload_and_restart(watched, lab):
    page = shown(watched, lab, "lens2")
    run_in_kernel(page, "lens.threshold = .7; print('done')")
    reload(page)
    until(lambda: page.locator(".sb-sheet").count(), 60)
    until(lambda: mask(page).sum() == told(page, "int(lens.actionlet.sum())"))
    area = mask(page).sum()
    slide(page, "threshold", ["ArrowLeft"] * 20)
    until(lambda: mask(page).sum() > area)
    page.mouse.click(*place(page, 2, 20))
    until(lambda: page.evaluate(FRAME) == 20)
    restart(page)
    until(lambda: page.locator(".sb-sheet").count() and state(page)["frame"] == 0, 60)
    idle(page)
    assert told(page, "lens.threshold") == .5
    slide(page, "threshold", ["ArrowRight"] * 5)
    until(lambda: abs(told(page, "lens.threshold") - .55) < 1e-6)
    assert of_ours(page.complaints) == []


def test_the_notebook_measured_is_light():
    space = {}
    exec(NOTEBOOK[0], space)
    assert sum(p.numel() for p in space["model"].parameters()) < 2e6 and torch.is_grad_enabled()
