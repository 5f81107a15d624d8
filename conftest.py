"""What the examples of docstrings share: a tiny study in memory, and datamodels of its test and training margins."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import pytest


@cache
def example() -> dict[str, Any]:
    """`study` has 30 digits, 120 models and 10 held-out subsets; `dm` predicts its test margins, `own` its training
    margins; `fast` are options that retrain in this process."""
    import subtrain as st

    outputs = ["test_margins", "test_logits", "train_margins"]
    task = st.tasks.digits(n=30, targets=8, epochs=5, widths=(), outputs=outputs)
    study = st.Study.create(":memory:", task, st.Design(models=120, heldout=10, replicates=3), segment=60)
    fast = {"engine": "inline", "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study.collect(**fast)
        return {"st": st, "study": study, "dm": study.fit(), "own": study.fit("train_margins"), "fast": fast}


@pytest.fixture(autouse=True)
def _example(request: pytest.FixtureRequest) -> None:
    """Give the examples of a module of the package what they share."""
    if isinstance(request.node, pytest.DoctestItem):
        request.getfixturevalue("doctest_namespace").update(example())
