"""The code blocks of the README and the pages, and the commands in them with what the page says they print."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.S | re.M)
_COMMENT = re.compile(r"\s{2,}# .*$|\s+#\s.*$")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and text, and the line of the page where its text begins."""

    language: str
    text: str
    line: int


@dataclass(frozen=True)
class Command:
    """A line behind `$`, without its comment, and the lines that the page shows below it."""

    text: str
    printed: tuple[str, ...]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        yield Block(found[1], found[2], text[: found.start()].count("\n") + 2)


def commands(block: Block) -> Iterator[Command]:
    """Every command of a console block."""
    for part in re.split(r"^\$ ", block.text, flags=re.M)[1:]:
        first, *printed = part.rstrip("\n").split("\n")
        while first.endswith("\\"):
            first = first[:-1] + printed.pop(0).strip()
        yield Command(_COMMENT.sub("", first).strip(), tuple(line for line in printed if line.strip()))
