"""The export is one file that works from disk and asks nobody for anything."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def file(study, tmp_path_factory) -> str:
    """Address of an export of 30 of the 40 targets."""
    path = tmp_path_factory.mktemp("export") / "digits.html"
    command = [sys.executable, "-m", "subtrain", "explore", str(study.path), "--export", str(path), "--most", "30"]
    subprocess.run(command, check=True, capture_output=True)
    return path.as_uri()


def test_targets_are_searched_and_sorted_without_a_server(watch, file) -> None:
    opened = watch(file)
    page = opened.open()
    assert page.locator(".tile").count() == 30
    assert page.locator(".tile img").first.evaluate("image => image.src").startswith("data:image/png")
    page.get_by_role("combobox", name="Order").select_option("-margin")
    opened.until(
        "[...document.querySelectorAll('.tile .stats > :first-child b')]"
        ".map((b) => Number(b.innerText.replace('−', '-')))"
        ".every((value, i, all) => i === 0 || value <= all[i - 1])"
    )


def test_a_what_if_works_and_verify_says_why_not(watch, file) -> None:
    page = watch(file).open()
    page.locator(".tile").first.click()
    before = page.locator(".outcome b").inner_text()
    page.get_by_role("checkbox").first.uncheck()
    page.get_by_text("trained on all but 1 example").wait_for()
    assert page.locator(".outcome b").inner_text() != before
    page.get_by_text("Retraining cannot verify this here").wait_for()


@pytest.mark.parametrize("view", ["map/targets", "clusters", "leakage", "study", "compare"])
def test_every_view_opens(watch, file, view) -> None:
    page = watch(file).open(view)
    assert page.get_by_role("alert").count() == 0


def test_what_is_not_in_the_file_is_said_in_words(watch, file) -> None:
    page = watch(file).open()
    there = page.locator(".tile .what > :first-child").all_inner_texts()
    missing = next(t for t in range(40) if f"test image {t}" not in there)
    page.goto(f"{file}#/target/{missing}")
    page.get_by_text("does not hold this target").wait_for()
