"""The registry of quantities: the name in outputs such as test_margins, and where the `Quantity` is found."""

from __future__ import annotations

from typing import Any

from subtrain.quantities.quantity import Quantity
from subtrain.system.registry import Registry


def _is_quantity(found: Any) -> bool:
    return isinstance(found, Quantity)


QUANTITIES = Registry(
    "quantity",
    "subtrain.quantities",
    {
        "margins": "subtrain.quantities.margin:MARGIN",
        "logits": "subtrain.quantities.logit:LOGIT",
        "correctness": "subtrain.quantities.correct:CORRECTNESS",
        "losses": "subtrain.quantities.loss:LOSS",
        "predictions": "subtrain.quantities.prediction:PREDICTION",
    },
    _is_quantity,
    "a Quantity",
)
