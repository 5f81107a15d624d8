"""Retraining in this process: workers would take longer to start than a planted world takes to answer."""

from __future__ import annotations

import pytest

from subtrain.collection import train_segment
from subtrain.uses import retrain


@pytest.fixture
def trained_here(monkeypatch):
    """Every `retrain` of the test trains without workers; the list that is returned counts the models of each call."""
    calls = []

    def collect(study, progress=True, **options):
        missing = [where for where in study.segments if where not in study.rows.whole()]
        calls.append(sum(stop - start for start, stop in missing))
        for where in missing:
            train_segment(study, where)

    monkeypatch.setattr(retrain, "collect", collect)
    return calls
