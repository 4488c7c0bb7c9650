"The player in a real browser: in a page opened from disk, and in JupyterLab."
import json
import re
import time

import pytest
import torch
from conftest import hand_made
from laboratory import of_ours, opened, pixels, run_in_kernel, theme, until

from skelbench.page import write_page
from skelbench.player import player_html
from skelbench.skeleton import NTU25

pytestmark = pytest.mark.browser
TRAP = "<img src=x onerror=alert(1)>"


def player(page, nth=0):
    return page.locator(".sb-player").nth(nth)


def state(page, nth=0):
    "Where a player stands."
    return player(page, nth).evaluate("e => ({frame: Math.floor(e.player.position), playing: e.player.playing, speed: e.player.speed,"
                                      " loop: e.player.loop, draws: e.player.draws, ...e.player.view})")


def picture(page, nth=0):
    "The pixels on the canvas, as text; settled, because it is taken after the next drawing."
    return pixels(player(page, nth).locator("canvas").first)


def paper(page):
    "The colour in a corner of the canvas."
    return player(page).evaluate("""e => { const c = document.createElement("canvas").getContext("2d");
        c.drawImage(e.querySelector("canvas"), -3, -3); return [...c.getImageData(0, 0, 1, 1).data].slice(0, 3); }""")


@pytest.fixture
def written(tmp_path):
    "A page with a moving pair, an overlay and a single frame."
    walk, wave = hand_made("walk"), hand_made("wave")
    valid = torch.ones(walk.shape[:2], dtype=torch.bool)
    valid[10:30, [j for j in NTU25.limbs["right_arm"] if j != NTU25.index("right_shoulder")]] = False
    heat = torch.linspace(0, 1, 45)[:, None].expand(45, 25)
    return write_page(tmp_path / "page.html", "Motions", [
        ("Two", player_html([walk * valid[..., None], wave], NTU25, names=["walk", TRAP], valid=[valid, valid | True], heat=[None, heat])),
        ("Over", player_html([walk], NTU25, overlay=[walk + .1], playing=False)),
        ("One frame", player_html(walk[:1], NTU25))]).as_uri()


def test_page_opens_from_disk_and_plays(watched, written, shots):
    page = watched(written)
    first = until(lambda: state(page) if state(page)["frame"] > 2 else None)
    until(lambda: state(page)["frame"] != first["frame"])
    one = picture(page)
    until(lambda: picture(page) != one)
    assert page.locator(".sb-player").count() == 3 and page.locator("img[src='x']").count() == 0
    time.sleep(.3)
    quiet = [state(page, n)["draws"] for n in (1, 2)]
    time.sleep(.5)
    assert [state(page, n)["draws"] for n in (1, 2)] == quiet  # a player that stands still does not draw
    assert not state(page, 2)["playing"]  # one frame: nothing to play
    page.screenshot(path=shots / "page_light.png", full_page=True)
    assert page.complaints == []


def test_drag_wheel_and_scrub(watched, written):
    page = watched(written)
    until(lambda: state(page)["draws"] > 2)
    page.keyboard.press("Tab")
    player(page).focus()
    page.keyboard.press("Space")
    assert not state(page)["playing"]
    before, view = picture(page), state(page)
    box = player(page).locator("canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 90, y + 20, steps=4)
    page.mouse.up()
    turned = state(page)
    assert turned["yaw"] < view["yaw"] - .5 and turned["tilt"] > view["tilt"] + .1 and picture(page) != before
    page.mouse.wheel(0, -300)
    until(lambda: state(page)["zoom"] > 1.2)
    assert page.evaluate("scrollY") == 0
    page.keyboard.press("r")
    assert {k: state(page)[k] for k in ("yaw", "tilt", "zoom")} == {k: view[k] for k in ("yaw", "tilt", "zoom")} and picture(page) == before
    player(page).locator("input").fill("30")
    assert state(page)["frame"] == 30 and "30 / 44" in player(page).inner_text() and picture(page) != before
    assert page.complaints == []


def test_a_page_that_scrolls_past_is_not_caught(watched, written):
    page = watched(written)
    until(lambda: state(page)["draws"] > 2)
    page.mouse.move(5, 5)
    page.mouse.wheel(0, 150)
    until(lambda: page.evaluate("scrollY") > 0)
    assert all(state(page, n)["zoom"] == 1 for n in range(3))


def test_keys_and_buttons(watched, written):
    page = watched(written)
    until(lambda: state(page)["frame"] > 2)
    player(page).focus()

    def after(*keys):
        for key in keys:
            page.keyboard.press(key)
        return state(page)

    assert not after("Space")["playing"]
    here = state(page)["frame"]
    assert after("ArrowRight", "ArrowRight")["frame"] == min(here + 2, 44) and after("ArrowLeft")["frame"] == min(here + 2, 44) - 1
    assert after("Shift+ArrowLeft", *["Shift+ArrowLeft"] * 5)["frame"] == 0 and after("Shift+ArrowRight")["frame"] == 10
    assert after("ArrowUp")["speed"] == 2 and after("ArrowUp", "ArrowUp")["speed"] == 4 and after(*["ArrowDown"] * 9)["speed"] == .1
    assert after("+")["zoom"] > 1.1 and after("-", "-")["zoom"] < .9 and after("a")["yaw"] != after("d", "d")["yaw"]
    assert not after("l")["loop"] and after("f")["follow"] != after("f")["follow"]
    assert not player(page).locator(".sb-help").is_visible()
    after("?")
    assert player(page).locator(".sb-help").is_visible() and "space" in player(page).locator(".sb-help").inner_text()
    after(*["ArrowUp"] * 9, *["Shift+ArrowRight"] * 4, "Space")
    until(lambda: not state(page)["playing"])  # no loop: it stops at the end ...
    assert state(page)["frame"] == 44 and after("Space")["playing"] and state(page)["frame"] < 44  # ... and starts again
    for button, change in (("Play", "playing"), ("Loop", "loop"), ("Follow", "follow"), ("Speed", "speed")):
        old = state(page)[change]
        player(page).get_by_role("button", name=re.compile(f"^{button}")).click()
        assert state(page)[change] != old, button
    assert page.complaints == []


def test_dark_narrow_sharp_and_still(watched, written, shots):
    dark = watched(written, color_scheme="dark", viewport={"width": 360, "height": 700}, device_scale_factor=2)
    until(lambda: state(dark)["draws"] > 2)
    sizes = player(dark).evaluate("e => [e.querySelector('canvas').width, e.clientWidth, document.documentElement.scrollWidth]")
    assert sizes[0] == 2 * sizes[1] and sizes[2] <= 360  # every device pixel, nothing sticks out
    assert max(paper(dark)) < 60
    dark.screenshot(path=shots / "page_dark_narrow.png", full_page=True)
    dark.emulate_media(color_scheme="light")
    until(lambda: min(paper(dark)) > 200)
    dark.set_viewport_size({"width": 800, "height": 700})
    until(lambda: player(dark).evaluate("e => e.querySelector('canvas').width === 2 * e.clientWidth && e.clientWidth > 600"))
    calm = watched(written, reduced_motion="reduce")
    until(lambda: state(calm)["draws"] > 0)
    time.sleep(.3)
    assert not state(calm)["playing"] and state(calm)["frame"] == 0
    assert dark.complaints == calm.complaints == []


def test_label_says_what_it_is(watched, written):
    page = watched(written)
    assert player(page).get_attribute("aria-label") == f"Motion player: walk, {TRAP}" and player(page).get_attribute("tabindex") == "0"
    assert all(button.get_attribute("aria-label") for button in player(page).get_by_role("button").all())


NOTEBOOK = """\
from conftest import hand_made
from skelbench.player import Player
from skelbench.skeleton import NTU25
walk, wave = hand_made("walk"), hand_made("wave")
player = Player([walk, wave, walk, wave], NTU25, names=["walk", "wave", "a model's walk", "a model's wave"],
                overlay=[walk, wave, walk + .03, wave + .05])
player
---
import asyncio, json, time
async def watch(seconds=3):
    seen, end = [], time.time() + seconds
    while time.time() < end:
        await asyncio.sleep(.1)
        seen.append(player.frame)
    return seen
frames = []
player.observe(lambda change: frames.append(change["new"]), "frame")
"""


@pytest.mark.slow
def test_jupyterlab(watched, lab, shots):
    page = opened(watched, lab, "play", NOTEBOOK.split("---\n"), size=(1100, 850))
    until(lambda: state(page)["frame"] > 3, 30)
    one = picture(page)
    until(lambda: picture(page) != one)
    page.screenshot(path=shots / "lab_light.png")

    # it plays, and Python sees it
    for cell in ("print(await watch(), 'done')", "time.sleep(3); print(frames[-20:], 'done')"):  # while a cell awaits, while a cell computes
        seen = json.loads(run_in_kernel(page, cell).rsplit("done")[0])
        assert len(set(seen)) > 4 and set(seen) <= set(range(45)), (cell, seen)
    # Python leads, it follows
    run_in_kernel(page, "player.playing = False; player.frame = 17; player.speed = 2.; print('done')")
    until(lambda: (now := state(page))["frame"] == 17 and not now["playing"] and now["speed"] == 2)
    # it leads, Python follows
    player(page).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("l")
    page.keyboard.press("r")  # in JupyterLab's command mode this letter makes a cell raw
    assert page.locator(".jp-RawCell").count() == 0 and page.locator(".jp-CodeCell").count() == 3
    told = run_in_kernel(page, "await asyncio.sleep(.5); print(player.frame, player.loop, player.playing, 'done')")
    assert told.split()[:3] == ["18", "False", "False"]
    # at most some ten frames a second come back
    counted = "frames.clear(); player.loop = True; player.playing = True; await asyncio.sleep(3); print(len(frames), 'done')"
    count = int(run_in_kernel(page, counted).split()[0])
    assert 5 <= count <= 33, count

    # dark, as JupyterLab has it
    theme(page, "Dark")
    until(lambda: max(paper(page)) < 80, 20)
    page.screenshot(path=shots / "lab_dark.png")
    assert of_ours(page.complaints) == []
