"""What the numbers mean, in words that depend on the output."""

from __future__ import annotations

from typing_extensions import TypedDict

from subtrain.quantities import Quantity


class Words(TypedDict):
    """output: what a model's output is called, short: in a word; about: what that is; better: "higher", "lower", or
    None where neither is; zero: whether zero divides wrong from right; right: whether it tells who is right; helpful,
    harmful: headings for the units of either side, of which the first raise the output unless lower is better."""

    output: str
    short: str
    about: str
    better: str | None
    zero: bool
    right: bool
    helpful: str
    harmful: str


def meaning(quantity: Quantity, output: str, recorded: str) -> Words:
    """Words for an output; `recorded` is what its schema says it means."""
    called = quantity.called if quantity.known else output.replace("_", " ")
    about = recorded
    if quantity.known:
        some = "" if recorded in (quantity.called, output.rpartition("_")[2]) else recorded
        about = "; ".join(part for part in (some, quantity.about) if part)
    zero, right = quantity.right_above == 0, quantity.right_above is not None
    return {
        "output": called,
        "short": quantity.short,
        "about": about,
        "better": quantity.better,
        "zero": zero,
        "right": right,
        "helpful": quantity.headings[0],
        "harmful": quantity.headings[1],
    }
