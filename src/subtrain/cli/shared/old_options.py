"""Options of version 0.1: for one release they still work, and say what replaces them."""

from __future__ import annotations

import re

# (verb, option of version 0.1 with a number) -> what stands for it now, before the number.
OLD = {
    ("compare", "--fit-a"): ["--fit"],
    ("compare", "--verify"): ["--verify", "--component"],
    ("embed", "--remove"): ["--verify", "--component"],
    ("explore", "--targets"): ["--most"],
    ("mislabeled", "--verify"): ["--verify", "--runs"],
    ("poison", "--verify"): ["--verify", "--runs"],
    ("report", "--target"): ["--targets"],
    ("select", "--verify"): ["--verify", "--runs"],
}


def renewed(words: list[str]) -> tuple[list[str], list[str]]:
    """A command line with today's options in place of old ones, and a note about each that was replaced."""
    made, notes = words[:1], []
    rest = list(words[1:])
    while rest:
        option, equals, value = rest[0].partition("=")
        new = OLD.get((words[0], option))
        given = value if equals else (rest[1] if len(rest) > 1 else "")
        if new is None or not re.fullmatch(r"[0-9]+" if option.startswith("--verify") else r"[^-].*", given):
            made.append(rest.pop(0))
            continue
        del rest[: 1 if equals else 2]
        if new == ["--targets"] and "--targets" in made:
            made[made.index("--targets") + 1] += f",{given}"
        else:
            made += [*new, given]
        notes.append(f"{option} {given} is removed in the next release: write {' '.join(new)} {given}")
    return made, notes
