"""Leakage review by keyboard: decisions are kept in the study and leave it as a file."""

from __future__ import annotations

import csv
import re
from pathlib import Path


def pair(page) -> tuple[int, int]:
    target, unit = page.locator(".pair figcaption a > :first-child").all_inner_texts()
    return int(re.search(r"\d+", target)[0]), int(re.search(r"\d+", unit)[0])


def place(page) -> int:
    return int(re.search(r"Pair (\d+)", page.get_by_role("status").first.inner_text())[1])


def test_pairs_are_decided_by_keyboard_kept_and_exported(explorer) -> None:
    page = explorer.open("leakage")
    seen = []
    for key in "yns":
        seen.append(pair(page))
        page.keyboard.press(key)
        page.get_by_text(f"{len(seen)} decided").wait_for()
    assert len(set(seen)) == 3
    page.keyboard.press("ArrowLeft")
    page.get_by_text("Decided: skipped").wait_for()

    page.reload()
    explorer.settle()
    with page.expect_download() as waiting:
        page.get_by_role("link", name=re.compile("Download")).click()
    rows = list(csv.DictReader(Path(waiting.value.path()).read_text().splitlines()))
    decided = {(int(row["target"]), int(row["unit"])): row["decision"] for row in rows if row["decision"]}
    assert decided == dict(zip(seen, ("yes", "no", "skip"), strict=True))


def test_keys_do_nothing_while_somebody_chooses(explorer) -> None:
    page = explorer.open("leakage")
    before = place(page)
    page.locator("select").first.focus()
    page.keyboard.press("n")
    page.wait_for_timeout(300)
    assert "leakage" in page.url
    assert place(page) == before


def test_the_planted_leak_is_among_the_suspects(explorer) -> None:
    page = explorer.open("leakage")
    page.get_by_text("All ").click()
    rows = page.get_by_role("region", name="All pairs").locator("tbody tr").all_inner_texts()
    assert any(re.match(r"test image 0\s+training image 0\b", row) for row in rows)
