"""How many models it takes to reach a score, how long they take, and what a guess saves of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from subtrain.collection.committed_segments import landed, trained
from subtrain.errors import InputError
from subtrain.evaluation import FORECAST, Interval, evaluate
from subtrain.formatting import duration, number
from subtrain.guesses import guess_names, load_guess
from subtrain.study import Study
from subtrain.system.machine import cores
from subtrain.system.types import Floats
from subtrain.uses.kit.guess_plan import GuessWorth, Plan, best_within, cheapest, worth
from subtrain.uses.kit.question import question
from subtrain.uses.kit.result import Figure, Result, Table
from subtrain.uses.kit.saturating_curve import fitted, lds_after, needed
from subtrain.uses.learning_curve import LearningCurve, curve_sizes, learning_curve

DRAWS, POINTS = 100, 5


@dataclass(frozen=True, eq=False, repr=False)
class Budget(Result):
    """models: to fit on for an LDS of `lds` with the LASSO, with the 95 % interval of the curve's own error, inf where
    the curve never gets there; limit: where it goes; rate: models a second on this machine, NaN where no segment tells;
    guesses: what each guess of the study is worth, by its name; plan: models and tables of least cost for that LDS,
    None where there is no guess, or none that helps.
    """

    lds: float
    models: Interval
    limit: float
    have: int
    rate: float
    curve: LearningCurve
    parameters: Floats
    guesses: Mapping[str, GuessWorth] = field(default_factory=dict)
    plan: Plan | None = None

    @property
    def seconds(self) -> float:
        """For the models that are not there yet."""
        return max(0.0, self.models.value - self.have) / self.rate if self.rate > 0 else float("nan")

    def finding(self) -> str:
        where = f"mean over {self.curve.targets} targets, {self.curve.subsets} held-out subsets x "
        where += f"{self.curve.replicates} runs{self._of_guesses()}"
        where += f"; {self.curve.sets}, and other designs have other curves" if self.curve.sets else ""
        if not np.isfinite(self.models.value):
            return f"LDS {self.lds:g} is out of reach: more models lead to about {number(self.limit)}; {where}"
        took = f", {duration(self.seconds)} on this machine" if np.isfinite(self.seconds) else ""
        low, high = (_about(value) for value in (self.models.low, self.models.high))
        return (
            f"to reach LDS {self.lds:g} you need about {_about(self.models.value)} models "
            f"[{low}, {high}]{took}; you have {self.have:,} to fit on; {where}"
        )

    def _of_guesses(self) -> str:
        said = ""
        for name, guess in self.guesses.items():
            said += f"; the guess {name} of {guess.models:,} models has an LDS of {number(guess.lds)} by itself, which "
            many = np.isfinite(guess.worth)
            said += f"takes the LASSO about {_about(guess.worth)} models" if many else "the LASSO does not reach"
        if self.plan is None or not self.plan.guess:
            return said
        plan, rate = self.plan, self.rate
        took = f", {duration(plan.trainings / rate)} on this machine" if rate > 0 else ""
        return (
            f"{said}; a new study reaches LDS {self.lds:g} at the least cost with about {_about(plan.models)} models "
            f"and a guess of {plan.guess}: as much as {_about(plan.trainings)} trainings{took}"
        )

    def predicted(self, models: float | Floats) -> Floats:
        """LDS after so many models."""
        return lds_after(np.asarray(models, np.float64), self.parameters)

    def table(self) -> Table:
        """A row a size: LDS measured with its 95 % interval, and predicted by the fitted curve."""
        measured = self.curve.table()
        columns = {name: measured[name] for name in ("models", "lds", "low", "high")}
        return columns | {"predicted": self.predicted(measured["models"])}

    def figure(self) -> Figure:
        """The measured curve with its intervals, carried on to the models needed."""
        picture, table = self.curve.figure(), self.table()
        axes = picture.axes[0]
        end = self.models.value if np.isfinite(self.models.value) else 10.0 * self.have
        line = np.geomspace(table["models"][0], max(end, self.have) * 1.5, 100)
        axes.plot(line, self.predicted(line), color="grey", label="fitted curve")
        axes.axhline(self.lds, linestyle=":", color="C3", label=f"LDS {self.lds:g}")
        axes.legend(frameon=False)
        return picture


@question
def budget(
    study: Study,
    lds: float | None = None,
    output: str | None = None,
    sizes: Sequence[int] | None = None,
    targets: int = 200,
    *,
    seconds: float | None = None,
    table_cost: float | None = None,
) -> Budget:
    """Read off the learning curve how many models it takes to reach an LDS; trains nothing.

    The curve is the LASSO's. Beside it stands what each of the study's guesses is worth in models, and how many models
    and tables of a guess reach the LDS at the least cost.

    Args:
        study: A study of 400 fit models or more, or fewer with `sizes`.
        lds: The LDS to reach, between 0 and 1.
        output: Name of the output; by default the study's first.
        sizes: Four or more numbers of models, each 50 or more; by default five up to all, each twice the one before, or
            whole sets of a paley or cyclotomic design.
        targets: Of more targets, so many are taken, evenly spaced.
        seconds: Instead of lds: the time that a new study may take on this machine.
        table_cost: Cost of an influence table, in trainings of a model; by default as the study's guesses tell.

    Returns:
        Budget: the models needed with their interval, and how long they take here.

    Raises:
        InputError: Where too few models are finished, or lds cannot be.

    Example:
        >>> found = st.budget(study, 0.8, sizes=[50, 70, 90, 120])
        >>> found.have
        120
    """
    _check(lds, seconds, table_cost)
    have = study.done("fit").size
    wanted = sizes if sizes is not None else curve_sizes(study, have, POINTS)
    least = 4
    if len(set(wanted)) < least:
        raise InputError(
            f"{have} models are too few to extend a learning curve: it needs {FORECAST} to fit on; "
            f"subtrain extend {study.location} --models N adds some"
        )
    curve, rate = learning_curve(study, wanted, output, targets), machine_rate(study)
    found = from_curve(curve, 0.5 if lds is None else lds, have, rate)
    guesses = _guesses(study, curve.output, found.parameters, cores() / rate)
    if lds is None:
        assert seconds is not None
        if not rate > 0:
            raise InputError(
                f"no segment of {study.location} tells how long a model takes: give lds instead of seconds"
            )
        lds = best_within(seconds * rate, found.parameters, list(guesses.values()), table_cost)
        if not lds:
            raise InputError(f"{duration(seconds)} is less than a few models take: give more seconds")
        found = from_curve(curve, lds, have, rate)
    plan = cheapest(lds, found.parameters, list(guesses.values()), table_cost) if guesses else None
    return replace(found, guesses=guesses, plan=plan)


def _check(lds: float | None, seconds: float | None, table_cost: float | None) -> None:
    if (lds is None) == (seconds is None):
        raise InputError("give either lds, the score to reach, or seconds, the time that there is")
    if lds is not None and not 0 < lds < 1:
        raise InputError(f"lds must be between 0 and 1, got {lds}")
    if seconds is not None and not seconds > 0:
        raise InputError(f"seconds must be above 0, got {seconds}")
    if table_cost is not None and not 0 <= table_cost < np.inf:
        raise InputError(f"table_cost must be a number of trainings, 0 or more, got {table_cost}")


def _guesses(study: Study, output: str, parameters: Floats, seconds: float) -> dict[str, GuessWorth]:
    """What each guess of this output is worth; seconds: of the training of a model."""
    found = {name: load_guess(study, name) for name in guess_names(study.store)}
    return {
        name: worth(guess, evaluate(guess, study, output, bootstrap=0).lds.value, parameters, seconds)
        for name, guess in found.items()
        if guess.meta.get("output") == output
    }


def from_curve(curve: LearningCurve, lds: float, have: int, rate: float = float("nan")) -> Budget:
    """The same from a curve that is there."""
    models = np.array([p.models for p in curve.points], np.float64)
    value = np.array([p.lds.value for p in curve.points])
    width = np.array([p.lds.high - p.lds.low for p in curve.points]) / (2 * 1.96)
    error = np.where(np.isfinite(width) & (width > 0), width, 0.01)
    ceiling = curve.points[-1].ceiling
    most = ceiling if np.isfinite(ceiling) and ceiling > 0 else 1.0
    best = fitted(models, value, error, most)
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        # Subsets and targets are the same at every size: most of the error is common to the whole curve.
        common, own = random.normal(), random.normal(size=value.size)
        drawn.append(needed(lds, fitted(models, value + error * (0.9 * common + 0.8 * own), error, most)))
    low, high = np.percentile(drawn, [2.5, 97.5], method="nearest")
    found = Interval(needed(lds, best), float(low), float(high))
    return Budget(lds, found, float(best[0]), have, rate, curve, best)


def machine_rate(study: Study) -> float:
    """Models a second with a worker on every core, at the median time a model took; NaN where none is known."""
    seconds = [one.seconds_each for one in trained(study, landed(study)) if one.seconds_each > 0]
    return cores() / float(np.median(seconds)) if seconds else float("nan")


def _about(models: float) -> str:
    """Two digits are all that a curve can tell."""
    if not np.isfinite(models):
        return "out of reach"
    digits = max(0, int(np.floor(np.log10(max(models, 1.0)))) - 1)
    return f"{round(models, -digits):,.0f}"
