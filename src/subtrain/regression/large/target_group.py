"""The paths of a few targets over many units: a working set, counted and solved, and passes that certify it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from subtrain.regression.counting.count_stream import count
from subtrain.regression.counting.counts import Counts
from subtrain.regression.counting.threads import Progress, thread_count
from subtrain.regression.large.mask_passes import MaskColumns, Source, correlate
from subtrain.regression.large.options import Entry, LargePath, Layout
from subtrain.regression.lasso.lambda_choice import LassoOptions
from subtrain.regression.lasso.path import solve_at
from subtrain.regression.lasso.path_stopping import ended, floors, stopping
from subtrain.regression.lasso.problem import lambda_grid, problem
from subtrain.system.types import Floats

# Units scored at a time.
SOME = 65_536
# Passes for one stretch of lambdas, at most.
ROUNDS = 50


class TargetGroup:
    """Targets that are solved together: their outputs, and the working set that they share."""

    def __init__(
        self,
        source: Source,
        y: Floats,
        validation: tuple[Source, Floats] | None,
        rules: LassoOptions,
        layout: Layout,
        n: int,
    ) -> None:
        self.source, self.y, self.rules, self.layout, self.n = source, y, rules, layout, n
        self.targets = y.shape[1]
        self.y_mean = y.mean(axis=0)
        constant = y.min(axis=0) == y.max(axis=0)
        self.variance = np.where(constant, 0.0, np.square(y - self.y_mean).mean(axis=0))
        self.columns = MaskColumns(source, len(y))
        self.validation = (
            None if validation is None else (MaskColumns(validation[0], len(validation[1])), validation[1])
        )
        validating = 0 if validation is None else len(validation[1])
        free = n if rules.penalty is None else int(np.isfinite(rules.penalty).sum())
        self.stop = stopping(rules.early_stop, len(y), free, validating)
        self.units = np.zeros(0, np.int64)
        self.counts: Counts | None = None
        self.passes = 0
        self.most = 0

    def solve(
        self, lambdas: int | ArrayLike, eps: float, progress: Progress | None, start: list[Entry] | None = None
    ) -> LargePath:
        """Every target's path; start: weights of each that the first lambda begins with."""
        sums = np.empty((self.n, max(self.targets * self.layout.ahead, self.targets + 1)))
        self._first_pass(sums)
        slopes = sums[:, : self.targets]
        before = np.where(self.variance > 0, self._score(slopes), 0.0)
        self.free = before > 0
        grid = lambda_grid(lambdas, before, eps)
        self.floor = floors(grid, before)
        found = self._nothing_found(grid)
        weight = self._begun(start or [])
        first, k, ahead = 0, grid.shape[1], self.layout.ahead
        while first < k and self.free.any() and not self._judged_enough(found, first):
            steps = slice(first, min(first + ahead, k))
            last = grid[:, steps.stop - 1]
            if first or not start:
                self._admit(slopes, np.where(self.free, np.maximum(2 * last - before, 0.5 * last), np.inf))
            weight, full = self._stretch(grid[:, steps], self._widened(weight), sums, found, steps)
            if full and ahead > 1:
                ahead = 1  # Fewer lambdas at a time need fewer units.
                continue
            if full:
                found = replace(found, full=True)
                break
            slopes = sums[:, self.targets * (steps.stop - 1 - first) :][:, : self.targets]
            before, first = last, steps.stop
            if progress:
                progress("path", first * self.targets, k * self.targets)
        found.best[:] = self._best(found)
        return replace(found, passes=self.passes, working=self.most)

    def _begun(self, start: list[Entry]) -> Floats:
        """Weights [T, size] to begin with, whose units join the working set as far as it has room."""
        units = np.unique(np.concatenate([np.zeros(0, np.int64), *(units for units, _ in start)]))
        self._join(units[: self.layout.working])
        weight = np.zeros((self.targets, self.units.size))
        for t, (mine, values) in enumerate(start):
            there = np.isin(mine, self.units)
            weight[t, np.searchsorted(self.units, mine[there])] = values[there]
        return weight

    def _nothing_found(self, grid: Floats) -> LargePath:
        """All-zero weights, which are exact for a constant target."""
        k, unsolved = grid.shape[1], np.where(self.free, np.nan, 0.0)
        return LargePath(
            n=self.n,
            lambdas=grid,
            bias=np.tile(self.y_mean[:, None], (1, k)),
            gap=np.tile(unsolved[:, None], (1, k)),
            error=np.full(grid.shape, np.nan),
            best=np.zeros(self.targets, np.int64),
            entries=[[(np.zeros(0, np.int64), np.zeros(0))] * k for _ in range(self.targets)],
            passes=0,
            working=0,
            full=False,
            constant=self.constant,
        )

    def _best(self, found: LargePath) -> NDArray[np.int64]:
        if self.validation is None:
            last = np.isfinite(found.gap).sum(axis=1) - 1
        else:
            last = np.argmin(np.where(np.isnan(found.error), np.inf, found.error), axis=1)
        return np.where(self.free, np.maximum(last, 0), 0)

    def _judged_enough(self, found: LargePath, first: int) -> bool:
        if self.validation is None or first == 0:
            return False
        best, last = self._best(found), first - 1
        least = found.error[np.arange(self.targets), best]
        over = ended(self.stop, last - np.maximum(best, self.floor), found.error[:, last], least)
        return bool(np.all(over[self.free]))

    def _stretch(
        self, lams: Floats, weight: Floats, sums: Floats, found: LargePath, steps: slice
    ) -> tuple[Floats, bool]:
        """Solve some lambdas [T, L] and keep what is certified; the last one's weights, and whether the set is full."""
        ahead = lams.shape[1]
        weights = [weight] * ahead
        bias = np.empty((ahead, self.targets))
        for _ in range(ROUNDS):
            for step in range(ahead):
                weights[step], bias[step] = self._solve(lams[:, step], self._widened(weights[step]))
            gap, slopes = self._certify(lams, np.stack(weights), bias, sums)
            missed = (gap > self.rules.tol) & self.free
            if not missed.any():
                break
            cut = np.where(missed, lams.T, np.inf).ravel()
            if not self._admit(slopes, cut):
                used = np.any(weights, axis=(0, 1))
                if self.units.size < self.layout.working:
                    break  # No unit is left out wrongly: the solver itself missed the tolerance.
                if used.all():
                    return weights[-1], True
                self._drop(used)
                weights = [w[:, used] for w in weights]
                self._admit(slopes, cut)
        self._record(found, steps, weights, bias, gap)
        return weights[-1], False

    def _solve(self, lam: Floats, start: Floats) -> tuple[Floats, Floats]:
        if not self.units.size:
            return start, self.y_mean
        if self.counts is None:
            self.counts = count(self.columns.masks, self.y, self.rules.threads)
        rules = self.rules
        penalty = None if rules.penalty is None else rules.penalty[self.units]
        path = solve_at(self.counts, lam, start, **(rules.solving | {"penalty": penalty, "tol": rules.tol / 4}))
        return path.weight, path.bias

    def _certify(self, lams: Floats, weights: Floats, bias: Floats, sums: Floats) -> tuple[Floats, Floats]:
        """Relative duality gaps [L, T] from the residuals and one pass, and the slopes [n, L T] of all units."""
        left = np.empty((len(self.y), bias.size))
        for rows, product in self.columns.predict(weights.reshape(bias.size, -1).T):
            left[rows] = np.tile(self.y[rows], len(bias)) - bias.ravel() - product
        slopes = sums[:, : bias.size]
        self._correlate(left, slopes)
        self._center(slopes, left.sum(axis=0))
        centered = np.tile(self.y - self.y_mean, len(bias))
        fitted, residual = (np.einsum("mc,mc->c", left, other) / len(left) for other in (centered, left))
        bound = lams.T.ravel()
        excess = np.maximum(self._score(slopes) / np.where(bound > 0, bound, np.inf), 1.0)
        factor, inverse = self.factor[self.units], self.inverse[self.units]
        l1 = (
            bound * (np.abs(weights) @ np.divide(factor, inverse, out=np.zeros_like(factor), where=inverse > 0)).ravel()
        )
        best = np.divide(fitted, residual, out=np.ones_like(fitted), where=residual > 0)
        dual = np.clip(best, 0.0, 1.0 / excess)
        gap = np.maximum(0.5 * residual + l1 - dual * fitted + 0.5 * dual**2 * residual, 0.0)
        variance = np.tile(self.variance, len(bias))
        relative = np.divide(2.0 * gap, variance, out=np.zeros_like(gap), where=variance > 0)
        return relative.reshape(bias.shape), slopes

    def _record(self, found: LargePath, steps: slice, weights: list[Floats], bias: Floats, gap: Floats) -> None:
        found.bias[:, steps], found.gap[:, steps] = bias.T, np.where(self.free, gap, 0.0).T
        for step, weight in enumerate(weights):
            for t in range(self.targets):
                used = np.flatnonzero(weight[t])
                found.entries[t][steps.start + step] = (self.units[used], weight[t, used])
        if self.validation is None:
            return
        columns, y = self.validation
        square = np.zeros(bias.size)
        for rows, product in columns.predict(np.stack(weights).reshape(bias.size, -1).T):
            square += np.square(np.tile(y[rows], len(bias)) - bias.ravel() - product).sum(axis=0)
        found.error[:, steps] = (square / len(y)).reshape(bias.shape).T

    def _widened(self, weight: Floats) -> Floats:
        """Weights with zeros for the units that have joined since."""
        return np.pad(weight, ((0, 0), (0, self.units.size - weight.shape[1])))

    def _first_pass(self, sums: Floats) -> None:
        """How often each unit is in; slopes at the all-zero weights are left in sums[:, :targets]."""
        values = np.concatenate([self.y - self.y_mean, np.ones((len(self.y), 1))], axis=1)
        out = sums[:, : self.targets + 1]
        self._correlate(values, out)
        ones = np.rint(out[:, self.targets]).astype(np.int64)
        none = np.zeros(0)
        counts = Counts(len(self.y), self.n, np.zeros((0, 0), np.int32), ones, np.zeros((self.n, 0)), *(none,) * 4)
        self.constant = np.flatnonzero((ones == 0) | (ones == len(self.y)))
        plan = problem(counts, self.rules.objective, self.rules.penalty)
        self.mean, self.inverse = plan.mean, plan.inverse
        self.factor = np.where(plan.penalty > 0, plan.penalty, 1.0)
        self._center(out[:, : self.targets], values[:, : self.targets].sum(axis=0))

    def _correlate(self, values: Floats, out: Floats) -> None:
        correlate(self.source, values, out, thread_count(self.rules.threads))
        self.passes += 1

    def _center(self, sums: Floats, totals: Floats) -> None:
        """Turn sums over models into slopes over the units' penalties, in place."""
        for start in range(0, self.n, SOME):
            at = slice(start, start + SOME)
            sums[at] -= np.outer(self.mean[at], totals)
            sums[at] *= (self.inverse[at] / self.factor[at] / len(self.y))[:, None]

    def _score(self, slopes: Floats) -> Floats:
        """The largest slope [C], in size unless weights must be positive: the least lambda that they fit."""
        top = np.zeros(slopes.shape[1])
        for start in range(0, self.n, SOME):
            part = slopes[start : start + SOME]
            np.maximum(top, (part if self.rules.positive else np.abs(part)).max(axis=0), out=top)
        return top

    def _admit(self, slopes: Floats, cut: Floats) -> int:
        """Add the units whose slope is above the cut [C] of any column, the furthest above first; how many."""
        found, above = [], []
        inside = np.zeros(self.n, np.bool_)
        inside[self.units] = True
        for start in range(0, self.n, SOME):
            part = slopes[start : start + SOME]
            ratio = ((part if self.rules.positive else np.abs(part)) / cut).max(axis=1)
            new = np.flatnonzero((ratio > 1.0) & ~inside[start : start + SOME])
            found.append(new + start)
            above.append(ratio[new])
        units, ratios = np.concatenate(found), np.concatenate(above)
        room = min(self.layout.working - self.units.size, max(1024, self.units.size))
        if units.size > room:
            units = units[np.argpartition(-ratios, room - 1)[:room]] if room > 0 else units[:0]
        self._join(np.sort(units))
        return int(units.size)

    def _join(self, units: NDArray[np.int64]) -> None:
        """Add these units, ascending, to the working set."""
        if not units.size:
            return
        self.units = np.concatenate([self.units, units])
        for columns in self._tables():
            columns.add(units)
        self.counts = None
        self.most = max(self.most, self.units.size)

    def _drop(self, kept: NDArray[np.bool_]) -> None:
        self.units = self.units[kept]
        for columns in self._tables():
            columns.keep(kept)
        self.counts = None

    def _tables(self) -> list[MaskColumns]:
        return [self.columns] if self.validation is None else [self.columns, self.validation[0]]
