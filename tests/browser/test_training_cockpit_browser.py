"The training cockpit in a real browser: a page opened from disk, and JupyterLab while a training goes on in another process."
import json
import re
import shutil
import subprocess
import sys
import time

import pytest
from laboratory import ROOT, command, idle, of_ours, opened, own_home, pixels, reload, restart, run_in_kernel, theme, told, until

from skelbench.datasets import open_set
from skelbench.page import write_page
from skelbench.swapclr import SwapCLR
from skelbench.synthetic import make_synthetic
from skelbench.training import fit, seed_everything
from skelbench.training_cockpit import watch

pytestmark = pytest.mark.browser


def weights(contrast):
    return {"reconstruction": 1., "contrast": contrast, "kl": 1e-4, "norm": 1e-3}


def begin(folder, name, epochs):
    "A small training on folder/set.skel in a process of its own, as a shell begins it."
    command = [sys.executable, "-m", "skelbench.cli", "pretrain", "swapclr", "--data", str(folder / "set.skel"), "--protocol", "xview", "--run",
               str(folder / "runs" / name), "--epochs", str(epochs), "--device", "cpu", "--option", 'streams=["joint"]', "--option",
               f"weights={json.dumps(weights(2.))}", "--option", "blocks=[[16, 2], [32, 2]]",
               "--recipe", "frames=16", "--recipe", "batch_size=32", "--recipe", "probes=40", "--recipe", "snapshot_every=2"]
    return subprocess.Popen(command, cwd=ROOT, env=own_home(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    "A folder with a set and two finished runs that differ in one setting."
    folder = tmp_path_factory.mktemp("trained")
    make_synthetic(clips=96, seed=0).save(folder / "set.skel")
    train = open_set(folder / "set.skel").splits("xview")[0][1]
    for name, contrast in (("with contrast", 1.), ("without", 0.)):
        seed_everything(0)
        model = SwapCLR(train.skeleton, preset="small", streams=("joint",), blocks=[[16, 2], [32, 2]], weights=weights(contrast))
        recipe = model.recipe(epochs=4, frames=16, batch_size=32, probes=40, snapshot_every=2)
        fit(model, train, recipe, to=folder / "runs" / name, protocol="xview", progress=False, device="cpu")
    return folder


def plot(page, what):
    return page.locator(".sb-curves").first.evaluate(f"e => e.curves.{what}")


def settled(page, where=".sb-curves"):
    "The pixels of the first canvas there, after its next drawing."
    return pixels(page.locator(f"{where} canvas").first)


def test_page_opens_from_disk(watched, trained, tmp_path, shots):
    cockpit = watch(trained / "runs")
    page = watched(write_page(tmp_path / "page.html", "Two trainings", [("Cockpit", cockpit.to_html()), ("Curves", cockpit.curves.to_html())]).as_uri())
    cockpit.close()
    until(lambda: page.locator(".sb-curves").count() == 2 and plot(page, "draws") > 0)
    assert page.locator(".sb-map").evaluate("e => e.atlas.n") == 40 and page.locator("[data-part=player]").evaluate("e => e.player.draws") > 0
    curves = page.locator(".sb-curves").first
    assert plot(page, "terms")[0] == "loss" and len(plot(page, "runs")) == 2
    before = settled(page)
    box = curves.locator(".sb-curves-canvas").bounding_box()
    page.mouse.move(box["x"] + 150, box["y"] + 90)
    until(lambda: plot(page, "cursor") > 0)
    assert settled(page) != before and "epoch" in curves.locator(".sb-said").inner_text()
    page.mouse.move(5, 5)
    until(lambda: plot(page, "cursor") < 0)
    curves.focus()
    page.keyboard.press("l")
    assert plot(page, "log") and settled(page) != before
    page.keyboard.press("l")
    page.keyboard.press("g")
    assert plot(page, "group") == "gradient norms"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert plot(page, "cursor") == 2 and "encoder" in curves.locator(".sb-said").inner_text()
    page.keyboard.press("2")  # the second run
    assert curves.get_by_role("button", name="Run without").get_attribute("aria-pressed") == "false"
    curves.get_by_role("button", name="Show loss terms").click()
    curves.get_by_role("button", name="Term kl").click()
    assert "kl" not in plot(page, "terms")
    for _ in range(2):
        curves.get_by_role("button", name=re.compile("Run without|Term kl")).first.click()
    assert page.complaints == []
    page.screenshot(path=shots / "cockpit_page.png", full_page=True)
    dark = watched(page.url, color_scheme="dark", viewport={"width": 360, "height": 800}, device_scale_factor=2)
    until(lambda: plot(dark, "draws") > 0)
    time.sleep(.3)
    assert dark.evaluate("document.documentElement.scrollWidth") <= 360
    dark.screenshot(path=shots / "cockpit_page_dark_narrow.png", full_page=True)
    assert dark.complaints == []


NOTEBOOK = """\
import time
from skelbench.training_cockpit import watch
cockpit = watch("FOLDER/runs")
cockpit
"""


def press(page, name):
    return page.locator(".widget-button", has_text=name)


def look(page, path):
    page.mouse.move(5, 5)
    page.locator(".sb-panel").first.evaluate("e => e.scrollIntoView()")
    time.sleep(1)
    page.screenshot(path=path)


def slider(page):
    return page.locator(".widget-readout").first


@pytest.mark.slow
def test_jupyterlab(watched, lab, trained, shots):
    process = begin(trained, "now", 200)
    try:
        until(lambda: (trained / "runs" / "now" / "metrics.jsonl").exists(), 60)
        page = opened(watched, lab, "cockpit", [NOTEBOOK.replace("FOLDER", str(trained))], ".sb-curves canvas", (1100, 1250))
        board = page.locator(".sb-board-run")
        until(lambda: board.count() == 3)

        # it follows a training in another process, by itself
        run_in_kernel(page, "cockpit.chosen = 'now'; print('done')")
        assert board.nth([i for i in range(3) if "now" in board.nth(i).inner_text()][0]).get_attribute("aria-checked") == "true"
        text = page.locator(".sb-board-run[aria-checked=true] .sb-board-text")
        said, drawn = text.inner_text(), plot(page, "draws")
        until(lambda: text.inner_text() != said and plot(page, "draws") > drawn, 120)
        until(lambda: page.locator(".sb-map").count() == 1 and page.locator(".sb-map").evaluate("e => e.atlas.n") == 40, 120)

        # pause and go on, by mouse and by keyboard
        press(page, "Pause").click()
        until(lambda: text.inner_text().startswith("paused"), 120)
        press(page, "Resume").focus()
        page.keyboard.press("Enter")
        until(lambda: text.inner_text().startswith("training"), 120)
        until(lambda: int(slider(page).inner_text()) >= 6, 180)

        # back in time: the slider by keyboard, a click into a curve; the map and the player follow
        page.locator(".noUi-handle").first.focus()
        page.keyboard.press("Home")
        until(lambda: "Epoch 2:" in page.locator(".sb-words-help").all_inner_texts()[-1])
        early = settled(page, ".sb-map")
        assert told(page, "cockpit.epoch") == 2
        page.locator(".sb-curves-canvas").click(position={"x": 50 + (plot(page, "wide") - 64) * 5 / (plot(page, "last") - 1), "y": 80})  # near epoch 6
        until(lambda: "Epoch 2:" not in page.locator(".sb-words-help").all_inner_texts()[-1])
        time.sleep(1)
        assert settled(page, ".sb-map") != early and 4 <= told(page, "cockpit.epoch") <= max(8, plot(page, "last") / 5)
        look(page, shots / "cockpit_light.png")
        assert "clip" in page.locator(".widget-dropdown select").first.evaluate("e => e.selectedOptions[0].text")

        # stop; another run by keyboard; a page that is loaded again
        press(page, "Stop").click()
        until(lambda: text.inner_text().startswith("stopped"), 120)
        assert process.wait(30) == 0
        assert "--resume" in " ".join(page.locator(".sb-words-help").all_inner_texts())
        page.locator(".sb-curves").get_by_role("button", name="Show gradient norms").click()
        reload(page)
        page.wait_for_selector(".sb-curves canvas")
        until(lambda: plot(page, "group") == "gradient norms" and text.inner_text().startswith("stopped"), 120)
        theme(page, "Dark")
        page.locator(".sb-curves").get_by_role("button", name="Show loss terms").click()
        look(page, shots / "cockpit_dark.png")
        theme(page, "Light")

        # the kernel anew: all is there again; resumed in another process, stopped again
        restart(page)
        time.sleep(2)
        idle(page)
        until(lambda: board.count() == 3 and plot(page, "draws") > 0)
        run_in_kernel(page, "cockpit.chosen = 'now'; print('done')")
        trained_before = told(page, "cockpit._runs[cockpit.board.chosen].epoch")
        press(page, "Resume").click()
        until(lambda: text.inner_text().startswith("training"), 180)
        until(lambda: int(re.search(r"epoch (\d+)", text.inner_text() + " epoch 0")[1]) > trained_before, 120)
        press(page, "Stop").click()
        until(lambda: text.inner_text().startswith("stopped"), 120)
        command(page, "application:toggle-left-area")
        page.set_viewport_size({"width": 500, "height": 1900})
        look(page, shots / "cockpit_narrow.png")

        # deleted under the open cockpit
        page.set_viewport_size({"width": 1100, "height": 1250})
        shutil.rmtree(trained / "runs" / "now")
        until(lambda: "deleted" in text.inner_text(), 60)
        assert of_ours(page.complaints) == []
    finally:
        if process.poll() is None:
            process.kill()
