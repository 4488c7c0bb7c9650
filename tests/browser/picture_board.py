"""The README's picture of the bench board: python tests/browser/picture_board.py [RESULTS]

Draws the measured results of a folder (default nbs/results/protocols), two of their rows picked, as the page that `BenchBoard.to_html`
writes, photographs it in a headless chromium and writes nbs/images/board.png. No clip is shown: recordings are not ours to publish.
"""
import sys
import tempfile
from pathlib import Path

from conftest import launch
from laboratory import ROOT, until
from PIL import Image
from playwright.sync_api import sync_playwright

from skelbench.bench_board import bench
from skelbench.page import write_page

PICKED = ["combined", "swapclr"]
MARGIN = 12  # pixels


def main():
    board = bench(sys.argv[1] if len(sys.argv) > 1 else ROOT / "nbs" / "results" / "protocols")
    board.picked = PICKED
    path = ROOT / "nbs" / "images" / "board.png"
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page(viewport={"width": 1500, "height": 900}, device_scale_factor=1)
        page.goto(write_page(Path(place) / "page.html", "Results", [("Board", board.to_html(pairs=1))]).as_uri())
        until(lambda: page.locator(".sb-results").count() and page.locator(".sb-results").first.evaluate("e => e.results.draws") > 0)
        table, last = page.locator(".sb-results").first.bounding_box(), page.locator(".sb-pair:visible table").last.bounding_box()
        top = table["y"] - MARGIN
        page.screenshot(path=path, full_page=True, clip={"x": table["x"] - MARGIN, "y": top, "width": table["width"] + 2 * MARGIN,
                                                         "height": last["y"] + last["height"] + MARGIN - top})
        browser.close()
    Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
