"The focal lens in JupyterLab: a pair by mouse, by keyboard and from a list, the temperature, a reload, a new kernel, dark and narrow."
import pytest
from laboratory import command, fits, of_ours, opened, pixels, reload, restart, theme, told, until
from measure_focal_lens import NOTEBOOK, ready

pytestmark = pytest.mark.browser
PLAYER = ".sb-player:not(.sb-matrix):not(.sb-curves)"


def at(page):
    return page.locator(".sb-matrix").evaluate("e => e.matrix.at")


def matrix_picture(page):
    return pixels(page.locator(".sb-matrix canvas"))


def names(page):
    return page.locator(PLAYER).evaluate("e => e.player.spec.cells.map(c => c.name)")


def click_cell(page, i, j):
    "Clicks the pair of row i and column j."
    place = page.locator(".sb-matrix").evaluate("""(e, [i, j]) => { const c = e.querySelector("canvas").getBoundingClientRect(), R = 32;
        const size = c.height - 10; return [c.right - 12 - size + (j + .5) * size / R - c.left, 4 + (i + .5) * size / R]; }""", [i, j])
    page.locator(".sb-matrix canvas").click(position={"x": place[0], "y": place[1]})


@pytest.mark.slow
def test_focal_lens(watched, lab, shots):
    page = opened(watched, lab, "focal", NOTEBOOK, ".sb-matrix canvas")
    ready(page)
    command(page, "application:toggle-left-area")

    # a click, and Python knows
    page.locator(".sb-matrix").scroll_into_view_if_needed()
    before = names(page)
    click_cell(page, 2, 9)
    until(lambda: at(page) == [2, 9] and names(page) != before)
    pair = told(page, "{k: v for k, v in lens.pair.items() if k in ('place', 'rows', 'names', 'similarity')}")
    assert pair["place"] == [2, 9] and all(name in shown for name, shown in zip(pair["names"], names(page)))
    assert f"{pair['similarity']:.2f}" in page.locator(".sb-matrix-here").inner_text()

    # the keyboard walks
    page.locator(".sb-matrix").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    until(lambda: at(page) == [3, 10])
    until(lambda: told(page, "lens.pair['place']") == [3, 10], 20)
    # a hard pair from the list
    page.locator("select[multiple], .widget-select select[size]").last.select_option(index=2)
    hard = told(page, "lens.hard('negative')[2]")
    until(lambda: at(page) == hard)

    # the slope, and what temperature and weights make of it
    page.get_by_role("button", name="slope of the loss").click()
    until(lambda: "slope" in page.locator(".sb-matrix-title").inner_text())
    one = matrix_picture(page)
    page.locator(".widget-slider [role=slider]").focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    until(lambda: matrix_picture(page) != one)
    assert told(page, "lens.temperature.value") < .5
    two = matrix_picture(page)
    page.get_by_label("focal weights").uncheck()
    until(lambda: matrix_picture(page) != two)
    page.get_by_label("focal weights").check()
    page.get_by_role("button", name="similarity", exact=True).click()
    until(lambda: page.locator(".sb-matrix-title").inner_text() == "similarity")
    page.set_viewport_size({"width": 1100, "height": 1250})
    page.locator(".sb-panel").first.screenshot(path=shots / "focal_lens_light.png")
    here = at(page)

    # a page that is loaded again, and a kernel that begins again
    reload(page)
    until(lambda: page.locator(".sb-matrix canvas").count() and at(page) == here, 60)
    theme(page, "Dark")
    page.set_viewport_size({"width": 500, "height": 2200})
    until(lambda: page.locator(".sb-matrix").evaluate("e => e.clientWidth") < 480)
    page.locator(".sb-panel").first.screenshot(path=shots / "focal_lens_dark_narrow.png")
    assert fits(page.locator(".sb-panel").first)
    page.set_viewport_size({"width": 1100, "height": 1250})
    page.locator(".sb-panel").first.screenshot(path=shots / "focal_lens_dark.png")
    theme(page, "Light")
    restart(page)
    until(lambda: page.locator(".sb-matrix canvas").count() and at(page) and at(page) != here, 60)
    assert of_ours(page.complaints) == []


def test_its_page_opens_from_disk(watched, tmp_path, shots):
    import torch

    from skelbench.focal_lens import focal
    from skelbench.focovil import FoCoViL
    from skelbench.page import write_page
    from skelbench.synthetic import make_synthetic

    data = make_synthetic(clips=48, seed=0)
    torch.manual_seed(0)
    lens = focal(FoCoViL(data.skeleton, preset="small").eval(), data, clips=16)
    page = watched(write_page(tmp_path / "focal.html", "Focal", [("Pairs", lens.to_html())]).as_uri())
    page.locator(".sb-player:not(.sb-matrix)").scroll_into_view_if_needed()      # out of sight it rests
    until(lambda: page.locator(".sb-player:not(.sb-matrix)").evaluate("e => e.player?.draws > 2"))
    page.locator(".sb-matrix-canvas").hover(position={"x": 250, "y": 60})
    until(lambda: "similarity" in page.locator(".sb-matrix-here").inner_text())
    page.locator(".sb-matrix").focus()
    before = page.locator(".sb-matrix .sb-said").inner_text()
    page.keyboard.press("ArrowDown")
    until(lambda: page.locator(".sb-matrix .sb-said").inner_text() != before)
    page.screenshot(path=shots / "focal_lens_page.png", full_page=True)
    assert page.complaints == []
