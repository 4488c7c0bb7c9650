"The latent explorer in JupyterLab: a click plays a clip, a drawing gives clips to Python, two maps share it, and it comes back after a reload."
import pytest
from laboratory import idle, of_ours, opened, reload, restart, run_in_kernel, theme, told, until
from measure_latent_explorer import explorer

pytestmark = pytest.mark.browser
PAIR = """\
second = SwapCLR(data.skeleton, preset="small", blocks=((8, 2), (16, 2)), width=32, latent=8)
second.prepare(train)
pair = explore([model, second], test, train=train, kind="pca", colour="camera")
pair
"""


def point(page, i, nth=0):
    "Where point i of a map is on the page."
    box = page.locator(".sb-map-above").nth(nth).bounding_box()
    x, y = page.locator(".sb-map").nth(nth).evaluate("(e, i) => [e.atlas.at[3 * i] / e.atlas.ratio, e.atlas.at[3 * i + 1] / e.atlas.ratio]", i)
    return box["x"] + x, box["y"] + y


def atlas(page, what, nth=0):
    return page.locator(".sb-map").nth(nth).evaluate(f"e => {{ const map = e.atlas; return {what}; }}")


def loop(page, nth=0):
    "Draws around the whole map but its edge."
    box = page.locator(".sb-map-above").nth(nth).bounding_box()
    corners = [(.05, .05), (.95, .05), (.95, .95), (.05, .95), (.05, .05)]
    page.keyboard.down("Shift")
    for k, (a, b) in enumerate(corners):
        page.mouse.move(box["x"] + a * box["width"], box["y"] + b * box["height"], steps=3)
        if not k:
            page.mouse.down()
    page.mouse.up()
    page.keyboard.up("Shift")


@pytest.mark.slow
def test_jupyterlab(watched, lab, shots):
    page = opened(watched, lab, "explore", [explorer(240), PAIR], ".sb-map-above >> nth=2", (1400, 900))
    until(lambda: atlas(page, "map.draws") > 0 and "classified wrongly" in page.locator(".sb-map").first.inner_text(), 20)
    page.locator(".sb-map").first.scroll_into_view_if_needed()
    clips = atlas(page, "map.n")

    # the pointer: a thumbnail that moves; a click: the clip and its nearest
    page.mouse.move(*point(page, 5))
    page.mouse.move(point(page, 5)[0] + 1, point(page, 5)[1])
    until(lambda: atlas(page, "map.hover >= 0 && !!map.thumb?.spec"), 10)
    page.mouse.down()
    page.mouse.up()
    picked = atlas(page, "map.hover")
    until(lambda: atlas(page, "map.marked.length") == 6, 10)
    until(lambda: page.locator(".sb-player:not(.sb-map)").first.evaluate("e => e.player.playing && e.player.cells.length") == 6, 10)
    page.screenshot(path=shots / "explorer_light.png")
    row, near = told(page, "[explorer.picked, explorer.neighbours[0]]")
    assert row == picked and [other for other, _ in near] == atlas(page, "map.marked.slice(1)")

    # the neighbour listed below is played in its turn
    page.locator(".widget-select select").first.select_option(index=1)
    until(lambda: atlas(page, "map.marked[0]") == near[0][0], 10)

    # a drawing, by mouse: Python has it
    page.locator(".sb-map").first.scroll_into_view_if_needed()
    loop(page)
    count = until(lambda: atlas(page, "map.count"), 10)
    assert count > .8 * clips
    assert int(run_in_kernel(page, "print(len(explorer.selected), len(explorer.selection), 'done')").split()[0]) == count
    until(lambda: page.locator(".sb-player:not(.sb-map)").first.evaluate("e => e.player.cells.length") == 16, 10)
    page.screenshot(path=shots / "explorer_wall.png")

    # keys: nothing chosen, the next point, choose it
    page.locator(".sb-map").first.focus()
    for key in ("Escape", "n", "n", "Enter"):
        page.keyboard.press(key)
    until(lambda: atlas(page, "map.marked[0] === map.hover && map.count === 0"), 10)

    # two maps: one selection, made in Python, drawn on both; drawn on one, chosen on the other
    run_in_kernel(page, "pair.selected = range(0, 40); print('done')")
    until(lambda: [atlas(page, "map.count", nth) for nth in (1, 2)] == [40, 40], 10)
    page.locator(".sb-map").nth(1).scroll_into_view_if_needed()
    loop(page, 2)
    until(lambda: atlas(page, "map.count", 1) == atlas(page, "map.count", 2) > 40, 10)
    page.screenshot(path=shots / "explorer_pair.png")

    # three dimensions turn
    page.locator(".sb-map").first.scroll_into_view_if_needed()
    page.locator(".widget-dropdown select").nth(1).select_option(label="3D")
    until(lambda: atlas(page, "map.spec.deep && map.share === 1"), 10)
    before, (x, y) = atlas(page, "map.view.yaw"), point(page, 0)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 80, y + 10, steps=4)
    page.mouse.up()
    assert atlas(page, "map.view.yaw") < before - .5
    theme(page, "Dark")
    until(lambda: atlas(page, "map.dark"), 20)
    page.screenshot(path=shots / "explorer_dark.png")
    theme(page, "Light")

    # the page again: it is there, with what was chosen, and still heard
    reload(page)
    until(lambda: page.locator(".sb-map").count() == 3, 60)
    until(lambda: atlas(page, "map.count", 1) > 40 and atlas(page, "map.spec.deep"), 20)
    idle(page)
    page.set_viewport_size({"width": 620, "height": 900})
    page.locator(".sb-map").first.scroll_into_view_if_needed()
    page.locator(".sb-map").first.focus()
    for key in ("n", "Enter"):
        page.keyboard.press(key)
    until(lambda: atlas(page, "map.marked[0] === map.hover"), 10)
    page.screenshot(path=shots / "explorer_narrow.png")

    # the kernel again, and all cells: as at first
    restart(page)
    until(lambda: page.locator(".sb-map").count() == 3 and atlas(page, "!map.spec.deep && map.count === 0 && map.draws > 0"), 90)
    assert of_ours(page.complaints) == []
