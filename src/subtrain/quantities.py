"""What a model's outputs measure: margins, losses and others by their formulas, which way is better, and their words.

A new quantity is one entry of QUANTITIES, a `Quantity`: tasks, the command line, every question and the explorer read
it there. Another package adds one with an entry point of the group `subtrain.quantities`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.arrays import NoArrayError, as_array
from subtrain.errors import InputError
from subtrain.system.registry import Registry

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
        raise InputError(f"labels must be in 0..{z.shape[-1] - 1}, found {y.min()}..{y.max()}")
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
    """What one number of an output measures, and all that the rest of the package knows of it.

    Args:
        called: its name in a sentence, as in "correct-class margin".
        short: its name in a word.
        about: a remark for a reader of the page; "" for none.
        better: "higher", "lower", or None where neither is.
        right_above: from where on a model is right about the target; None where that cannot be told.
        of: makes it of logits [..., N, classes] and labels [N]; of a regression of predictions [..., N] and values [N].
            None for an output whose name says too little.
        tail: the last axes of one model's output, after that of the targets: numbers, or "classes".
        regression: whether it is of predicted values, and not of classes.
        from_classes: whether the predicted class of each target is enough to know it.
        of_logits: whether it is of the size of logits, so that values within 0 and 1 look wrong.
        variants: the definitions of it that a task can choose from by `margin=`, and what each subtracts; such an `of`
            takes the name of one as third argument.
        recorded: what study.json says that the output means, with `{variant}` where that differs; by default its name.
    """

    called: str = ""
    short: str = "output"
    about: str = ""
    better: str | None = None
    right_above: float | None = None
    of: Callable[..., Float] | None = None
    tail: tuple[int | str, ...] = ()
    regression: bool = False
    from_classes: bool = False
    of_logits: bool = False
    variants: Mapping[str, str] = field(default_factory=dict)
    recorded: str = ""

    def __call__(self, logits: ArrayLike, labels: ArrayLike, variant: str | None = None) -> Float:
        """It of these logits and labels; `variant` is for those that have several."""
        if self.of is None:
            raise InputError(f"{self.called} is not made of logits")
        return self.of(logits, labels, variant) if self.variants and variant else self.of(logits, labels)

    def shape(self, targets: int, classes: int | None) -> tuple[int, ...]:
        """The shape of one model's output."""
        return (targets, *(int(classes or 0) if part == "classes" else int(part) for part in self.tail))

    def meaning(self, name: str, variant: str) -> str:
        """What study.json says that an output of this quantity, registered as `name`, means."""
        return (self.recorded or name).format(variant=self.variants.get(variant, ""))

    @property
    def known(self) -> bool:
        """Whether it is a registered one, and not guessed from an output's name."""
        return self.of is not None

    @property
    def sign(self) -> int:
        """-1 where lower is better, else 1: weights times this help where they are positive."""
        return -1 if self.better == LOWER else 1

    @property
    def sides(self) -> tuple[str, str]:
        """What units of positive and of negative weight times `sign` are called."""
        return ("raises", "lowers") if self.better is None else ("helpful", "harmful")

    @property
    def headings(self) -> tuple[str, str]:
        """What the page writes above the units of either side."""
        if self.better is None:
            return "Raise it most", "Lower it most"
        if self.better == HIGHER:
            return "Most helpful", "Most harmful"
        return f"Most helpful (lower the {self.short})", f"Most harmful (raise the {self.short})"


MARGIN = Quantity(
    "correct-class margin",
    "margin",
    "above zero, the model is right about the target",
    HIGHER,
    0.0,
    margins,
    of_logits=True,
    variants=MARGINS,
    recorded="correct-class logit minus {variant}",
)
LOGIT = Quantity("logit", "logit", of=_raw, tail=("classes",), of_logits=True)
CORRECTNESS = Quantity(
    "correctness",
    "correctness",
    "1 if the model is right about the target, else 0",
    HIGHER,
    0.5,
    correctness,
    from_classes=True,
)
LOSS = Quantity("loss", "loss", "the lower, the better the model does on the target", LOWER, None, cross_entropy)
PREDICTION = Quantity("prediction", "prediction", "neither more nor less of it is better", of=_raw, regression=True)

QUANTITIES = Registry(
    "quantity",
    "subtrain.quantities",
    {
        "margins": "subtrain.quantities:MARGIN",
        "logits": "subtrain.quantities:LOGIT",
        "correctness": "subtrain.quantities:CORRECTNESS",
        "losses": "subtrain.quantities:LOSS",
        "predictions": "subtrain.quantities:PREDICTION",
    },
)
# What turns another word for one number of it, as in val_loss or is_correct, into a quantity's name.
_ENDINGS = ("", "s", "es", "ness")
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


def _by_name(name: str) -> Quantity:
    whole = name.removeprefix(f"{split_of(name)}_")
    if whole in QUANTITIES:
        return _registered(whole)
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^A-Z_]+", name)]
    minus = not _MINUS.isdisjoint(words)
    told = [word for word in words if word not in _SAYS_NOTHING | _MINUS]
    last = told[-1] if told else ""
    known = next((_registered(last + ending) for ending in _ENDINGS if last + ending in QUANTITIES), None)
    if known is not None and not minus:
        return known
    better = _BETTER.get(last) if known is None else known.better
    if minus and better is not None:
        better = HIGHER if better == LOWER else LOWER
    return Quantity(" ".join(words), better=better)


def _registered(name: str) -> Quantity:
    found: Quantity = QUANTITIES[name]
    return found
