"In-painting and generation studio in JupyterLab and on a page: what a hand takes away, drags and clicks is seen in the picture and in Python."
import pytest
import torch
from laboratory import idle, of_ours, opened, reload, restart, theme, told, until

from skelbench.generation_studio import generate_motions
from skelbench.inpainting_studio import paint
from skelbench.page import write_page
from skelbench.swapclr import SwapCLR
from skelbench.synthetic import make_synthetic

pytestmark = pytest.mark.browser
NOTEBOOK = """\
import torch
from skelbench.generation_studio import generate_motions
from skelbench.inpainting_studio import paint
from skelbench.swapclr import SwapCLR
from skelbench.synthetic import make_synthetic
data = make_synthetic(clips=48, seed=0)
torch.manual_seed(0)
model = SwapCLR(data.skeleton, preset="small")
---
studio = paint(model, data, row=9)
studio
---
wall = generate_motions(model, data, row=9, train=data)
wall
"""


def cells(page, nth):
    "The names over the motions of a player."
    return page.locator(".sb-player:not(.sb-sheet)").nth(nth).evaluate("e => e.player.spec.cells.map((cell) => cell.name)")


def handle(page, label, which=0):
    "The grip of a slider."
    return page.locator(".widget-slider", has=page.get_by_text(label, exact=True)).locator(".noUi-handle").nth(which)


def press(page, label, *keys, which=0):
    handle(page, label, which).focus()
    for key in keys:
        page.keyboard.press(key)


def stroke(page, start, end):
    "Paints in the map from one place to another, as shares of its width and height."
    page.locator(".sb-sheet-canvas").scroll_into_view_if_needed()
    box = page.locator(".sb-sheet-canvas").bounding_box()
    page.mouse.move(box["x"] + start[0] * box["width"], box["y"] + start[1] * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + end[0] * box["width"], box["y"] + end[1] * box["height"], steps=6)
    page.mouse.up()


def whole(page, path, nth):
    "A picture of one instrument."
    panel = page.locator(".sb-panel").nth(nth)
    panel.scroll_into_view_if_needed()
    panel.screenshot(path=path)


@pytest.mark.slow
def test_jupyterlab(watched, lab, shots):
    page, folder = opened(watched, lab, "studios", NOTEBOOK.split("---\n"), ".sb-player:not(.sb-sheet) canvas >> nth=1", (1100, 1300)), lab[1]
    whole(page, shots / "inpainting_light.png", 0)

    # the time line by keyboard: the picture, the numbers and Python follow
    names = cells(page, 0)
    press(page, "frames removed", "ArrowLeft", "ArrowLeft")
    until(lambda: cells(page, 0) != names, 20)
    until(lambda: told(page, "studio.time.value")[0] == 8, 20, "the second press of two")
    first, last = told(page, "studio.time.value")
    assert told(page, "int(studio.mask.sum())") == (last - first) * 17
    # a limb by its button, then a joint of the first skeleton by keyboard: two ways to say whose
    page.get_by_role("button", name="left arm").click()
    until(lambda: len(page.locator(".sb-player").first.evaluate("e => [...e.player.marks]")) > 1, 20)
    player = page.locator(".sb-player").first
    player.focus()
    for key in ("Space", "j", "Enter"):
        page.keyboard.press(key)
    until(lambda: 0 in player.evaluate("e => [...e.player.marks]"), 20)
    joints = told(page, "studio.joints")
    assert "pelvis" in joints and "left_wrist" in joints
    # painted by mouse: the map, the error, and the picture
    said = page.locator(".sb-panel").first.inner_text()
    stroke(page, (.75, .2), (.95, .2))
    until(lambda: page.locator(".sb-panel").first.inner_text() != said, 20)
    until(lambda: told(page, "bool(studio.mask[-6:].any() and (studio.sheet.mask == studio.mask.T[studio._order]).all())"), 20)
    # a click there paints one cell and takes the line along
    removed = told(page, "int(studio.mask.sum())")
    for x in (.93, .97):
        stroke(page, (x, .85), (x, .85))
    until(lambda: told(page, "[int(studio.mask.sum()), studio.sheet.frame]") == [removed + 2, 31], 20)
    # several answers, one of them clicked
    press(page, "answers", "ArrowRight", "ArrowRight")
    until(lambda: len(cells(page, 0)) == 5, 20)
    player.focus()
    for key in ("n", "n", "n", "n", "Enter"):
        page.keyboard.press(key)
    until(lambda: len(player.evaluate("e => [...e.player.chosen]")) == 1 and told(page, "studio.chosen") == 2, 20)
    whole(page, shots / "inpainting_answers.png", 0)

    # the wall: classes arrive; temperature by keyboard moves the motions; a click chooses
    until(lambda: "%" in cells(page, 1)[2], 60)
    whole(page, shots / "generation_light.png", 1)
    names = cells(page, 1)
    press(page, "temperature", "ArrowLeft", "ArrowLeft")
    until(lambda: cells(page, 1) != names and told(page, "wall.temperature.value") == .96, 30)
    canvas = page.locator(".sb-player:not(.sb-sheet) canvas").nth(1)
    x, y = canvas.bounding_box()["width"] * .62, canvas.bounding_box()["height"] * .3
    cell = page.locator(".sb-player:not(.sb-sheet)").nth(1).evaluate("(e, [x, y]) => e.player.pick(x, y).cell", [x, y])
    canvas.click(position={"x": x, "y": y})
    assert until(lambda: told(page, "wall.chosen"), 20) == [cell - 2]
    assert told(page, f"len(wall.save({str(folder / 'made.skel')!r}))") == 1
    press(page, "walk", "End")
    until(lambda: "to the second" in page.locator(".sb-panel").nth(1).inner_text(), 20)

    theme(page, "Dark")
    until(lambda: player.evaluate("e => e.player.colours.dark"), 20)
    whole(page, shots / "inpainting_dark.png", 0)
    whole(page, shots / "generation_dark.png", 1)
    theme(page, "Light")

    # the page again, narrow: both are there as they were, and still heard
    reload(page)
    assert "widget-view" in (folder / "studios.ipynb").read_text()
    until(lambda: page.locator(".sb-sheet-canvas").count(), 90)
    until(lambda: len(cells(page, 0)) == 5, 30)
    idle(page)
    page.set_viewport_size({"width": 800, "height": 1300})
    names = cells(page, 0)
    press(page, "frames removed", "ArrowLeft")
    until(lambda: cells(page, 0) != names, 30)
    whole(page, shots / "inpainting_narrow.png", 0)
    page.locator(".jp-Notebook .jp-CodeCell").nth(2).scroll_into_view_if_needed()
    until(lambda: page.locator(".sb-panel").count() == 2 and page.locator(".sb-player:not(.sb-sheet) canvas").count() == 2, 60)
    names = cells(page, 1)
    press(page, "temperature", "ArrowLeft")
    until(lambda: cells(page, 1) != names, 30)
    whole(page, shots / "generation_narrow.png", 1)

    # a kernel that begins again: both are made anew, and heard
    restart(page)
    until(lambda: page.locator(".sb-panel").count() == 2 and page.locator(".sb-player:not(.sb-sheet) canvas").count() == 2, 120)
    idle(page)
    until(lambda: len(cells(page, 0)) == 3, 30)
    names = cells(page, 1)
    press(page, "temperature", "ArrowLeft")
    until(lambda: cells(page, 1) != names, 30)
    assert of_ours(page.complaints) == []


def test_pages_play_without_a_kernel(watched, tmp_path, shots):
    data = make_synthetic(clips=48, seed=0)
    torch.manual_seed(0)
    model = SwapCLR(data.skeleton, preset="small", blocks=((8, 2), (8, 2)), width=16, latent=6)
    studio, wall = paint(model, data, row=9, joints=["left_wrist"]), generate_motions(model, data, row=9, samples=4)
    page = watched(write_page(tmp_path / "studios.html", "Studios", [("Painted", studio.to_html()), ("Made", wall.to_html())]).as_uri())
    players = page.locator(".sb-player:not(.sb-sheet)")
    for which in (0, 1):
        players.nth(which).scroll_into_view_if_needed()
        until(lambda which=which: players.nth(which).evaluate("e => e.player?.draws > 3"), 20)
    assert cells(page, 1)[2] == "1" and cells(page, 0)[0] == "what is left"
    assert page.locator(".sb-sheet-canvas").count() == 1 and "straight line" in page.inner_text("body") and "between samples" in page.inner_text("body")
    page.screenshot(path=shots / "studios_page.png", full_page=True)
    assert page.complaints == []
