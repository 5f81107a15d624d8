"""Training examples, maps and clusters."""

from __future__ import annotations

import re

import numpy as np

from subtrain.fits import load_fit

# The mouse's cursor over a plot, when the browser has shown what the last movement of the mouse changed.
CURSOR = "over => new Promise((say) => requestAnimationFrame(() => setTimeout(() => say(over.style.cursor))))"


def test_a_training_example_shows_what_it_does(explorer, study) -> None:
    dm, unit = load_fit(study), 7
    page = explorer.open(f"unit/{unit}")
    raised = page.get_by_role("region", name="Raises the margin of").locator("a")
    best = int(np.argmax(dm.weight[unit]))
    assert f"test image {best}" in raised.first.inner_text()
    assert f"{dm.weight[unit, best]:+.3f}" in raised.first.inner_text()
    share = float(study.masks(study.done()).unpack()[:, unit].mean())
    assert f"{100 * share:.1f}" in page.locator(".facts").inner_text()
    raised.first.click()
    page.get_by_role("heading", level=1, name=f"test image {best}").wait_for()


def test_a_box_on_the_map_lists_its_members(explorer) -> None:
    page = explorer.open("map/targets")
    plot = page.locator(".u-over")
    box = plot.bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] - 2, steps=4)
    page.mouse.up()
    members = page.get_by_role("region", name="Members")
    members.get_by_role("heading", name="40 members").wait_for()
    members.locator(".tile").first.wait_for()
    assert members.locator(".tile").count() == 40


def test_groups_of_the_map_are_listed_without_a_mouse(explorer) -> None:
    page = explorer.open("map/targets")
    page.get_by_role("combobox", name="List").select_option("3")
    page.wait_for_url(re.compile("group=3"))
    tiles = page.get_by_role("region", name="Members").locator(".tile img")
    tiles.first.wait_for()
    assert {alt.rpartition(" ")[2] for alt in tiles.evaluate_all("images => images.map((image) => image.alt)")} == {"3"}
    page.get_by_role("combobox", name="Color by").select_option("error")
    page.get_by_role("list", name="Colors").get_by_text(re.compile(r"error 0\.00")).wait_for()


def test_a_point_on_the_map_of_units_opens(explorer) -> None:
    page = explorer.open("map/targets")
    page.get_by_role("link", name="Training images").click()
    # The address changes before the page does: until then the other map is still there.
    plot = page.get_by_role("img", name=re.compile(r"Map of \d+ training images")).locator(".u-over")
    plot.wait_for()
    box = plot.bounding_box()
    for x in range(5, int(box["width"]), 12):
        for y in range(5, int(box["height"]), 60):
            plot.hover(position={"x": x, "y": y})
            if plot.evaluate(CURSOR) == "pointer":
                plot.click(position={"x": x, "y": y})
                page.get_by_role("heading", level=1, name=re.compile("training image")).wait_for()
                return
    raise AssertionError("no point was found on the map")


def test_clusters_lead_to_their_members(explorer, study) -> None:
    page = explorer.open("clusters")
    sizes = [int(re.search(r"(\d+) target", text)[1]) for text in page.locator(".cluster .head").all_inner_texts()]
    assert sum(sizes) == 40
    assert sizes == sorted(sizes, reverse=True)
    page.get_by_role("link", name="See all on the map").first.click()
    page.get_by_role("heading", name=re.compile(f"^{sizes[0]} member")).wait_for()
