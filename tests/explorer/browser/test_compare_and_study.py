"""Two fits side by side, and the study itself, live."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import subtrain as st
from subtrain.fits import load_fit


def test_two_fits_are_compared_on_the_same_targets(explorer, study) -> None:
    page = explorer.open("compare")
    a, b = load_fit(study).weight, load_fit(study, "simple").weight
    cosine = (a * b).sum(axis=0) / np.linalg.norm(a, axis=0) / np.linalg.norm(b, axis=0)
    rows = page.get_by_role("region", name=re.compile("Targets in both")).locator("tbody tr")
    assert rows.count() == 40
    assert f"test image {np.argmin(cosine)}" in rows.first.inner_text()
    assert f"{cosine.min():.3f}" in rows.first.inner_text()
    assert f"{cosine.mean():.3f}" in page.locator(".facts").inner_text()


def test_another_fit_is_chosen_and_stays_in_every_link(explorer, study) -> None:
    page = explorer.open("target/2")
    page.get_by_label("Fit").select_option("simple")
    page.wait_for_url(re.compile("fit=simple"))
    dm = load_fit(study, "simple")
    first = page.get_by_role("region", name="Most helpful").locator("li").first
    first.get_by_text(f"training image {dm.top(2, 1)[0].unit}", exact=True).wait_for()
    page.get_by_role("link", name="Next →").click()
    page.wait_for_url(re.compile("target/3.*fit=simple"))


def test_the_study_says_what_was_run_and_what_it_is_worth(explorer, study) -> None:
    page = explorer.open("study")
    found = st.evaluate(load_fit(study), study)
    table = page.get_by_role("region", name="Evaluation").locator("tbody tr").first.inner_text()
    assert f"{found.lds.value:.3f}" in table
    assert f"{found.lds.low:.3f} to {found.lds.high:.3f}" in table
    assert f"{found.lds_ceiling:.3f}" in table
    collection = page.get_by_role("region", name="Collection").inner_text()
    assert "400 of 400" in collection
    assert "40 of 40" in collection
    assert "subtrain create" in page.locator(".commands").inner_text()
    curve = page.get_by_role("region", name="Learning curve").get_by_role("img")
    curve.wait_for(timeout=400_000)
    assert "LDS against the number of models" in curve.get_attribute("aria-label")


@pytest.fixture
def begun(tmp_path):
    """A study of which a part is collected and nothing fitted, and how to go on."""
    from subtrain.collection import train_segment

    task = f"{Path(__file__).parent / 'small_digits.py'}:task"
    made = st.Study.create(tmp_path / "begun", task, st.Design(models=80, heldout=10, replicates=2), segment=25)
    (made.path / "segments").mkdir()
    train_segment(made, made.segments[0])
    return made


def test_a_study_without_a_fit_shows_how_it_stands_and_goes_on_by_itself(watch, serve, begun) -> None:
    from subtrain.collection import train_segment
    from subtrain.fits import save_fit

    with serve(begun) as home:
        watched = watch(home)
        page = watched.open()
        page.get_by_text("Nothing is fitted yet").wait_for()
        page.get_by_role("link", name="Study", exact=True).click()
        collection = page.get_by_role("region", name="Collection")
        collection.get_by_text("25 of 80").wait_for()
        for where in begun.segments[1:]:
            train_segment(begun, where)
        collection.get_by_text("80 of 80").wait_for()
        save_fit(begun, st.fit(begun, "test_margins", st.MeanDifference()))
        page.get_by_role("region", name="Evaluation").wait_for()
        page.get_by_role("link", name="Targets").click()
        page.locator(".tile").first.wait_for()
        page.close()
