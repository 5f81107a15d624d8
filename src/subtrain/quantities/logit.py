"""Logits of all classes."""

from __future__ import annotations

from subtrain.quantities.quantity import Quantity, as_given

LOGIT = Quantity("logit", "logit", of=as_given, tail=("classes",), of_logits=True)
