"""What datamodels are worth on subsets they never saw, beside what seed noise allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from subtrain.designs.model_rows import EVALUATION, FIT, Rows, row_numbers
from subtrain.errors import InputError
from subtrain.evaluation_models import held_out
from subtrain.formatting import number
from subtrain.guesses import JudgedTable, Table
from subtrain.studies.stored_study import StoredStudy
from subtrain.system.notebook import html_table
from subtrain.system.user_warning import warn_user

if TYPE_CHECKING:
    from subtrain.datamodels import Datamodels

Array = NDArray[np.float64]
# A fit is weak below this share of its ceiling; below this LDS where the ceiling is not known.
WEAK, WEAK_ALONE = 0.5, 0.1
# Fit models from which on `subtrain budget` extends a learning curve: four sizes from 50, each twice the last.
FORECAST = 400


@dataclass(frozen=True)
class Interval:
    """An estimate with the 95 % interval of a bootstrap over held-out subsets and over targets."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return number(self.value) + (f" [{number(self.low)}, {number(self.high)}]" if self.low == self.low else "")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All figures are on held-out subsets. "mean" compares with the mean over a subset's replicates, "one" with single
    models (averaged over replicates). A ceiling is an upper bound of what a perfect predictor of the expected output
    would reach: right within .01 where outputs are normal, too high by .02 to .1 where they are skewed, heavy-tailed
    or saturated, by more where a few values are all there is (`ceilings`).

    lds: linear datamodeling score (Park et al. 2023): Spearman per target over subsets, mean over targets.
    pooled_*: one correlation over all (subset, target) pairs; it mostly reflects how targets differ from one another.
    baselines: the same score for trivial predictors. Per-target arrays have length T.
    targets_judged: over how many targets figures are means: those with a datamodel, and outputs that are finite and not
    all equal. models_fitted: 0 where the fit does not say it. notes: what was left out or is missing, in sentences.
    """

    output: str
    subsets: int
    replicates: int
    targets: int
    alpha: float
    models_fitted: int
    lds: Interval
    lds_ceiling: float
    lds_one: Interval
    lds_one_ceiling: float
    noise_share: float
    pearson: float
    mse: float
    mse_floor: float
    r2: float
    pooled_spearman: float
    pooled_pearson: float
    baselines: Mapping[str, Mapping[str, float]]
    per_target: Mapping[str, Array] = field(repr=False)
    targets_judged: int = 0
    notes: tuple[str, ...] = ()
    weak: str = ""

    @property
    def over(self) -> str:
        """Over which targets figures are means: "300 targets", or "280 of 300 targets"."""
        few = self.targets_judged < self.targets
        return f"{self.targets_judged:,} of {self.targets:,} targets" if few else f"{self.targets:,} targets"

    def __repr__(self) -> str:
        return (
            f"Evaluation({self.output}: LDS {self.lds}, {ceiling_said(self.lds_ceiling)}; per target, mean over "
            f"{self.over}, {self.subsets} held-out subsets x {self.replicates} runs; one run a subset: "
            f"LDS {self.lds_one}, {ceiling_said(self.lds_one_ceiling)})"
        ) + (f"; {self.weak}" if self.weak else "")

    def _repr_html_(self) -> str:
        runs = f"the mean of {self.replicates} runs" if self.replicates > 1 else "one run"
        rows = [(f"LDS against {runs}", self.lds, self.lds_ceiling)]
        rows += [("LDS against one run", self.lds_one, self.lds_one_ceiling)] if self.replicates > 1 else []
        columns = {"": [row[0] for row in rows], "95 % interval": [str(row[1]) for row in rows]}
        return html_table(repr(self), {**columns, "noise ceiling (upper bound)": [row[2] for row in rows]})

    def to_json(self) -> dict[str, Any]:
        """Plain numbers; a figure that does not exist (one replicate has no ceiling) is null."""
        skip = ("per_target",) if self.weak else ("per_target", "weak")
        return {k: plain(v) for k, v in vars(self).items() if k not in skip}


def evaluate(
    dm: Datamodels | Table,
    study: StoredStudy,
    output: str | None = None,
    rows: Rows | None = None,
    bootstrap: int = 500,
) -> Evaluation:
    """Compare the predictions of datamodels with the outputs of evaluation models that they never saw.

    A table of influence by any method is judged in the same way: its LDS and correlations, beside the same ceiling. Its
    errors are NaN, for it has no scale.

    Models with the mask of one that was fitted on, and models and targets that are not finite, are left out: each is
    counted in a warning and in `notes`, as are models that are missing because they failed.

    Args:
        dm: Datamodels over the study's units; or a guess, or a table [n, T], as an array or the path of a .npy file.
        study: The study whose evaluation models are compared with.
        output: Name of the output; by default the one that they were fitted on.
        rows: Numbers of the models to compare with; by default all evaluation models that are finished.
        bootstrap: Resamples for the intervals; 0: none.

    Returns:
        Evaluation: LDS with its interval and ceiling, and other figures, each a mean over targets.

    Raises:
        InputError: When `rows` holds a model that was used in fitting or in choosing λ, when there are fewer than three
            evaluation subsets, or when n or T do not fit.

    Example:
        >>> found = st.evaluate(dm, study)
        >>> found.subsets, found.replicates, found.targets
        (10, 3, 8)
    """
    judged: Any = dm
    if not hasattr(dm, "predict"):
        judged = JudgedTable.of(dm, study, output)
    found = _evaluation(judged, study, output or judged.meta.get("output"), rows, bootstrap)
    if judged is dm:
        return found
    none = float("nan")
    baselines = {name: {**scores, "mse": none} for name, scores in found.baselines.items()}
    each = {**found.per_target, "mse": np.full(found.targets, none)}
    return replace(
        found, mse=none, r2=none, pooled_spearman=none, pooled_pearson=none, baselines=baselines, per_target=each
    )


def _evaluation(
    dm: Datamodels, study: StoredStudy, output: str | None, rows: Rows | None, bootstrap: int
) -> Evaluation:
    output = output or next(iter(study.outputs))
    if dm.n != study.n:
        raise InputError(f"these datamodels are over {dm.n} units, the study over {study.n}")
    index = study.done(EVALUATION) if rows is None else np.unique(row_numbers(rows, study.models))
    heldout = held_out(dm, study, index, output)
    index, subsets, replicates = heldout.rows, heldout.subsets, heldout.replicates
    for note in heldout.notes:
        warn_user(note)
    masks = study.masks(index[::replicates])
    alpha = float(np.mean(study.design.alpha))
    constant = dm.bias + alpha * dm.weight.sum(axis=0, dtype=np.float64)
    shuffled = replace(dm, weight=dm.weight[np.random.default_rng(0).permutation(dm.n)])
    found = score(
        dm.predict(masks),
        heldout.outputs,
        output=output,
        alpha=alpha,
        models_fitted=int(dm.meta.get("models", 0)),
        bootstrap=bootstrap,
        baselines={
            "predicting the mean": np.broadcast_to(constant, (subsets, dm.targets)),
            "random weights": shuffled.predict(masks),
        },
        left_out=heldout.left_out,
    )
    return replace(
        found,
        notes=heldout.notes,
        weak=weakness(found.lds.value, found.lds_ceiling, study.location, study.done(FIT).size),
    )


def ceiling_said(ceiling: float) -> str:
    """A noise ceiling in words: it is an upper bound, close where outputs are normal, else up to .1 too high."""
    return f"ceiling (upper bound) {ceiling:.3f}" if np.isfinite(ceiling) else "ceiling unknown"


def weakness(lds: float, ceiling: float, study: str, models: int | None = None) -> str:
    """One line for a fit of which little is to be believed; "" for others. models: finished fit models, if known."""
    known = ceiling == ceiling
    if not lds < (WEAK * ceiling if known else WEAK_ALONE):
        return ""
    most = f"at most {ceiling:.3f}" if known else "an unknown ceiling (one run a subset)"
    more = f" (`subtrain budget {study}`)" if models is None or models >= FORECAST else ""
    return f"weak fit: LDS {lds:.3f} of {most}: collect more{more}"


def score(
    prediction: Array,
    outputs: Array,
    *,
    baselines: Mapping[str, Array] | None = None,
    output: str = "",
    alpha: float = float("nan"),
    models_fitted: int = 0,
    bootstrap: int = 500,
    seed: int = 0,
    left_out: NDArray[np.int64] | None = None,
) -> Evaluation:
    """Judge predictions [S, T] against outputs [S, R, T]: R replicates of S held-out subsets.

    left_out: targets that no figure counts; theirs are NaN.
    """
    s, r, t = outputs.shape
    if prediction.shape != (s, t):
        raise InputError(f"predictions must be [{s}, {t}] for outputs {[s, r, t]}, got {list(prediction.shape)}")
    if left_out is not None and left_out.size:
        kept = np.setdiff1d(np.arange(t), left_out)
        some = {name: p[:, kept] for name, p in (baselines or {}).items()}
        about = {"output": output, "alpha": alpha, "models_fitted": models_fitted, "bootstrap": bootstrap, "seed": seed}
        found = score(prediction[:, kept], outputs[:, :, kept], baselines=some, **about)  # type: ignore[arg-type]
        each = {name: np.full(t, np.nan) for name in found.per_target}
        for name, values in found.per_target.items():
            each[name][kept] = values
        return replace(found, targets=t, per_target=each)
    mean = outputs.mean(axis=1)
    ranks = rank(prediction)
    against_mean = [rank(mean)]
    against_one = [rank(outputs[:, k]) for k in range(r)]
    ceiling_mean, ceiling_one, noise = ceilings(np.stack(against_one, axis=1))
    error = ((prediction - mean) ** 2).mean(axis=0)
    spread = mean.var(axis=0)
    rank_correlation = correlation(ranks, against_mean[0])
    flat_prediction, flat_mean = prediction.reshape(-1, 1), mean.reshape(-1, 1)
    return Evaluation(
        output=output,
        subsets=s,
        replicates=r,
        targets=t,
        alpha=alpha,
        models_fitted=models_fitted,
        lds=_interval(ranks, against_mean, bootstrap, seed),
        lds_ceiling=_mean(ceiling_mean),
        lds_one=_interval(ranks, against_one, bootstrap, seed),
        lds_one_ceiling=_mean(ceiling_one),
        noise_share=_mean(noise),
        pearson=_mean(correlation(prediction, mean)),
        mse=float(error.mean()),
        mse_floor=float((outputs.var(axis=1, ddof=1) / r).mean()) if r > 1 else float("nan"),
        r2=_mean(np.where(spread > 0, 1 - error / np.where(spread > 0, spread, 1), np.nan)),
        pooled_spearman=float(correlation(rank(flat_prediction), rank(flat_mean))[0]),
        pooled_pearson=float(correlation(flat_prediction, flat_mean)[0]),
        baselines={
            name: {"lds": _mean(correlation(rank(p), against_mean[0])), "mse": float(((p - mean) ** 2).mean())}
            for name, p in (baselines or {}).items()
        },
        per_target={
            "lds": rank_correlation,
            "lds_ceiling": ceiling_mean,
            "lds_one": np.mean([correlation(ranks, one) for one in against_one], axis=0),
            "lds_one_ceiling": ceiling_one,
            "mse": error,
            "mean": mean.mean(axis=0),
        },
        targets_judged=int(np.count_nonzero(np.isfinite(rank_correlation))),
    )


def ceilings(ranks: Array) -> tuple[Array, Array, Array]:
    """What a perfect predictor of the expected output would score, from R replicates [S, R, T] of S subsets.

    One-way variance components per target on ranks within each replicate: with between-subset variance v and
    seed variance e, the correlation with the mean of R runs is at most sqrt(v / (v + e / R)). Returns the ceiling
    against the mean of R, against one run, and the noise share e / (v + e), each [T]; NaN when R = 1.
    """
    _, r, t = ranks.shape
    if r < 2:
        return (np.full(t, np.nan),) * 3
    within = ranks.var(axis=1, ddof=1).mean(axis=0)
    between = np.maximum(ranks.mean(axis=1).var(axis=0, ddof=1) - within / r, 0)
    with np.errstate(invalid="ignore"):
        of_mean, of_one = between / (between + within / r), between / (between + within)
        return np.sqrt(of_mean), np.sqrt(of_one), 1 - of_one


def rank(values: Array) -> Array:
    """Ranks down each column, ties sharing their mean."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(values, axis=0), np.float64)


def correlation(a: Array, b: Array, weights: Array | None = None) -> Array:
    """Pearson correlation of matching columns [S, T]: 0 where `a` is constant, NaN where `b` is.

    weights [B, S]: how often each row counts in each of B resamples; the result is then [B, T].
    """
    w = np.ones((1, len(a))) if weights is None else weights
    w = w / w.sum(axis=1, keepdims=True)
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    mean_a, mean_b = w @ a, w @ b
    var_a, var_b = w @ a**2 - mean_a**2, w @ b**2 - mean_b**2
    covariance = w @ (a * b) - mean_a * mean_b
    tiny_a, tiny_b = (1e-12 * (x**2).max(axis=0, initial=0) for x in (a, b))
    good_a, good_b = var_a > tiny_a, var_b > tiny_b
    r = covariance / np.sqrt(np.where(good_a & good_b, var_a * var_b, 1))
    r = np.where(good_b, np.where(good_a, r, 0.0), np.nan)
    return r[0] if weights is None else r


def _interval(ranks: Array, against: list[Array], bootstrap: int, seed: int) -> Interval:
    """Mean rank correlation over targets, with the percentile interval over resampled subsets and targets."""
    value = _mean(np.mean([correlation(ranks, one) for one in against], axis=0))
    if bootstrap < 1 or np.isnan(value):
        return Interval(value, float("nan"), float("nan"))
    random = np.random.default_rng(seed)
    s, t = ranks.shape
    subsets = random.multinomial(s, np.full(s, 1 / s), size=bootstrap).astype(np.float64)
    drawn = np.mean([correlation(ranks, one, subsets) for one in against], axis=0)
    targets = random.multinomial(t, np.full(t, 1 / t), size=bootstrap).astype(np.float64)
    there = np.isfinite(drawn)
    means = (np.where(there, drawn, 0) * targets).sum(axis=1) / np.maximum((there * targets).sum(axis=1), 1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(value, float(low), float(high))


def _mean(values: Array) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def plain(value: Any) -> Any:
    """As JSON has it: intervals as dicts, figures that do not exist as null."""
    if isinstance(value, Interval):
        return {k: plain(v) for k, v in vars(value).items()}
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, float):
        return float(value) + 0.0 if np.isfinite(value) else None
    return list(value) if isinstance(value, tuple) else value
