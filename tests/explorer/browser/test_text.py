"""HTML in labels, texts and rows is shown as text, and nothing in it runs."""

from __future__ import annotations

from html import unescape

import pytest

NASTY = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


VIEWS = ("targets", "target/0", "unit/0", "map/targets?by=class", "clusters", "leakage", "compare?with=wrong")


@pytest.mark.parametrize("view", VIEWS)
def test_html_in_data_is_text(watch, nasty_address, view) -> None:
    watched = watch(nasty_address)
    watched.page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    page = watched.open(view)
    assert NASTY in unescape(page.content())
    assert page.locator("#app script").count() == 0
    assert page.locator("#app img[src=x]").count() == 0
    assert page.evaluate("document.querySelectorAll('#app [onerror]').length") == 0


def test_a_label_with_html_is_searched_and_filtered(watch, nasty_address) -> None:
    watched = watch(nasty_address)
    page = watched.open("targets")
    page.get_by_role("combobox", name="Class", exact=True).select_option(NASTY)
    watched.tiles(2)
    page.reload()
    watched.tiles(2)
