"""One target: its what-if is the datamodel's own sum, and verifying it trains real models."""

from __future__ import annotations

import re

import pytest

from subtrain.fits import load_fit

TARGET = 4


def number(text: str) -> float:
    return float(re.search(r"[−-]?\d+\.\d+", text)[0].replace("−", "-"))


def outcome(page) -> float:
    return number(page.locator(".outcome b").inner_text())


def shows(page, expected: float) -> None:
    """The page comes to show this outcome: the address changes before it does."""
    for _ in range(50):
        if outcome(page) == pytest.approx(expected, abs=0.006):
            return
        page.wait_for_timeout(100)
    assert outcome(page) == pytest.approx(expected, abs=0.006)


@pytest.fixture
def page(explorer):
    return explorer.open(f"target/{TARGET}")


def full(dm) -> float:
    return float(dm.whole([TARGET])[0])


def test_the_strongest_units_are_the_datamodels_own(page, study) -> None:
    dm = load_fit(study)
    for heading, expected in (("Most helpful", dm.top(TARGET, 8)), ("Most harmful", dm.bottom(TARGET, 8))):
        rows = page.get_by_role("region", name=heading).locator("li")
        shown = [int(re.search(r"image (\d+)", text)[1]) for text in rows.all_inner_texts()]
        assert shown == [unit for unit, _ in expected]
        assert number(rows.first.locator(".amount").inner_text()) == pytest.approx(expected[0].weight, abs=0.01)


def test_leaving_examples_out_is_the_datamodels_sum(page, study) -> None:
    dm = load_fit(study)
    shows(page, full(dm))
    helpful, harmful = dm.top(TARGET, 1)[0].unit, dm.bottom(TARGET, 1)[0].unit
    for unit in (helpful, harmful):
        page.get_by_label(f"training image {unit} is in the training set").uncheck()
    page.wait_for_url(re.compile("out="))
    expected = full(dm) + float(dm.effect_of_removing([helpful, harmful], [TARGET])[0])
    shows(page, expected)
    page.reload()
    page.locator(".outcome").wait_for()
    shows(page, expected)
    page.get_by_role("button", name="Put all back").click()
    shows(page, full(dm))


def test_the_slider_removes_the_top_k_by_keyboard(page, study) -> None:
    dm = load_fit(study)
    slider = page.get_by_role("slider")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    removed = [unit for unit, _ in dm.top(TARGET, 3)]
    page.wait_for_url(re.compile("out=" + "%2C".join(map(str, sorted(removed)))))
    expected = full(dm) + float(dm.effect_of_removing(removed, [TARGET])[0])
    shows(page, expected)


def test_the_prediction_crosses_zero(page) -> None:
    before = outcome(page)
    page.get_by_role("button", name=re.compile("Cross zero")).click()
    page.get_by_text("crosses zero").wait_for()
    assert outcome(page) * before <= 0


def test_verify_trains_models_and_sets_what_happened_beside_the_prediction(page) -> None:
    page.get_by_role("button", name=re.compile("Cross zero")).click()
    page.get_by_role("spinbutton", name="runs").fill("3")
    page.get_by_role("combobox", name="among").select_option("alpha")
    page.get_by_role("button", name="Verify").click()
    table = page.locator(".verify table")
    table.wait_for(timeout=90_000)
    rows = table.locator("tbody tr").all_inner_texts()
    assert [row.split("\t")[0].split(" ")[0] for row in rows] == ["with", "without", "difference"]
    guess, seen = (number(cell) for cell in rows[2].split("\t")[1:3])
    assert guess < 0
    assert seen < 0, "removing what helps lowers the margin of real models, too"
    page.get_by_role("button", name="Put all back").click()
    table.wait_for(state="hidden")


def test_predicted_against_actual_says_its_ceiling(page) -> None:
    section = page.get_by_role("region", name="Predicted against actual")
    assert re.search(r"20 held-out subsets, mean of 2 runs each\. LDS \d\.\d\d, ceiling", section.inner_text())
    assert "20 held-out subsets" in section.get_by_role("img").get_attribute("aria-label")


def test_a_target_that_is_not_there_is_said_in_words(watch, address) -> None:
    watched = watch(address)
    page = watched.page
    page.goto(f"{address}#/target/4000")
    page.get_by_role("alert").get_by_text("there is no target 4000").wait_for()
    watched.complaints.clear()  # Chromium itself reports the 404.


def test_where_nothing_can_be_trained_the_page_says_why(watch, nasty_address) -> None:
    page = watch(nasty_address).open("target/0")
    page.get_by_text("Retraining cannot verify this here").wait_for()
    assert page.get_by_role("button", name="Verify").count() == 0
