"""What it means that models of a study are missing, in a sentence."""

from __future__ import annotations

import numpy as np

from subtrain.collection.status import failed_models
from subtrain.designs.model_rows import EVALUATION, FIT
from subtrain.studies.stored_study import StoredStudy

# What models are that are left because others failed for what is in their subsets.
SELECTED = "a selected set"


def missing_models(study: StoredStudy, role: str) -> str:
    """Says how many of the models of a role ("fit", "evaluation") are missing, and how many of them failed.

    "" where none is, or where none failed: those are yet to be trained, and which they are has nothing to do with their
    subsets. Rows of an imported study that were never filled count as missing.
    """
    left_out = int(study.manifest.get("left_out", 0)) if study.imported and role == FIT else 0
    if left_out:
        return (
            f"{left_out:,} of {left_out + study.models:,} models had not ended where they were trained, and are missing"
            f": if that depends on their subsets, those that are left are {SELECTED}"
        )
    planned, there = study.design.role_rows(role), study.done(role)
    lacking = np.setdiff1d(planned, there)
    if not lacking.size:
        return ""
    what = f"{lacking.size:,} of {planned.size:,} models to {'judge' if role == EVALUATION else 'fit'} on are missing"
    if study.imported:
        return f"{what}: their rows were never filled"
    failed = np.isin([model.model for model in failed_models(study)], lacking).sum()
    if not failed:
        return ""
    return (
        f"{what}, {failed:,} because they failed: if that depends on who is in their subsets, those that are left are "
        f"{SELECTED}, and weights and scores are true of that set only (subtrain status says why they failed)"
    )
