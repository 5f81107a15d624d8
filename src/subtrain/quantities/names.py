"""What the name of an output tells: its split, its quantity, and which way is better."""

from __future__ import annotations

import re
from dataclasses import replace

from subtrain.errors import InputError
from subtrain.quantities.quantity import HIGHER, LOWER, NEITHER, Quantity, check_better
from subtrain.quantities.registry import QUANTITIES

SPLITS = ("train", "test")
# What turns another word for one number of it, as in val_loss or is_correct, into a quantity's name.
_ENDINGS = ("", "s", "es", "ness")
# Names of outputs that tell which way is better. Only words of this table do: a new quantity, of ours or of another
# package, must not turn the direction of an output that somebody has long called so.
_LOWER = (
    "loss losses error errors err nll bce ce xent entropy crossentropy logloss mse rmse mae mape perplexity ppl cost "
    "costs risk regret brier deviance"
)
_HIGHER = (
    "margin margins correct correctness acc accuracy accuracies auc auroc f1 r2 likelihood likelihoods reward rewards "
    "precision recall bleu"
)
_BETTER = dict.fromkeys(_LOWER.split(), LOWER) | dict.fromkeys(_HIGHER.split(), HIGHER)
_NOTHING = "rate rates score scores mean avg average per example sample target each final value values"
_SAYS_NOTHING = {*_NOTHING.split(), *SPLITS}
_MINUS = {"neg", "negative", "minus"}


def quantity_of(name: str, better: str | None = None) -> Quantity:
    """What an output measures, by its name: test_losses, but also losses, val_loss, nll, test_error_rate, acc.

    better: as its `Output` declares it, which goes before the name. Where nothing tells, neither way is better. A
    registered quantity has its words if it has this direction, too.
    """
    check_better(better)
    words = _words(name)
    told = _told(words)
    declared = told if better is None else None if better == NEITHER else better
    found = _registered(name, words)
    if found is not None and found.better == declared:
        return found
    if found is None or better is None:
        return Quantity(" ".join(words), better=declared)
    # A margin of which less is better is no margin: nothing but the direction is known of it.
    return replace(Quantity(found.called, found.short), better=declared)


def split_of(output: str) -> str:
    """The split whose examples are the targets of an output, "train" or "test"; "" where its name does not say."""
    split, _, rest = output.partition("_")
    return split if split in SPLITS and rest else ""


def parse_name(name: str) -> tuple[str, str]:
    """("test", "margins") of "test_margins"; InputError for a name that is no split and registered quantity."""
    split = split_of(name)
    quantity = name.removeprefix(f"{split}_")
    if not split or quantity not in QUANTITIES:
        raise InputError(
            f"unknown output {name!r}; it must be train_ or test_ followed by one of {', '.join(QUANTITIES)}"
        )
    return split, quantity


def direction_to_declare(name: str, quantity: Quantity) -> str | None:
    """What an `Output` of this quantity must say of its direction; None where its name says so."""
    return None if _told(_words(name)) == quantity.better else quantity.better or NEITHER


def _words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^A-Z_]+", name)]


def _last(words: list[str]) -> str:
    """The word that an output is about, "" if there is none."""
    return next((word for word in reversed(words) if word not in _SAYS_NOTHING | _MINUS), "")


def _told(words: list[str]) -> str | None:
    """Which way is better, by the words of a name; None where they do not say."""
    better = _BETTER.get(_last(words))
    if better is None or _MINUS.isdisjoint(words):
        return better
    return HIGHER if better == LOWER else LOWER


def _registered(name: str, words: list[str]) -> Quantity | None:
    """The quantity that is registered under this name, or another word for one number of it."""
    whole, last = name.removeprefix(f"{split_of(name)}_"), _last(words)
    names = [whole, *(last + ending for ending in _ENDINGS if _MINUS.isdisjoint(words))]
    return next((QUANTITIES[some] for some in names if some in QUANTITIES), None)
