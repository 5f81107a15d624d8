"""What a guess is worth in models, and how many models and tables reach a score at the least cost.

A fit of m models that begins from a guess scores about what the LASSO does on m + w models, where w, the worth of the
guess, is the number of models at which the LASSO's curve has the LDS of the guess by itself. The LDS of a guess of K
models is a / sqrt(1 + c / K), for its tables are a signal and noise that is each model's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from subtrain.guesses import Guess
from subtrain.system.types import Floats
from subtrain.uses.kit.saturating_curve import needed

# Fits on fewer models, and guesses of more, have not been tried.
FEWEST, MOST_TABLES = 50, 200
# c, where the guesses of a study are all of one size: 0.6 to 1.2 on digits, Fashion-MNIST and CIFAR-10.
NOISE = 0.8


@dataclass(frozen=True)
class GuessWorth:
    """models: of the guess; lds: its LDS by itself; worth: models that the LASSO needs for that, inf where its curve
    never gets there; table: what a table costs, in trainings of a model, NaN where no seconds tell."""

    models: int
    lds: float
    worth: float
    table: float


@dataclass(frozen=True)
class Plan:
    """models: to fit on; guess: of how many of them tables are computed, 0 for the LASSO; trainings: the cost of models
    and tables, in trainings of a model."""

    models: float
    guess: int
    trainings: float


def worth(guess: Guess, lds: float, parameters: Floats, seconds: float) -> GuessWorth:
    """Of a guess with this LDS beside the LASSO's curve; seconds: of the training of a model, NaN if unknown."""
    table = (guess.meta.get("seconds_each") or np.nan) / seconds - 1
    return GuessWorth(guess.models, lds, needed(lds, parameters) if lds > 0 else 0.0, float(np.maximum(0.0, table)))


def cheapest(lds: float, parameters: Floats, guesses: Sequence[GuessWorth], table: float | None = None) -> Plan | None:
    """The plan of least cost for this LDS; None where nothing reaches it.

    table: cost of a table in trainings of a model, by default as the guesses tell; where they do not, only the LASSO is
    planned.
    """
    lasso = needed(lds, parameters)
    plans = [Plan(max(FEWEST, lasso), 0, max(FEWEST, lasso))] if np.isfinite(lasso) else []
    known = [each.table for each in guesses if np.isfinite(each.table)]
    cost = table if table is not None else float(np.median(known)) if known else np.nan
    if np.isfinite(cost) and any(each.lds > 0 for each in guesses):
        for count, alone in enumerate(_alone(guesses), start=1):
            more = 0.0 if alone >= lds else lasso - needed(float(alone), parameters)
            models = max(FEWEST, count, more)
            if np.isfinite(models):
                plans.append(Plan(models, count, models + count * cost))
    return min(plans, key=lambda plan: plan.trainings, default=None)


def best_within(trainings: float, parameters: Floats, guesses: Sequence[GuessWorth], table: float | None) -> float:
    """The largest LDS that costs so many trainings, to three digits; 0 if none does."""
    scores = np.arange(1, 1000) / 1000
    for lds in scores[::-1]:
        plan = cheapest(float(lds), parameters, guesses, table)
        if plan is not None and plan.trainings <= trainings:
            return float(lds)
    return 0.0


def _alone(guesses: Sequence[GuessWorth]) -> Floats:
    """LDS of guesses of 1, 2, … MOST_TABLES models by themselves."""
    some = [each for each in guesses if each.lds > 0]
    inverse = np.array([1 / each.models for each in some])
    loss = np.array([each.lds**-2.0 for each in some])
    slope = NOISE
    if np.unique(inverse).size > 1:
        line = np.polyfit(inverse, loss, 1)
        slope = float(np.clip(line[0] / max(line[1], 1e-9), 0.0, 10.0))
    level = float(np.mean(loss / (1 + slope * inverse)))
    return np.asarray((level * (1 + slope / np.arange(1, MOST_TABLES + 1))) ** -0.5)
