"""Why a design is of its kind, in a sentence, and the numbers of models that suit it."""

from __future__ import annotations

from subtrain.designs.orthogonal import PALEY, OrthogonalSets, SharedSeeds

FIXED, AUTO = "fixed", "auto"
# Units from which on an orthogonal design pays.
LEAST_UNITS = 100


def automatic_kind(alpha: float | tuple[float, ...], n: int) -> str:
    """The kind of design that kind="auto" means."""
    return PALEY if alpha == 0.5 and n >= LEAST_UNITS else FIXED


def explained(
    kind: str,
    alpha: float | tuple[float, ...],
    n: int,
    sets: OrthogonalSets | None,
    sharing: SharedSeeds | None,
) -> str:
    """The kind, why it is the default or that it is not, what a set of its models is, and how they share seeds."""
    usual = kind == automatic_kind(alpha, n)
    reason = f"{kind}, {_usual(alpha, n) if usual else 'as you asked for'}"
    if sets is None:
        return f"{reason}: each subset is drawn by itself, and {_shared(sharing)}"
    whole = f"{'2 x ' if sets.sides > 1 else ''}{sets.prime:,} models"
    if sharing is not None and sharing.count is not None:
        return f"{reason}: a set of {whole} shares {sharing.count} training seeds"
    return f"{reason}: a set has {whole}, and {_shared(sharing)}"


def _shared(sharing: SharedSeeds | None) -> str:
    if sharing is None:
        return "each model has its own training seed"
    if sharing.count is None:
        return "a mask and its complement share a training seed"
    return f"each {sharing.translates * sharing.sides:,} models in a row share {sharing.count} training seeds"


def _usual(alpha: float | tuple[float, ...], n: int) -> str:
    # A design does not remember whether its kind was chosen or given: each sentence is true of both.
    if isinstance(alpha, tuple):
        return "the default for several alphas"
    if alpha != 0.5:
        return f"the default where alpha is not 0.5 (it is {alpha:g})"
    if n < LEAST_UNITS:
        return f"the default for fewer than {LEAST_UNITS} units"
    return f"the default for alpha 0.5 and {LEAST_UNITS} units or more"


def whole_sizes(models: int, sets: OrthogonalSets | None) -> tuple[int, ...]:
    """The nearest numbers of models that make whole sets, below and above; () where `models` is one, or none is better.

    One side of the first set is whole as well: its translates alone confound no two units.
    """
    if sets is None or models == sets.prime or models % sets.models == 0:
        return ()
    below = models // sets.models * sets.models or (sets.prime if models > sets.prime else 0)
    above = sets.prime if models < sets.prime else (models // sets.models + 1) * sets.models
    return tuple(size for size in (below, above) if size)


def said_of_sizes(sizes: tuple[int, ...], sets: OrthogonalSets | None) -> str:
    """Numbers of models, `whole_sizes`, and what each of them is: one side of a set, a whole set, or several."""
    if sets is None or not sizes:
        return ""
    shown = (*sizes, sets.models) if sizes == (sets.prime,) and sets.sides > 1 else sizes
    return " or ".join(f"{size:,} ({_named(size, sets)})" for size in shown)


def _named(size: int, sets: OrthogonalSets) -> str:
    if size < sets.models:
        return "one side of a set"
    return "a whole set" if size == sets.models else f"{size // sets.models} whole sets"


def pairs_missing(models: int, sets: OrthogonalSets | None, sharing: SharedSeeds | None) -> str:
    """That pairs are to share seeds and there is none yet; "" otherwise."""
    if sets is None or sharing is None or sharing.count is not None or models > sets.prime:
        return ""
    return (
        f"no pair of a mask and its complement is there below {sets.prime + 1:,} models, so no two models share a "
        f"seed; --models {sets.models:,} (a whole set) makes all pairs"
    )
