"The report page in a browser: heads sort, words filter, nothing is loaded from elsewhere, nothing is wider than a telephone."
import pytest
from test_report_page import result_of

from skelbench.report_page import report_page

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (390, "dark")])
def test_heads_sort_and_words_filter(watched, tmp_path, shots, width, scheme):
    results = [result_of(f"row {k}", share=.3 + .03 * k, data="nw_ucla", protocol="xview") for k in range(20)]
    page = watched(report_page(results, tmp_path / "r.html").as_uri(), viewport={"width": width, "height": 800}, color_scheme=scheme)
    table = page.locator(".report").first
    def rows(): return [float(t.split()[0]) for t in table.locator("tbody:not(.floor) tr:not(.part) td:nth-child(2)").all_inner_texts()]
    before, head = rows(), table.get_by_role("button", name="official")
    head.focus()
    page.keyboard.press("Enter")
    assert rows() == sorted(before, reverse=True) != before and table.locator("[aria-sort=descending]").count() == 1
    head.click()
    assert rows() == sorted(before) and table.locator("tbody").first.inner_text().startswith("ceiling"), "floors stay where they are"
    page.locator(".words").first.fill("row 19")
    assert table.locator("tbody:not(.floor) tr:not(.part):visible").count() == 1
    page.screenshot(path=shots / f"report_{scheme}.png")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth") and page.complaints == []
