"""Every estimator of the registry keeps the contract, and the suite notices one that does not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from subtrain.regression import ESTIMATORS, Ridge
from subtrain.testing.estimators import CHECKS, check_estimator


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_every_estimator_keeps_the_contract(name: str, check) -> None:
    check(ESTIMATORS[name]())


@dataclass(eq=False, repr=False)
class Drifting(Ridge):
    """Changes a parameter whenever it is fitted."""

    def estimate(self, train, validation, total, progress):
        self.eps *= 1.1
        return super().estimate(train, validation, total, progress)


@dataclass(eq=False, repr=False)
class Scaled(Ridge):
    """Its weights depend on the other targets, which it does not declare."""

    def estimate(self, train, validation, total, progress):
        found = super().estimate(train, validation, total, progress)
        object.__setattr__(found, "weight", found.weight / np.abs(found.weight).max())
        return found


@dataclass(eq=False, repr=False)
class Dense(Ridge):
    sparse = True


@dataclass(eq=False, repr=False)
class Silent(Ridge):
    reads = "everything"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Drifting(), "changes the parameters"),
        (Scaled(), "a target alone is fitted differently"),
        (Dense(), "declared sparse"),
        (Silent(), "reads must be one of"),
    ],
)
def test_the_suite_notices(wrong, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_estimator(wrong)
