"The bench board in a real browser: a page opened from disk, and JupyterLab: sorted, filtered, two rows picked by mouse and by keyboard, their clips played."
import time

import numpy as np
import pytest
from laboratory import command, fits, idle, of_ours, opened, reload, restart, run_in_kernel, theme, told, until

from skelbench.bench_board import bench
from skelbench.page import write_page
from skelbench.synthetic import make_synthetic

pytestmark = pytest.mark.browser


def made_results(data, rows=40):
    "Results as files hold them, their predictions drawn by chance: two that are good, one that is old, and so many others, by two protocols."
    generator, test = np.random.default_rng(0), data.split("xview")[1]
    truth = [int(k) for k in test.table["label"]]
    kept = {"clips": [str(name) for name in test.table["name"]], "truth": truth, "leaked": [int(k < 9) for k in range(len(truth))]}
    made = []

    def add(row, seed, share, protocol="xview", evaluation="linear", **other):
        guess = [t if generator.random() < share else int(generator.integers(len(data.classes))) for t in truth]
        right = 100 * np.equal(guess, truth)
        per_class = {name: float(right[[t == k for t in truth]].mean()) for k, name in enumerate(data.classes)}
        made.append({"row": row, "evaluation": evaluation, "method": "SwapCLR" if share > .5 else "ActCLR", "data": "synthetic", "fingerprint": "f" * 16,
                     "protocol": protocol, "seed": seed, "epochs": 40, "command": "made up",
                     "official": float(right.mean()), "leak_free": float(right[9:].mean()),
                     "interval": [float(right.mean()) - 8, float(right.mean()) + 8], "leak_free_interval": [20., 80.], "settings": {"frames": 32},
                     "raw_coordinates": {"official": 43., "leak_free": 40.}, "random_encoder": {"official": 34. + seed, "leak_free": 30. + seed},
                     "clips": {"train": 64, "test": len(truth), "leaked": 9}, "per_class": per_class, "recipe": {"epochs": 40, "learning_rate": .03},
                     "options": {}, "predictions": kept | {"predicted": guess}} | other)

    for seed in range(3):
        add("swap, both streams", seed, .8, options={"streams": ["joint", "motion"]}, preset="small")
        add("swap, one stream", seed, .6, options={"streams": ["joint"]}, preset="small")
        add("swap, both streams", seed, .7, evaluation="nearest")
        add("swap, one stream", seed, .5, evaluation="nearest")
        add("swap, both streams", seed, .6, protocol="xsub")
    add("an old one", 0, .5, predictions=None)
    for k in range(rows):
        add(f"row {k}", 0, .01 * k, predictions=None)
    return made


def table(page, what, nth=0):
    return page.locator(".sb-results").nth(nth).evaluate(f"e => e.results.{what}")


def names(page):
    return page.locator(".sb-results tbody tr[data-at] th").all_inner_texts()


def line(page, name):
    return page.locator(".sb-results tbody tr[data-at]", has_text=name).first


def head(page, name, nth=0):
    return page.locator(".sb-results-head", has_text=name).nth(nth)


def test_page_opens_from_disk(watched, tmp_path, shots):
    data = make_synthetic(clips=96, seed=0)
    board = bench(made_results(data), data)
    board.picked = ["swap, both streams", "swap, one stream"]
    page = watched(write_page(tmp_path / "page.html", "Results", [("Board", board.to_html(pairs=3))]).as_uri())
    until(lambda: page.locator(".sb-results").count() and table(page, "draws") > 0)
    pair, none = page.locator(".sb-pair:visible"), page.locator(".sb-pair-none")
    assert pair.count() == 1 and "swap, both streams beside swap, one stream" in pair.inner_text() and "sign flips" in pair.inner_text()
    until(lambda: pair.locator(".sb-player").evaluate("e => e.player.draws") > 0)
    page.screenshot(path=shots / "bench_page.png", full_page=True)
    head(page, "accuracy").click()
    assert names(page)[0] == "swap, both streams" and names(page)[-1].startswith("row")
    line(page, "row 39").click()  # a third row takes the place of B; this pair was not written
    until(lambda: none.is_visible() and not pair.count())
    line(page, "swap, both streams").click()
    assert not none.is_visible() and table(page, "picked.length") == 1
    line(page, "an old one").click()
    page.locator(".sb-results input").fill("swap stream")
    assert names(page) == ["swap, both streams", "swap, one stream"] and "2 of 43 rows" in page.locator(".sb-results-tally").inner_text()
    page.locator(".sb-results select").nth(0).select_option("nearest")
    until(lambda: names(page) == ["swap, both streams", "swap, one stream"] and table(page, "picked.length") == 0)
    assert page.complaints == []
    dark = watched(page.url, color_scheme="dark", viewport={"width": 360, "height": 800}, device_scale_factor=2)
    until(lambda: dark.locator(".sb-results").count() and table(dark, "draws") > 0)
    time.sleep(.3)
    assert dark.evaluate("document.documentElement.scrollWidth") <= 360
    dark.screenshot(path=shots / "bench_page_dark_narrow.png", full_page=True)
    assert dark.complaints == []


NOTEBOOK = """\
import time
began = time.perf_counter()
from skelbench.bench_board import bench
from skelbench.synthetic import make_synthetic
from test_bench_board_browser import made_results
data = make_synthetic(clips=96, seed=0)
results = made_results(data)
loaded = time.perf_counter()
board = bench(results, data)
built = time.perf_counter() - loaded
board
"""


@pytest.mark.slow
def test_jupyterlab(watched, lab, shots):
    page = opened(watched, lab, "bench", [NOTEBOOK], ".sb-results tbody tr >> nth=5", (1200, 1500))
    assert table(page, "draws") > 0 and len(names(page)) == 43
    assert told(page, "built") < 1.5

    # the mouse: sort, filter, pick two; the clips that one of them has right play
    head(page, "accuracy").click()
    until(lambda: names(page)[0] == "swap, both streams")
    head(page, "accuracy").click()
    until(lambda: names(page)[-1] == "swap, both streams")
    page.locator(".sb-results input").fill("swap")
    until(lambda: len(names(page)) == 2)
    line(page, "both").click()
    until(lambda: "pick a second row" in page.locator(".sb-panel").inner_text())
    line(page, "one stream").click()
    until(lambda: page.locator(".sb-canvas").count() and page.locator(".sb-player:not(.sb-results)").evaluate("e => e.player.draws") > 0, 20)
    a, b, both = told(page, "[board.only_a, board.only_b, board.picked]")
    assert len(a) > len(b) > 0 and both == ["swap, both streams", "swap, one stream"]
    until(lambda: page.locator(".widget-select select option").count() == len(a))
    assert page.locator(".sb-player:not(.sb-results)").evaluate("e => e.player.cells.length") == min(12, len(a))
    assert "streams" in page.locator(".sb-numbers").all_inner_texts()[1] and "sign flips" in page.locator(".sb-panel").inner_text()
    page.locator(".sb-panel").evaluate("e => e.scrollIntoView()")
    time.sleep(.5)
    page.screenshot(path=shots / "bench_light.png")
    page.locator(".widget-dropdown select").last.select_option(index=1)
    until(lambda: page.locator(".widget-select select option").count() == len(b))
    page.locator(".widget-select select").select_option(index=len(b) - 1)

    # the keyboard: from the filter into heads and rows, sorted, picked, let go
    page.locator(".sb-results input").fill("")
    until(lambda: len(names(page)) == 43)
    page.locator(".sb-results input").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab") if page.evaluate("document.activeElement.className") == "sb-results-wrap" else None
    assert "head" in page.evaluate("document.activeElement.dataset.at")
    for key in ("Home", "Enter"):
        page.keyboard.press(key)
    until(lambda: names(page)[0] == "an old one")
    assert page.evaluate("document.activeElement.dataset.at") == "head 0" and page.locator("th[aria-sort=ascending]").count() == 1
    page.keyboard.press("ArrowDown")  # into the rows: to the one that is picked
    assert page.evaluate("document.activeElement.getAttribute('aria-selected')") == "true"
    page.keyboard.press("Escape")
    until(lambda: table(page, "picked.length") == 0)
    until(lambda: page.locator(".widget-select").count() == 0)
    for key in ("Home", "Enter", "End", "Enter"):
        page.keyboard.press(key)
    until(lambda: table(page, "picked.length") == 2 and "measure it again" in page.locator(".sb-panel").inner_text())
    assert told(page, "board.picked") == ["an old one", "swap, one stream"]
    assert "A: an old one, B: swap, one stream" in page.locator(".sb-results > .sb-said").inner_text()

    # another protocol is another table; from Python, too
    page.locator(".sb-results select").nth(2).select_option("xsub")
    until(lambda: names(page) == ["swap, both streams"])
    assert told(page, "[board.picked, board.frame.shape[0]]") == [[], 1]
    run_in_kernel(page, "board.picked = ['swap, one stream', 'swap, both streams']; print('done')")  # of the table that has both
    until(lambda: len(names(page)) == 2 or table(page, "picked.length") == 2)
    theme(page, "Dark")
    time.sleep(1)
    page.locator(".sb-panel").evaluate("e => e.scrollIntoView()")
    page.screenshot(path=shots / "bench_dark.png")
    theme(page, "Light")

    # the page again: what was picked is there, and it is heard
    reload(page)
    until(lambda: page.locator(".sb-results tbody tr[data-side]").count() == 2, 60)
    idle(page)
    command(page, "application:toggle-left-area")
    page.set_viewport_size({"width": 480, "height": 1600})
    time.sleep(1)
    page.locator(".sb-panel").evaluate("e => e.scrollIntoView()")
    page.screenshot(path=shots / "bench_narrow.png")
    assert fits(page.locator(".sb-results")) and fits(page.locator(".sb-panel"))
    line(page, "one stream").click()
    until(lambda: table(page, "picked.length") == 1 and "pick a second row" in page.locator(".sb-panel").inner_text())
    page.set_viewport_size({"width": 1200, "height": 1500})

    # the kernel again, and all cells: as at first
    run_in_kernel(page, "print('done')")  # in the place of what picked
    restart(page)
    until(lambda: page.locator(".sb-results").count() == 1 and table(page, "picked.length === 0 && e.results.draws > 0"), 90)
    assert of_ours(page.complaints) == []
