"""How many models it takes to reach a score, and how long they take: the learning curve, carried on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from subtrain.collection.committed_segments import landed, trained
from subtrain.errors import InputError
from subtrain.evaluation import Interval, evaluate
from subtrain.formatting import duration, number
from subtrain.guesses import guess_names, load_guess
from subtrain.study import Study
from subtrain.system.machine import cores
from subtrain.system.types import Floats
from subtrain.uses.kit.question import question
from subtrain.uses.kit.result import Figure, Result, Table
from subtrain.uses.learning_curve import LEAST, LearningCurve, learning_curve

DRAWS, MOST = 100, 1e9
POINTS = 5
# Mean and standard deviation of what is believed beforehand: the limit over the noise ceiling, and how error falls.
LIMIT, STEEPNESS = (0.95, 0.08), (1.0, 0.3)


@dataclass(frozen=True, eq=False, repr=False)
class Budget(Result):
    """models: to fit on for an LDS of `lds` with the LASSO, with the 95 % interval of the curve's own error, inf where
    the curve never gets there; limit: where it goes; rate: models a second on this machine, NaN where no segment tells;
    guesses: by the name of each guess of the study, its models and its LDS by itself.
    """

    lds: float
    models: Interval
    limit: float
    have: int
    rate: float
    curve: LearningCurve
    parameters: Floats
    guesses: Mapping[str, tuple[int, float]] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """For the models that are not there yet."""
        return max(0.0, self.models.value - self.have) / self.rate if self.rate > 0 else float("nan")

    def finding(self) -> str:
        where = f"mean over {self.curve.targets} targets, {self.curve.subsets} held-out subsets x "
        where += f"{self.curve.replicates} runs"
        for name, (models, lds) in self.guesses.items():
            where += f"; the guess {name} of {models:,} models has an LDS of {number(lds)} by itself"
        if not np.isfinite(self.models.value):
            return f"LDS {self.lds:g} is out of reach: more models lead to about {number(self.limit)}; {where}"
        took = f", {duration(self.seconds)} on this machine" if np.isfinite(self.seconds) else ""
        low, high = (_about(value) for value in (self.models.low, self.models.high))
        return (
            f"to reach LDS {self.lds:g} you need about {_about(self.models.value)} models "
            f"[{low}, {high}]{took}; you have {self.have:,}; {where}"
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
    study: Study, lds: float, output: str | None = None, sizes: Sequence[int] | None = None, targets: int = 200
) -> Budget:
    """Read off the learning curve how many models it takes to reach an LDS; trains nothing.

    The curve is the LASSO's. Beside it stands the LDS of each of the study's guesses: a fit that begins from one scores
    more.

    Args:
        study: A study of 400 fit models or more, or fewer with `sizes`.
        lds: The LDS to reach, between 0 and 1.
        output: Name of the output; by default the study's first.
        sizes: Four or more numbers of models, each 50 or more; by default five up to all, each twice the one before.
        targets: Of more targets, so many are taken, evenly spaced.

    Returns:
        Budget: the models needed with their interval, and how long they take here.

    Raises:
        InputError: Where too few models are finished, or lds cannot be.

    Example:
        >>> found = st.budget(study, 0.8, sizes=[50, 70, 90, 120])
        >>> found.have
        120
    """
    if not 0 < lds < 1:
        raise InputError(f"lds must be between 0 and 1, got {lds}")
    have = study.done("fit").size
    wanted = sizes if sizes is not None else [have // 2**k for k in range(POINTS) if have // 2**k >= LEAST]
    least = 4
    if len(set(wanted)) < least:
        raise InputError(f"{have} models are too few to extend a learning curve: it needs {LEAST * 2 ** (least - 1)}")
    curve = learning_curve(study, wanted, output, targets)
    return replace(from_curve(curve, lds, have, machine_rate(study)), guesses=_guesses(study, curve.output))


def _guesses(study: Study, output: str) -> dict[str, tuple[int, float]]:
    """Models and LDS of each guess of this output."""
    found = {name: load_guess(study, name) for name in guess_names(study.store)}
    some = {name: guess for name, guess in found.items() if guess.meta.get("output") == output}
    return {name: (guess.models, evaluate(guess, study, output, bootstrap=0).lds.value) for name, guess in some.items()}


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


def fitted(models: Floats, value: Floats, error: Floats, most: float) -> Floats:
    """limit, models at which half of its square is reached, and steepness, by least squares.

    Few points far from the limit say little of it: beliefs, as weak as they are, keep it from following their noise.
    """
    from scipy.optimize import least_squares

    top = float(min(max(value.max(), 0.02), 0.99 * most))
    start = [min(1.1 * top, 0.99 * most), np.log(float(np.median(models))), 1.0]
    bounds = ([0.01, 0.0, 0.3], [most, np.log(MOST), 3.0])

    def off(p: Floats) -> Floats:
        beliefs = (p[0] / most - LIMIT[0]) / LIMIT[1], (p[2] - STEEPNESS[0]) / STEEPNESS[1]
        return np.append((lds_after(models, np.array([p[0], np.exp(p[1]), p[2]])) - value) / error, beliefs)

    p = least_squares(off, start, bounds=bounds).x
    return np.array([p[0], np.exp(p[1]), p[2]])


def lds_after(models: Floats, parameters: Floats) -> Floats:
    """limit / sqrt(1 + (half / m)^steepness): a correlation whose estimation error falls as a power of m."""
    limit, half, steepness = parameters
    return np.asarray(limit / np.sqrt(1.0 + (half / models) ** steepness))


def needed(lds: float, parameters: Floats) -> float:
    """Where the curve reaches lds; inf at or above its limit, and beyond a billion models."""
    limit, half, steepness = parameters
    if lds >= limit:
        return float("inf")
    found = float(half * ((limit / lds) ** 2 - 1.0) ** (-1.0 / steepness))
    return found if found < MOST else float("inf")


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
