"""The gallery of targets: searched, filtered, sorted, paged, and all of it in the address."""

from __future__ import annotations

import re


def numbers(page) -> list[int]:
    return [int(re.search(r"\d+", text)[0]) for text in page.locator(".tile .what > :first-child").all_inner_texts()]


def margins(page) -> list[float]:
    texts = page.locator(".tile .stats > :first-child b").all_inner_texts()
    return [float(text.replace("−", "-")) for text in texts]


def test_all_targets_are_shown_with_their_pictures(explorer) -> None:
    page = explorer.open()
    assert numbers(page) == list(range(40))
    assert page.title().startswith("Targets")
    assert page.locator(".tile img").first.get_attribute("alt") == "test image 0, label 0"
    assert page.locator(".tile img").first.evaluate("image => image.complete && image.naturalWidth") == 8


def test_a_class_is_filtered_and_sorted_and_kept_in_the_address(explorer, address) -> None:
    page = explorer.open()
    page.get_by_role("combobox", name="Class", exact=True).select_option("3")
    page.get_by_role("combobox", name="Order").select_option("margin")
    page.wait_for_url(re.compile("label=3.*sort=margin"))
    explorer.settle()
    explorer.until("document.querySelectorAll('.tile').length < 40")
    labels = page.locator(".tile img").evaluate_all("images => images.map((image) => image.alt.split(' ').pop())")
    assert set(labels) == {"3"}
    found = margins(page)
    assert found == sorted(found)
    page.reload()
    explorer.settle()
    assert margins(page) == found


def test_search_finds_by_number_and_says_when_nothing_is_there(explorer) -> None:
    page = explorer.open()
    page.get_by_label("Search").fill("image 17")
    explorer.tiles(1)
    assert numbers(page) == [17]
    page.get_by_label("Search").fill("no such thing")
    page.get_by_text("No target matches these filters").wait_for()
    page.get_by_role("link", name="Clear").click()
    explorer.tiles(40)


def test_ranges_narrow_by_margin_and_by_support(explorer) -> None:
    page = explorer.open()
    page.get_by_text("Ranges").click()
    page.get_by_label("Output, at most").fill("0")
    page.keyboard.press("Tab")
    explorer.until("document.querySelectorAll('.tile').length < 40")
    assert all(value <= 0.05 for value in margins(page))
    page.get_by_label("Support, at least").fill("1000")
    page.keyboard.press("Tab")
    page.get_by_text("No target matches these filters").wait_for()


def test_a_target_is_reached_by_keyboard(explorer) -> None:
    page = explorer.open()
    page.locator(".tile").nth(3).focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=1, name="test image 3").wait_for()
    page.get_by_role("link", name="Next →").focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=1, name="test image 4").wait_for()
    page.go_back()
    page.get_by_role("heading", level=1, name="test image 3").wait_for()
