"""The terminal: whatever a file, a name or an error says, only text reaches it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.errors import MarkupError
from rich.segment import Segment
from rich.text import Text

from subtrain.formatting import visible

# The markup that subtrain itself writes. Anything else in square brackets is text: names and labels may hold it.
_TAGS = {"bold", "dim", "italic", "yellow", "bold red"}
_MARKUP = re.compile(r"(\\*)\[([a-z#/@][^[]*?)\]")


class Terminal(Console):
    """rich's console, but control characters are shown instead of sent, and markup is that of subtrain alone."""

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Text of a string, with the markup in it."""
        plain = visible(text)
        try:
            return super().render_str(_MARKUP.sub(_own, plain), **options)
        except MarkupError:
            return super().render_str(plain, **{**options, "markup": False})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The pieces of anything that is printed; those that move the cursor are rich's own."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else Segment(visible(piece.text), piece.style)


def _own(found: re.Match[str]) -> str:
    backslashes, tag = found.groups()
    if tag.removeprefix("/") in _TAGS or len(backslashes) % 2:
        return found[0]
    return f"{backslashes}{backslashes}\\[{tag}]"
