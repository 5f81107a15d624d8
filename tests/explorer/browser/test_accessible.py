"""Every view, light and dark, on a laptop and a phone: axe finds nothing, and nothing scrolls sideways."""

from __future__ import annotations

import pytest

VIEWS = (
    "targets",
    "target/4?out=7,8",
    "unit/7",
    "map/targets?group=3",
    "map/units",
    "clusters",
    "leakage",
    "compare",
    "study",
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["laptop", "phone"])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(watch, address, size, scheme) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    watched = watch(address, size, scheme)
    for view in VIEWS:
        page = watched.open(view)
        for summary in page.locator("summary").all():
            summary.click()
        found = axe.run(page, options={"resultTypes": ["violations"]}).response["violations"]
        assert not [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found], view
        sideways = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert sideways <= 0, view


def test_the_theme_is_switched_and_remembered(watch, address) -> None:
    page = watch(address).open()
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.get_by_role("button", name="Change to dark colors").click()
    assert page.evaluate(paper) != light
    page.reload()
    page.get_by_role("button", name="Change to light colors").wait_for()
    assert page.evaluate(paper) != light


def test_focus_is_seen_and_moves_to_the_new_view(watch, address) -> None:
    page = watch(address).open()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Skip to the content"
    for _ in range(3):
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.get_by_role("link", name="Clusters").press("Enter")
    page.get_by_role("heading", level=1, name="Clusters").wait_for()
    assert page.evaluate("document.activeElement.tagName") == "MAIN"
