"The workbench as a page of its own, served by Voila."
import contextlib

import pytest
from laboratory import of_ours, serve, until

from skelbench.workbench import INSTRUMENTS, app_notebook, ready_made

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder, home = tmp_path_factory.mktemp("app"), tmp_path_factory.mktemp("home")
    with contextlib.chdir(folder.parent):  # as somebody would call it: with a relative path
        runs = ready_made(folder.name, clips=180, epochs={"moco": 1, "actclr": 1, "swapclr": 1, "focovil": 1}, device="cpu")
        notebook = app_notebook(folder, runs)
    yield from serve(["voila", str(notebook), "--Voila.ip=127.0.0.1"], folder, home, "/static/voila.js")


def test_every_tab_by_mouse_and_keyboard(watched, address, shots):
    page = watched(viewport={"width": 1200, "height": 1000})
    page.goto(address, wait_until="commit")
    page.get_by_role("heading", name="Workbench").wait_for()
    tabs = page.get_by_role("tab")
    until(lambda: tabs.count() == len(INSTRUMENTS))
    for k, name in enumerate(INSTRUMENTS):
        tabs.nth(k).click()
        until(lambda: page.locator(".sb-words-title:visible").count() > 1 or page.locator(".sb-words:visible").count() > 2, what=f"{name} did not open")
        page.screenshot(path=shots / f"app_{k}_{name.split()[0].lower()}.png", full_page=True)
    page.get_by_label("run", exact=True).select_option(label="swapclr-180-1")
    tabs.nth(0).click()
    page.get_by_role("heading", name="Latent map of SwapCLR").wait_for()
    until(lambda: page.locator(".sb-map canvas:visible").count() > 0)
    page.screenshot(path=shots / "app_swapclr.png", full_page=True)
    tabs.nth(0).focus()
    page.keyboard.press("ArrowRight")
    assert of_ours(page.complaints) == []
