"""What a model's outputs measure: margins, losses and others by their formulas, which way is better, and their words.

A new quantity is one entry of QUANTITIES: every use, the report and the explorer read it there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.arrays import NoArrayError, as_array
from subtrain.errors import InputError

Float = NDArray[np.floating[Any]]
SPLITS = ("train", "test")
MARGINS = {"max": "largest other logit", "logsumexp": "logsumexp of the other logits"}
HIGHER, LOWER, NEITHER = "higher", "lower", "neither"


def check_better(better: str | None) -> None:
    """InputError unless it is a direction, or None."""
    if better not in (HIGHER, LOWER, NEITHER, None):
        raise InputError(f"better must be {HIGHER}, {LOWER} or {NEITHER}, got {better!r}")


def margins(logits: ArrayLike, labels: ArrayLike, kind: str = "max") -> Float:
    """Correct-class margin: the logit of the correct class minus the other classes' (paper, section 2).

    logits [..., N, C], labels integer [N]; returns [..., N] in the logits' dtype.
    kind: "max" subtracts the largest other logit (the paper's), "logsumexp" the logsumexp of the others (TRAK's).
    """
    z, correct = _split_correct(logits, labels)
    if kind == "max":
        return np.asarray(correct - z.max(axis=-1))
    if kind == "logsumexp":
        top = z.max(axis=-1, keepdims=True)
        return np.asarray(correct - (top[..., 0] + np.log(np.exp(z - top).sum(axis=-1))))
    raise InputError(f"unknown margin {kind!r}; choose from {', '.join(MARGINS)}")


def _split_correct(logits: ArrayLike, labels: ArrayLike) -> tuple[Float, Float]:
    """A copy of the logits with the correct class at -inf, and the correct class's logits."""
    z, y = np.array(_given("logits", logits)), _given("labels", labels)
    if z.ndim < 2 or z.shape[-2] != y.shape[0]:
        raise InputError(f"logits must be [..., {y.shape[0]}, classes] for {y.shape[0]} labels, got {list(z.shape)}")
    if z.shape[-1] < 2:
        raise InputError("a margin needs logits of at least two classes")
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise InputError(f"labels must be integers [N], got {y.dtype} {list(y.shape)}")
    if y.size and (y.min() < 0 or y.max() >= z.shape[-1]):
        raise InputError(f"labels must lie in 0..{z.shape[-1] - 1}, found {y.min()}..{y.max()}")
    if z.dtype.kind != "f":
        z = z.astype(np.float64)
    index = np.arange(y.shape[0])
    correct = z[..., index, y].copy()
    z[..., index, y] = -np.inf
    return z, correct


def _given(name: str, values: Any) -> NDArray[Any]:
    """Logits or labels as they come, tensors that require gradients too, as an array."""
    try:
        return as_array(values)
    except NoArrayError as error:
        raise InputError(f"{name} must be an array of numbers, got {error}") from None


def correctness(logits: ArrayLike, labels: ArrayLike) -> Float:
    """1 where the correct class has the strictly largest logit, else 0; [..., N]."""
    return (margins(logits, labels) > 0).astype(np.float32)


def cross_entropy(logits: ArrayLike, labels: ArrayLike) -> Float:
    """-log softmax(logits)[correct] in nats; [..., N]."""
    m = margins(logits, labels, "logsumexp")
    return np.logaddexp(0, -m)


def _raw(values: ArrayLike, labels: ArrayLike) -> Float:
    return np.asarray(values)


@dataclass(frozen=True)
class Quantity:
    """What one number of an output measures.

    called, short: its name, and that in a word; about: a remark; better: "higher", "lower", or None where neither is;
    right_above: from where on a model is right about the target, None where that cannot be told; of: makes it of
    logits [..., N, C] and labels [N], None where nothing here does; per_class: one number a class, not a target.
    """

    called: str = ""
    short: str = "output"
    about: str = ""
    better: str | None = None
    right_above: float | None = None
    of: Callable[..., Float] | None = None
    per_class: bool = False

    def __call__(self, logits: ArrayLike, labels: ArrayLike) -> Float:
        """It of these logits and labels."""
        if self.of is None:
            raise InputError(f"{self.called} is not made of logits")
        return self.of(logits, labels)

    @property
    def sign(self) -> int:
        """-1 where lower is better, else 1: weights times this help where they are positive."""
        return -1 if self.better == LOWER else 1

    @property
    def sides(self) -> tuple[str, str]:
        """What units of positive and of negative weight times `sign` are called."""
        return ("raises", "lowers") if self.better is None else ("helpful", "harmful")


QUANTITIES: dict[str, Quantity] = {
    "margins": Quantity(
        "correct-class margin", "margin", "above zero, the model is right about the target", HIGHER, 0.0, margins
    ),
    "logits": Quantity("logit", "logit", "", None, None, _raw, per_class=True),
    "correctness": Quantity(
        "correctness", "correctness", "1 if the model is right about the target, else 0", HIGHER, 0.5, correctness
    ),
    "losses": Quantity(
        "loss", "loss", "the lower, the better the model does on the target", LOWER, None, cross_entropy
    ),
    "predictions": Quantity("prediction", "prediction", "neither more nor less of it is better", None, None, _raw),
}
_SINGULAR = {
    "margin": "margins",
    "logit": "logits",
    "correct": "correctness",
    "loss": "losses",
    "prediction": "predictions",
}
# Names of other people's outputs that tell which way is better, and no more than that.
_LOWER = (
    "error errors err nll bce ce xent entropy crossentropy logloss mse rmse mae mape perplexity ppl cost costs risk "
    "regret brier deviance"
)
_HIGHER = "acc accuracy accuracies auc auroc f1 r2 likelihood likelihoods reward rewards precision recall bleu"
_BETTER = dict.fromkeys(_LOWER.split(), LOWER) | dict.fromkeys(_HIGHER.split(), HIGHER)
_NOTHING = "rate rates score scores mean avg average per example sample target each final value values"
_SAYS_NOTHING = {*_NOTHING.split(), *SPLITS}
_MINUS = {"neg", "negative", "minus"}


def quantity_of(name: str, better: str | None = None) -> Quantity:
    """What an output measures, by its name: test_losses, but also losses, val_loss, nll, test_error_rate, acc.

    better: as its `Output` declares it, which goes before the name. Where nothing tells, neither way is better.
    """
    check_better(better)
    found = _by_name(name)
    declared = found.better if better is None else None if better == NEITHER else better
    # A margin of which less is better is no margin: nothing but the direction is known of it.
    return found if declared == found.better else replace(Quantity(found.called, found.short), better=declared)


def _by_name(name: str) -> Quantity:
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^A-Z_]+", name)]
    minus = not _MINUS.isdisjoint(words)
    told = [word for word in words if word not in _SAYS_NOTHING | _MINUS]
    last = told[-1] if told else ""
    known = QUANTITIES.get(_SINGULAR.get(last, last))
    if known is not None and not minus:
        return known
    better = _BETTER.get(last) if known is None else known.better
    if minus and better is not None:
        better = HIGHER if better == LOWER else LOWER
    return Quantity(" ".join(words), better=better)
