"""Losses: cross-entropies, in nats."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from subtrain.quantities.margin import margins
from subtrain.quantities.quantity import LOWER, Float, Quantity


def cross_entropy(logits: ArrayLike, labels: ArrayLike) -> Float:
    """-log softmax(logits)[correct] in nats; [..., N]."""
    m = margins(logits, labels, "logsumexp")
    return np.logaddexp(0, -m)


LOSS = Quantity("loss", "loss", "the lower, the better the model does on the target", LOWER, None, cross_entropy)
