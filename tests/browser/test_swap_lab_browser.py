"The swap lab in JupyterLab: lambda by keyboard and mouse, a half taken out, other clips, a reload, a new kernel, dark and narrow; and its page."
import pytest
from laboratory import command, fits, of_ours, opened, pixels, reload, restart, run_in_kernel, theme, told, until
from measure_swap_lab import NOTEBOOK

pytestmark = pytest.mark.browser


def picture(page):
    return pixels(page.locator(".sb-player canvas").first)


def names(page):
    return page.locator(".sb-player").first.evaluate("e => e.player.spec.cells.map(c => c.name)")


def numbers(page):
    return page.locator(".sb-numbers td").all_inner_texts()


@pytest.mark.slow
def test_swap_lab(watched, lab, shots):
    page = opened(watched, lab, "swap", NOTEBOOK)
    until(lambda: page.locator(".sb-numbers td").count() == 24)
    command(page, "application:toggle-left-area")
    assert [name.split(":")[0] for name in names(page)] == ["clip A", "detail A, content B", "detail B, content A", "clip B"]

    # lambda by keyboard, then by mouse
    slider = page.locator(".widget-slider [role=slider]").first
    one, said = picture(page), page.locator(".sb-words-said").first.inner_text()
    slider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    until(lambda: picture(page) != one and page.locator(".sb-words-said").first.inner_text() != said)
    assert told(page, "lab.amount") == pytest.approx(.2)
    track = page.locator(".widget-slider .noUi-target").first
    box = track.bounding_box()
    track.click(position={"x": .9 * box["width"], "y": box["height"] / 2}, force=True)
    until(lambda: told(page, "lab.amount") > .7, 20)
    assert page.locator(".sb-words-said").first.inner_text().startswith("λ = 0.")

    # a half taken out, and over the clip
    two = picture(page)
    page.get_by_role("button", name="content alone (z_clr)").click()
    until(lambda: picture(page) != two)
    page.get_by_role("button", name="detail alone (z_var)").click()
    until(lambda: "λ has nothing to mix" in page.locator(".sb-words-said").first.inner_text())
    page.get_by_role("button", name="both halves").click()
    page.get_by_label("over the clip").check()
    until(lambda: "clip" in page.locator(".sb-legend").first.inner_text())
    assert told(page, "lab.parts") == "both"

    # other clips, from the list and from Python
    page.locator("select").nth(2).select_option(index=3)
    until(lambda: told(page, "lab.data.classes[int(lab.results.label[1])]") in names(page)[3], 30)
    run_in_kernel(page, "lab.rows = (9, 30); lab.player.frame = 12; lab.amount = 0; print('done')")
    until(lambda: told(page, "lab.data.classes[int(lab.results.label[0])]") in names(page)[0])
    page.set_viewport_size({"width": 1100, "height": 1100})
    page.get_by_label("over the clip").uncheck()
    until(lambda: page.locator(".sb-legend").first.inner_text() == "")
    page.locator(".sb-panel").first.screenshot(path=shots / "swap_lab_light.png")

    # a page that is loaded again
    here, table = names(page), numbers(page)
    reload(page)
    until(lambda: page.locator(".sb-player canvas").count() and names(page) == here and numbers(page) == table, 60)
    theme(page, "Dark")
    page.set_viewport_size({"width": 500, "height": 1300})
    until(lambda: page.locator(".sb-player").first.evaluate("e => e.clientWidth") < 480)
    page.locator(".sb-panel").first.screenshot(path=shots / "swap_lab_dark_narrow.png")
    assert fits(page.locator(".sb-panel").first)
    theme(page, "Light")
    page.set_viewport_size({"width": 1100, "height": 1000})
    # a kernel that begins again
    restart(page)
    until(lambda: page.locator(".sb-numbers td").count() == 24 and names(page) != here, 90)
    assert of_ours(page.complaints) == []


def test_its_page_opens_from_disk(watched, tmp_path, shots):
    import torch

    from skelbench.page import write_page
    from skelbench.swap_lab import swaps
    from skelbench.swapclr import SwapCLR
    from skelbench.synthetic import make_synthetic

    data = make_synthetic(clips=48, seed=0)
    torch.manual_seed(0)
    made = swaps(SwapCLR(data.skeleton, preset="small", streams="joint").eval(), data)
    page = watched(write_page(tmp_path / "swap.html", "Swap", [("Two clips", made.to_html())]).as_uri())
    page.locator(".sb-player").scroll_into_view_if_needed()      # out of sight it rests
    until(lambda: page.locator(".sb-player").evaluate("e => e.player?.draws > 2"))
    assert page.locator(".sb-export td").count() == 24 and page.complaints == []
    page.screenshot(path=shots / "swap_lab_page.png", full_page=True)
