"""The built site is whole without a network: `make docs` builds it and then runs this."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

SITE = Path(__file__).parents[2] / "build" / "site"
PAGES = sorted(SITE.rglob("*.html"))
LOADED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "object": "data",
    "link": "href",
}


class Requests(HTMLParser):
    """The addresses that a browser asks when it shows a page; links that somebody clicks are not among them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.found += [given.get(LOADED.get(tag, "")) or "", *re.findall(r"url\(([^)]*)\)", given.get("style") or "")]


def test_the_site_is_built():
    assert SITE / "index.html" in PAGES
    assert len(PAGES) > 30


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(SITE)))
def test_pages_ask_no_other_host(page):
    text = page.read_text(encoding="utf-8")
    styles = re.findall(r"<style.*?</style>", text, re.S)
    asked = Requests(text).found + [url for style in styles for url in re.findall(r"url\(([^)]*)\)", style)]
    assert [url for url in asked if re.match(r"[\"']?(\w+:)?//", url)] == []


def test_styles_ask_no_other_host():
    for sheet in SITE.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        assert re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//", text) == [], sheet


def test_every_public_name_has_its_docstring_in_the_reference():
    import subtrain

    text = "".join(page.read_text(encoding="utf-8") for page in (SITE / "reference" / "python").glob("*.html"))
    documented = set(re.findall(r'id="subtrain\.(\w+)"', text))
    assert {name for name in subtrain.__all__ if name not in documented} <= {"__version__", "public", "tasks"}
