"""The README's picture of the instruments: python tests/browser/picture_workbench.py [FOLDER]

Opens `make app`'s page (its small runs on the synthetic set are trained in FOLDER, default app, where they are not there yet) in a headless
chromium, photographs four instruments, and writes them side by side into nbs/images/workbench.png.
"""
import io
import sys
import tempfile
from pathlib import Path

from conftest import launch
from laboratory import ROOT, serve, until
from PIL import Image
from playwright.sync_api import sync_playwright

from skelbench.workbench import INSTRUMENTS, app_notebook, ready_made

SHOWN = (("Latent explorer", "swapclr"), ("Actionlet lens", "actclr"), ("In-painting studio", "swapclr"), ("Focal lens", "focovil"))


def opened(page, instrument, run):
    "The panel of one instrument on one run, with something to see in it."
    chosen = page.get_by_label("run", exact=True)
    if chosen.evaluate("e => e.selectedOptions[0].text") != run:
        chosen.select_option(label=run)
    page.get_by_role("tab").nth(list(INSTRUMENTS).index(instrument)).click()
    panel = page.locator(".sb-panel .sb-panel:visible").first
    until(lambda: panel.locator("canvas").count() > 0, 150, f"{instrument} did not open on {run}")
    page.wait_for_timeout(4000)
    if instrument == "Latent explorer":
        above = panel.locator(".sb-map-above").first
        above.focus() if above.get_attribute("tabindex") else panel.locator(".sb-map").first.focus()
        for key in ("n", "n", "n", "Enter"):
            page.keyboard.press(key)
        page.wait_for_timeout(2500)
    return panel


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "app")
    runs = ready_made(folder)
    names = {path.name.split("-")[0]: path.name for path in runs}
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        home = Path(place)
        notebook = app_notebook(home, runs)
        for address in serve(["voila", str(notebook), "--Voila.ip=127.0.0.1"], home, home, "/static/voila.js"):
            browser = launch(playwright)
            page = browser.new_page(viewport={"width": 900, "height": 900}, device_scale_factor=1)
            page.goto(address, wait_until="commit")
            page.get_by_role("heading", name="Workbench").wait_for(timeout=90_000)
            until(lambda page=page: page.locator("canvas:visible").count() > 1, 90)
            taken = [Image.open(io.BytesIO(opened(page, name, names[run]).screenshot())).convert("RGB") for name, run in SHOWN]
            browser.close()
    left, right = taken[0::2], taken[1::2]
    gap, width = 16, max(image.width for image in taken)
    height = max(sum(image.height + gap for image in column) for column in (left, right))
    sheet = Image.new("RGB", (2 * width + 3 * gap, height + gap), "white")
    for k, column in enumerate((left, right)):
        y = gap
        for image in column:
            sheet.paste(image, (gap + k * (width + gap), y))
            y += image.height + gap
    path = ROOT / "nbs" / "images" / "workbench.png"
    sheet.quantize(128).save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {sheet.size[0]} x {sheet.size[1]}, {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
