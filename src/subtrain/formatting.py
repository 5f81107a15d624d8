"""Bytes and durations as a person writes them, and text for outputs that have not every character."""

from __future__ import annotations

import codecs
import re
import unicodedata


def plural(count: int, noun: str) -> str:
    """A number of things: 1 run, 1,000 runs."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def size(count: float) -> str:
    """A number of bytes: 12 B, 3.4 kB, 5.1 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def duration(seconds: float) -> str:
    """A duration, also a short one: 12 µs, 3.4 ms, 5.1 s, 2 min 3 s."""
    for unit, name in ((1e-3, "µs"), (1.0, "ms")):
        if 0 < seconds < unit:
            return f"{seconds / unit * 1000:.3g} {name}"
    return f"{seconds:.2g} s" if seconds < 10 else clock(seconds)


def clock(seconds: float) -> str:
    """A duration in whole seconds or longer units: 8 s, 3 min 20 s, 5 h 10 min, 2 d 4 h."""
    s = round(seconds)
    for length, unit, below, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if s >= length:
            return f"{s // length} {unit} {s % length // below} {small}"
    return f"{s} s"


# What stands for a character that an output has not: readable, and nothing is lost that matters.
_PLAIN = str.maketrans(
    {"…": "...", "−": "-", "–": "-", "—": "-", "×": "x", "µ": "u", "±": "+/-", "≤": "<=", "≥": ">=", "≈": "~"}
    | {"→": "->", "←": "<-", "·": "*", "•": "*", "√": "sqrt", "∞": "inf", "²": "^2", "½": "1/2", "‖": "|", "Σ": "sum"}
    | {"α": "alpha", "λ": "lambda", "ε": "eps", "σ": "sigma", "ρ": "rho", "φ": "phi", "’": "'", "“": '"', "”": '"'}
    | dict.fromkeys("━─╸╺╴╶", "-")
    | dict.fromkeys("│┃", "|")
    | dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼", "+")
)


def plain(text: str) -> str:
    """Text in ASCII: Greek letters by name, accents dropped, the rest as \\u2713."""
    parts = []
    for letter in text.translate(_PLAIN):
        kept = letter if letter.isascii() else unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
        parts.append(kept or letter.encode("ascii", "backslashreplace").decode())
    return "".join(parts)


def printable(text: str, encoding: str | None) -> str:
    """Text as an output of this encoding can show it; only what it cannot is replaced."""
    return text.encode(encoding or "ascii", UNPRINTABLE).decode(encoding or "ascii")


def _replaced(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return plain(error.object[error.start : error.end]), error.end


# The name by which an output stream knows this way to write what it cannot show.
UNPRINTABLE = "subtrain-plain"
codecs.register_error(UNPRINTABLE, _replaced)


# What moves a terminal's cursor, colors it, turns text around or is no character: controls, marks of direction and of
# lines, halves of pairs, tags.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """The text with every control character, but for new lines and tabs, written as Python writes it: \\x1b for ESC."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def number(value: float, places: int = 3) -> str:
    """A figure in words: "unknown" where it does not exist, and never -0."""
    return f"{round(value, places) + 0.0:.{places}f}" if value == value else "unknown"
