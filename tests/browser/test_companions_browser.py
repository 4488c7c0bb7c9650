"Every companion as a reader meets it: opened in JupyterLab, run from top to bottom in its quick mode, and scrolled through."
import time

import pytest
from laboratory import ROOT, command, idle, of_ours, until

pytestmark = [pytest.mark.browser, pytest.mark.slow]
COMPANIONS = sorted((ROOT / "nbs" / "companion").glob("*.ipynb"))
CODE = "jupyterapp.shell.currentWidget.content.widgets.filter(cell => cell.model.type === 'code')"
SCROLLED = "jupyterapp.shell.currentWidget.content.node.querySelector('.jp-WindowedPanel-outer')"
EMPTY = """all => all.filter(e => { const r = e.getBoundingClientRect(); return r.width && r.height && r.bottom > 0 && r.top < innerHeight; })
    .filter(e => e.player ? !e.player.draws : !e.querySelector("canvas") && !e.innerText.trim()).map(e => `${e.className}: ${e.innerText}`)"""


def outputs(page):
    return page.evaluate(f"{CODE}.flatMap(cell => cell.model.outputs.toJSON())")


@pytest.mark.parametrize("path", COMPANIONS, ids=lambda path: path.stem)
def test_companion_in_jupyterlab(path, watched, lab, shots):
    address, folder = lab
    (folder / path.name).write_bytes(path.read_bytes())
    page = watched(viewport={"width": 1200, "height": 900})
    page.goto(f"{address}/lab/tree/{path.name}?reset", wait_until="commit")
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    page.locator(".jp-Toolbar-kernelName", has_text="Python 3").first.wait_for()
    idle(page)
    if page.evaluate("!jupyterapp.shell.leftCollapsed"):
        command(page, "application:toggle-left-area")
    command(page, "notebook:clear-all-cell-outputs")
    page.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")

    def finished():
        wrong = [o for o in outputs(page) if o["output_type"] == "error"]
        assert not wrong, f"{wrong[0]['ename']}: {wrong[0]['evalue']}"
        counts = page.evaluate(f"{CODE}.filter(cell => cell.model.sharedModel.getSource().trim()).map(cell => cell.model.executionCount)")
        return all(counts) and page.locator(".jp-Notebook-ExecutionIndicator").first.get_attribute("data-status") == "idle"

    until(finished, 150, "quick mode took more than 150 s, or did not come to its end (60 meant on a quiet machine)")

    page.evaluate(f"{SCROLLED}.scrollTop = 0")
    for number in range(60):
        end, empty = time.monotonic() + 30, ["not looked yet"]
        while empty and time.monotonic() < end:
            empty = page.locator(".sb-player").evaluate_all(EMPTY)
            time.sleep(.1)
        assert not empty, f"widgets that show nothing: {empty}"
        page.screenshot(path=shots / f"{path.stem}_{number:02}.png")
        top, height, total = page.evaluate(f"(e => [e.scrollTop, e.clientHeight, e.scrollHeight])({SCROLLED})")
        if top + height >= total - 2:
            break
        page.evaluate(f"{SCROLLED}.scrollTop += {int(.9 * height)}")
        time.sleep(.4)
    assert of_ours(page.complaints) == []
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
