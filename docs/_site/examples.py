"""Examples of docstrings as the site shows them: code, whether below `Example:` or in the middle of the text."""

from __future__ import annotations

import re
from typing import Any

import griffe

BLOCK = re.compile(r"(?:^(?=>>>)(?:.+\n?)+)", re.M)


class Examples(griffe.Extension):
    """Turns `Example:` into the section that griffe knows, and examples in the text into fenced code."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            text = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.M)
            obj.docstring.value = BLOCK.sub(lambda found: f"```pycon\n{found[0].rstrip()}\n```\n", text)
