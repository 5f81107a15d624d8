"""What an export of ours says of its rows: which judge, which choose lambda, and what pairs and seeds they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from subtrain.designs.checks import KINDS
from subtrain.designs.drawn import Design
from subtrain.designs.imported import given_masks
from subtrain.errors import InputError
from subtrain.store import atomic_files
from subtrain.store.seal import unsealed
from subtrain.system.user_warning import warn_user

# Rows whose masks are compared with those of the design.
LOOKED_AT = 64
Spans = list[list[int]]


@dataclass(frozen=True, eq=False)
class ExportedDesign:
    """evaluation, validation, anchors: ranges of rows; design: as study.json had it."""

    evaluation: Spans
    validation: Spans
    anchors: Spans
    design: Mapping[str, Any]


def read_export(about: Path) -> ExportedDesign:
    """What the study_{PCT}pct.json beside the arrays says; InputError where it does not say which rows are held out."""
    data = atomic_files.read_json(about)
    if isinstance(data, dict):
        data = unsealed(data, about, required="format" in data)
    try:
        evaluation, validation, anchors = (
            [[int(a), int(b)] for a, b in spans]
            for spans in (data["evaluation"], data.get("validation", ()), data.get("anchors", ()))
        )
        design = data.get("design", {})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{about} does not say which rows are held out: give their number with heldout") from error
    return ExportedDesign(evaluation, validation, anchors, design if isinstance(design, Mapping) else {})


def recorded_design(data: Mapping[str, Any], masks: Any, rows: int, n: int) -> Design | None:
    """The design that drew these masks, where its models have pairs or seeds in common; None for others.

    With a warning where it is not known, or has drawn other masks: a fit then takes every model by itself.
    """
    # An import that is exported again hands on what it knows.
    told = data.get("recorded", data)
    try:
        if told.get("kind") not in KINDS:
            return None
        found = Design.from_json(told)
        if found.layout(range(0)) is None:
            return None
        same = (found.rows, found.n) == (rows, n)
        some = np.unique(np.linspace(0, rows - 1, LOOKED_AT).astype(np.int64))
        if same and np.array_equal(found.masks(some).data, given_masks(masks, some).data):
            return found
    except (InputError, TypeError, ValueError, KeyError, AttributeError, ArithmeticError) as error:
        warn_user(f"the design of the export is not known to this version ({error}): its pairs and seeds are not used")
        return None
    warn_user("the design of the export has drawn other masks than these: its pairs and seeds are not used")
    return None
