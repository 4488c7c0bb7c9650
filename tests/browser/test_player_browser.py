"The player in a real browser: in a page opened from disk, and in JupyterLab."
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest
import torch
from conftest import ROOT, hand_made

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
    return player(page, nth).evaluate("e => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() =>"
                                      " done(e.querySelector('canvas').toDataURL()))))")


def paper(page):
    "The colour in a corner of the canvas."
    return player(page).evaluate("""e => { const c = document.createElement("canvas").getContext("2d");
        c.drawImage(e.querySelector("canvas"), -3, -3); return [...c.getImageData(0, 0, 1, 1).data].slice(0, 3); }""")


def until(ask, seconds=40):
    "Waits for an answer that is true -> the answer."
    end = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(.05)
    return answer


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
import sys
sys.path.insert(0, {tests!r})
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
---
print("ready", "done")
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    "JupyterLab on a folder of its own with one notebook -> its address, the folder"
    folder, port = tmp_path_factory.mktemp("lab"), free_port()
    cells = NOTEBOOK.format(tests=str(ROOT / "tests" / "browser")).split("---\n")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.strip()) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "python3", "language": "python"}
    nbformat.write(notebook, folder / "play.ipynb")
    home = tmp_path_factory.mktemp("home")
    own = {f"JUPYTER_{name}": str(home / name) for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")} | {"IPYTHONDIR": str(home)}
    env = os.environ | own | {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
                              "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]), "OMP_NUM_THREADS": "1"}
    arguments = ["--no-browser", f"--port={port}", "--ip=127.0.0.1", "--IdentityProvider.token=", "--ServerApp.password=", "--allow-root",
                 f"--ServerApp.root_dir={folder}", "--LabApp.news_url=None", "--LabApp.expose_app_in_browser=True",
                 "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    with open(home / "log", "w") as log:
        server = subprocess.Popen([sys.executable, "-m", "jupyterlab", *arguments], cwd=folder, env=env, stdout=log, stderr=log,
                                  start_new_session=True)
    try:
        until(lambda: server.poll() is not None or answers(f"http://127.0.0.1:{port}/api"), 90)
        assert server.poll() is None, (home / "log").read_text()[-2000:]
        yield f"http://127.0.0.1:{port}", folder
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answers(url):
    try:
        return urllib.request.urlopen(url, timeout=2).status == 200
    except OSError:
        return False


def run_in_kernel(page, code):
    "Runs a line in the notebook's kernel, in its last cell -> the text it prints"
    page.locator(".jp-Notebook .jp-CodeCell").last.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(code)
    page.locator(".jp-Notebook .jp-CodeCell").last.locator(".jp-OutputArea-output").evaluate_all("all => all.forEach(e => e.textContent = '')")
    page.keyboard.press("Control+Enter")
    output = page.locator(".jp-Notebook .jp-CodeCell").last.locator(".jp-OutputArea-output pre")
    return until(lambda: (texts := output.all_inner_texts()) and "\x04" not in texts[-1] and texts[-1].rstrip().endswith("done") and texts[-1], 40)


def idle(page):
    "Waits until the kernel has nothing to do."
    until(lambda: page.locator(".jp-Notebook-ExecutionIndicator").first.get_attribute("data-status") == "idle", 90)


def run_all(page, url):
    "Opens a notebook, runs all its cells and waits for the first player."
    page.goto(url, wait_until="commit")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.locator(".jp-Toolbar-kernelName", has_text="Python 3").first.wait_for()
    idle(page)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    def there():
        accept = page.locator(".jp-Dialog .jp-mod-accept")  # a slow machine asks which kernel, if it was asked to run too soon
        if accept.count():
            accept.first.click()
        return page.locator(".sb-player canvas").count()

    until(there, 120)


@pytest.mark.slow
def test_jupyterlab(watched, lab, shots):
    address, folder = lab
    page = watched(viewport={"width": 1100, "height": 850})
    run_all(page, f"{address}/lab/tree/play.ipynb")
    until(lambda: state(page)["frame"] > 3, 30)
    one = picture(page)
    until(lambda: picture(page) != one)
    page.screenshot(path=shots / "lab_light.png")

    # it plays, and Python sees it
    idle(page)
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
    page.evaluate("jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    until(lambda: max(paper(page)) < 80, 20)
    page.screenshot(path=shots / "lab_dark.png")
    ours = [text for text in page.complaints if re.search(r"sb-|anywidget|Player|blob:|skelbench|[Ww]idget", text)]
    assert ours == []
