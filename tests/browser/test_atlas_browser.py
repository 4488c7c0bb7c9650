"The map in a real browser, in a page opened from disk: hand and keys, thumbnails, legend, dark, three dimensions, 60,000 points."
import time

import numpy as np
import pytest
from conftest import hand_made
from laboratory import until

from skelbench.atlas import Atlas
from skelbench.page import write_page
from skelbench.skeleton import NTU25

pytestmark = pytest.mark.browser
TRAP = "<img src=x onerror=alert(1)>"
NAMES = ["walk", "wave", TRAP]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    "Pages: a map in the plane with motions, one in space, a scale, and one of 60,000 points."
    generator, folder = np.random.default_rng(0), tmp_path_factory.mktemp("maps")
    groups = np.arange(90) % 3
    flat = np.array([[0, 2.], [2, -1], [-2, -1]])[groups] + .5 * generator.normal(size=(90, 2))
    motions = [hand_made("walk" if k % 3 == 0 else "wave", frames=16, phase=.1 * k)[None] for k in range(90)]
    one = Atlas(flat, groups, NAMES, flags=np.arange(90) % 10 == 0, flag="classified wrongly")
    parts = {"flat": one.to_html(motions, NTU25, [f"clip {k}\n{NAMES[k % 3]} · subject {k % 5}" for k in range(90)]),
             "deep": Atlas(np.c_[flat, generator.normal(size=90)], groups, NAMES).to_html(),
             "scale": Atlas(flat, np.r_[np.linspace(0, 1, 89), np.nan], title="distance").to_html()}
    many, at = generator.normal(size=(60, 2)), np.arange(60_000) % 60
    parts["big"] = Atlas(3 * many[at] + .4 * generator.normal(size=(60_000, 2)), at, [f"class {k}" for k in range(60)]).to_html()
    return {name: write_page(folder / f"{name}.html", "Map", [(None, part)]).as_uri() for name, part in parts.items()}


def see(page, what, nth=0):
    return page.locator(".sb-map").nth(nth).evaluate(f"e => {{ const map = e.atlas; return {what}; }}")


def settled(page):
    "Waits until the map is drawn, and for one more drawing."
    until(lambda: page.locator(".sb-map").evaluate("e => e.atlas?.draws > 0"))
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def picture(page):
    settled(page)
    return page.locator(".sb-map-points").evaluate("e => e.toDataURL()")


def place(page, i):
    box = page.locator(".sb-map-above").bounding_box()
    x, y = see(page, f"[map.at[{3 * i}] / map.ratio, map.at[{3 * i + 1}] / map.ratio]")
    return box["x"] + x, box["y"] + y


def rest_on(page, i):
    x, y = place(page, i)
    page.mouse.move(x - 2, y)
    page.mouse.move(x, y)
    until(lambda: see(page, "map.hover") >= 0)
    return see(page, "map.hover")


def test_drag_and_wheel(watched, pages):
    page = watched(pages["flat"])
    before, (x, y) = picture(page), place(page, 4)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y - 40, steps=5)
    page.mouse.up()
    assert picture(page) != before and np.allclose(place(page, 4), (x + 60, y - 40), atol=1.5)  # what is held stays in the hand
    assert page.locator(".sb-host-player").count() == 0  # that was no click
    page.mouse.wheel(0, -400)
    until(lambda: see(page, "map.view.zoom") > 1.5)
    settled(page)
    assert np.allclose(place(page, 4), (x + 60, y - 40), atol=2)  # zoomed around the pointer
    page.get_by_role("button", name="Reset the view (R)").click()
    assert see(page, "map.view.zoom") == 1 and picture(page) == before and page.complaints == []


def test_pointer_thumbnail_and_click(watched, pages, shots):
    page = watched(pages["flat"])
    settled(page)
    point = rest_on(page, 10)
    until(lambda: see(page, "!!map.thumb?.spec"), 5)
    above = page.locator(".sb-map-above")
    one = above.evaluate("e => e.toDataURL()")
    until(lambda: above.evaluate("e => e.toDataURL()") != one, 5)  # it moves
    assert f"clip {point}" in page.locator(".sb-said").first.text_content()
    page.mouse.down()
    page.mouse.up()
    until(lambda: page.locator(".sb-host-player").count() == 1)
    assert see(page, "map.marked") == [point] and page.locator(".sb-host-player").evaluate("e => e.player.playing")
    assert page.locator("img[src='x']").count() == 0
    page.screenshot(path=shots / "atlas_light.png", full_page=True)
    page.mouse.move(5, 5)
    until(lambda: see(page, "map.hover") == -1)
    assert page.complaints == []


@pytest.mark.parametrize("by", ["shift", "key", "button"])
def test_draw_around(watched, pages, by):
    page = watched(pages["flat"])
    settled(page)
    wanted = set(range(0, 90, 3))
    if by == "key":
        page.locator(".sb-map").focus()
        page.keyboard.press("l")
    elif by == "button":
        page.get_by_role("button", name="Draw around points").click()
    else:
        page.keyboard.down("Shift")
    (x, y), r = np.mean([place(page, i) for i in wanted], axis=0), 105
    for k, angle in enumerate(np.linspace(0, 2 * np.pi, 14)):
        page.mouse.move(x + r * np.cos(angle), y + r * np.sin(angle))
        if not k:
            page.mouse.down()
    page.mouse.up()
    page.keyboard.up("Shift")
    found = set(see(page, "[...map.chosen.keys()].filter((i) => map.chosen[i])"))
    assert len(found & wanted) > 20 and len(found) == see(page, "map.count") and not see(page, "map.drawing")
    assert all(np.hypot(*(np.array(place(page, i)) - (x, y))) < r + 1 for i in found)
    assert f"{len(found)} of 90 chosen" in page.locator(".sb-map-tally").inner_text()
    page.get_by_role("button", name="Choose none").click()
    assert see(page, "map.count") == 0 and not page.get_by_role("button", name="Choose none").is_visible() and page.complaints == []


def test_keys(watched, pages):
    page = watched(pages["flat"])
    settled(page)
    page.locator(".sb-map").focus()

    def after(*keys):
        for key in keys:
            page.keyboard.press(key)
        return see(page, "({hover: map.hover, count: map.count, zoom: map.view.zoom, x: map.view.x, named: map.named, marked: map.marked})")

    assert [after("n")["hover"], after("n")["hover"], after("p")["hover"], after("p")["hover"]] == [0, 1, 0, 89]
    assert after("Enter")["marked"] == [89]
    assert after("n", "c")["count"] == 30 and after("n")["hover"] == 3  # all of its colour; then the next that is chosen
    assert after("Escape")["count"] == 0
    assert after("+")["zoom"] > 1.2 and after("-")["zoom"] == pytest.approx(1) and after("ArrowLeft")["x"] < 0 and after("r")["x"] == 0
    assert after("t")["named"] is False and after("t")["named"] is True
    assert not page.locator(".sb-map > .sb-help").is_visible()
    after("?")
    assert page.locator(".sb-map > .sb-help").is_visible() and page.complaints == []


def test_legend_and_labels(watched, pages):
    page = watched(pages["flat"])
    before = picture(page)
    button = page.locator(".sb-map-name").nth(1)
    button.focus()
    page.keyboard.press("Enter")
    until(lambda: see(page, "map.lit") == 1)
    assert picture(page) != before and [b.get_attribute("aria-pressed") for b in page.locator(".sb-map-name").all()] == ["false", "true", "false"]
    page.mouse.move(*place(page, 0))
    assert see(page, "map.hover") in (-1, *range(1, 90, 3))  # what is dim is not pointed at
    page.keyboard.press("Enter")
    assert picture(page) == before and see(page, "map.middles.length") == 3
    assert page.locator(".sb-map").get_attribute("aria-label") == "Map of clips" and TRAP in page.locator(".sb-map-legend").inner_text()
    assert "classified wrongly" in page.locator(".sb-map-legend").inner_text()
    assert all(b.get_attribute("aria-label") or b.inner_text() for b in page.get_by_role("button").all()) and page.complaints == []
    scale = watched(pages["scale"])
    settled(scale)
    assert "distance 0" in scale.locator(".sb-map-legend").inner_text() and scale.locator(".sb-ramp").count() == 1 and scale.complaints == []


def test_three_dimensions_turn(watched, pages, shots):
    page = watched(pages["deep"])
    before, view = picture(page), see(page, "map.view")
    box = page.locator(".sb-map-above").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 280, box["y"] + 220, steps=4)
    page.mouse.up()
    turned = see(page, "map.view")
    assert turned["yaw"] < view["yaw"] - .5 and turned["tilt"] > view["tilt"] + .1 and picture(page) != before
    page.locator(".sb-map").focus()
    page.keyboard.press("ArrowLeft")
    assert see(page, "map.view.yaw") < turned["yaw"]
    page.screenshot(path=shots / "atlas_deep.png", full_page=True)
    assert page.complaints == []


def test_dark_narrow_and_sharp(watched, pages, shots):
    page = watched(pages["flat"], color_scheme="dark", viewport={"width": 360, "height": 800}, device_scale_factor=2)
    settled(page)
    sizes = page.locator(".sb-map-points").evaluate("e => [e.width, e.clientWidth, document.documentElement.scrollWidth]")
    assert sizes[0] == 2 * sizes[1] and sizes[2] <= 360
    corner = """() => { const c = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
        c.drawImage(document.querySelector(".sb-map-points"), -3, -3); return [...c.getImageData(0, 0, 1, 1).data].slice(0, 3); }"""
    assert max(page.evaluate(corner)) < 60
    rest_on(page, 10)
    time.sleep(.3)
    page.screenshot(path=shots / "atlas_dark_narrow.png", full_page=True)
    page.emulate_media(color_scheme="light")
    until(lambda: min(page.evaluate(corner)) > 200)
    page.set_viewport_size({"width": 900, "height": 800})
    until(lambda: page.locator(".sb-map-points").evaluate("e => e.width === 2 * e.clientWidth && e.clientWidth > 600"))
    assert page.complaints == []


def test_sixty_thousand_points(watched, pages, shots):
    page = watched(pages["big"])
    settled(page)
    page.screenshot(path=shots / "atlas_big.png", full_page=True)
    rest_on(page, 777)
    page.locator(".sb-map").focus()
    page.keyboard.press("c")
    until(lambda: see(page, "map.count") == 1000)
    assert page.complaints == []
