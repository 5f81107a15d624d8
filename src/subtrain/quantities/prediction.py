"""Predictions of a regression."""

from __future__ import annotations

from subtrain.quantities.quantity import Quantity, as_given

PREDICTION = Quantity("prediction", "prediction", "neither more nor less of it is better", of=as_given, regression=True)
