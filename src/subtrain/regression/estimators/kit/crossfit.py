"""Candidates compared on models that chose nothing of them: half of the validation models choose, half score.

The least error of a hundred lambdas on some models is lower than the error there of what has no lambda to choose,
though it may predict worse; so each half of the models chooses for the other half.
"""

from __future__ import annotations

import numpy as np

from subtrain.errors import InputError
from subtrain.regression.counting.counts import Counts
from subtrain.regression.counting.threads import Progress
from subtrain.regression.estimators.kit.dense_problem import dense
from subtrain.regression.estimators.ridge import Ridge, decompose, ridge_grid
from subtrain.regression.lasso.lambda_choice import LassoOptions, of_targets
from subtrain.regression.lasso.path import lasso_path
from subtrain.regression.lasso.problem import problem
from subtrain.regression.lasso.target_blocks import block_size, target_blocks
from subtrain.regression.lasso.validation_error import ValidationModels
from subtrain.system.types import Floats

# ValidationModels at least, and targets whose predictions at every lambda are held together.
LEAST, TOGETHER = 4, 64


class Bench:
    """Validation models at hand, in two halves of consecutive models.

    A subset and its complement are neighbors, so they stay in one half.
    """

    def __init__(self, models: ValidationModels) -> None:
        if models.m < LEAST:
            raise InputError(
                f"choosing between candidates needs at least {LEAST} validation models, got {models.m}: give more, or "
                "choose yourself: ranks=(1,), lasso=False, validation=None"
            )
        self.models = models
        self.masks = models.masks.unpack().astype(np.float64)
        self.y = models.outputs.astype(np.float64)
        half = models.m // 2
        self.halves = slice(0, half), slice(half, models.m)

    def score(self, predicted: Floats) -> float:
        """Mean over targets of the correlation of predictions [m, T] with outputs; 0 where predictions are constant,
        and outputs that are constant do not count."""
        off, y = predicted - predicted.mean(axis=0), self.y - self.y.mean(axis=0)
        size = np.sqrt((off**2).sum(axis=0) * (y**2).sum(axis=0))
        found = np.divide((off * y).sum(axis=0), size, out=np.zeros_like(size), where=size > 0)
        varied = self.y.min(axis=0) < self.y.max(axis=0)
        return float(found[varied].mean()) if varied.any() else 0.0

    def errors(self, predicted: Floats) -> Floats:
        """Mean squared error [T] of predictions [m, T]."""
        found: Floats = ((predicted - self.y) ** 2).mean(axis=0)
        return found

    def lasso(self, train: Counts, threads: int | None, progress: Progress | None) -> Floats:
        """Predictions [m, T] of LASSO paths of `train`, each half's at the lambdas that the other half likes best."""
        how, found = LassoOptions(threads=threads), np.empty(self.y.shape)
        for some in target_blocks(range(train.targets), min(TOGETHER, block_size(train.n))):
            part, validation = of_targets(train, some), self.models.of(some)
            path = lasso_path(
                part, validation, how.lambdas, how.eps, early_stop=how.early_stop, keep=True, threads=threads
            )
            assert path.weights is not None
            assert path.biases is not None
            for k, t in enumerate(range(some.start, some.stop)):
                made = ~np.isnan(path.gap[k])
                every = path.weights[k][made] @ self.masks.T + path.biases[k][made, None]
                found[:, t] = self._crossed(every[:, :, None], slice(t, t + 1))[:, 0]
            if progress:
                progress("lasso", some.stop, train.targets)
        return found

    def ridge(self, train: Counts) -> Floats:
        """The same of ridge regression."""
        plan = problem(train)
        spectrum = decompose(dense(plan))
        grid = ridge_grid(spectrum, Ridge(), train.targets)
        turned = (self.masks - plan.mean) * plan.inverse @ spectrum.vectors
        pull = spectrum.problem.rho @ spectrum.vectors
        found = np.empty(self.y.shape)
        for some in target_blocks(range(train.targets), TOGETHER):
            each = (pull[some] / (spectrum.values + lam[some, None]) for lam in grid.T)
            every = np.stack([turned @ coef.T for coef in each]) + plan.y_mean[some]
            found[:, some] = self._crossed(every, some)
        return found

    def _crossed(self, predicted: Floats, targets: slice) -> Floats:
        """[m, t], of predictions [k, m, t] at k lambdas."""
        square, found = (predicted - self.y[:, targets]) ** 2, np.empty(predicted.shape[1:])
        for mine, other in (self.halves, self.halves[::-1]):
            liked = square[:, other].mean(axis=1).argmin(axis=0)
            found[mine] = np.take_along_axis(predicted[:, mine], liked[None, None], axis=0)[0]
        return found
