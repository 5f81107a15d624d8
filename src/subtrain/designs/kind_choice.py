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
    """The kind, why it is right or that it was asked for, what a set of its models is, and how they share seeds."""
    usual = kind == automatic_kind(alpha, n)
    reason = f"because {_reason(alpha, n)}" if usual else "as you asked for"
    if sets is None:
        return f"{kind}, {reason}: each subset is drawn by itself, and {_shared(sharing)}"
    whole = f"a set has {'2 x ' if sets.sides > 1 else ''}{sets.prime:,} models"
    if sharing is not None and sharing.count is not None:
        return f"{kind}, {reason}: {whole}, which share {sharing.count} training seeds"
    return f"{kind}, {reason}: {whole}, and {_shared(sharing)}"


def _shared(sharing: SharedSeeds | None) -> str:
    if sharing is None:
        return "each model has its own training seed"
    if sharing.count is None:
        return "a mask and its complement share a training seed"
    return f"{sharing.translates * sharing.sides:,} models in a row share {sharing.count} training seeds"


def _reason(alpha: float | tuple[float, ...], n: int) -> str:
    if alpha != 0.5:
        return "there are several alphas" if isinstance(alpha, tuple) else f"alpha is {alpha:g}, not 0.5"
    if n < LEAST_UNITS:
        return f"there are fewer than {LEAST_UNITS} units"
    return f"alpha is 0.5 and there are {LEAST_UNITS} units or more"


def whole_sizes(models: int, sets: OrthogonalSets | None) -> tuple[int, ...]:
    """The nearest numbers of models that make whole sets, below and above; () where `models` is one, or none is better.

    One side of the first set is whole as well: its translates alone confound no two units.
    """
    if sets is None or models == sets.prime or models % sets.models == 0:
        return ()
    below = models // sets.models * sets.models or (sets.prime if models > sets.prime else 0)
    above = sets.prime if models < sets.prime else (models // sets.models + 1) * sets.models
    return tuple(size for size in (below, above) if size)
