"""Masks and outputs with known weights, for tests of uses that need no study."""

from __future__ import annotations

import numpy as np

from subtrain import Design, Lasso, Output, Study
from subtrain.regression.counting.count_stream import count
from subtrain.tasks import batch, function


def sparse_world(n=60, targets=40, m=300, alpha=0.5, kind="fixed", share=0.1, noise=1.0, seed=0):
    """Design, masks, outputs [m, T] and true weights [n, T], of which `share` are not zero."""
    random = np.random.default_rng(seed)
    weight = np.where(random.random((n, targets)) < share, random.normal(size=(n, targets)), 0.0)
    design = Design(alpha=alpha, models=m, seed=seed, kind=kind, heldout=0, n=n)
    masks = design.masks()
    signal = masks.unpack() @ weight
    return design, masks, signal + noise * random.normal(size=signal.shape), weight


def lasso(masks, y):
    """Weight float32 [n, T], bias [T] and the counts of a LASSO with its lambda chosen."""
    fitted = Lasso(threads=1).fit(masks, y)
    return fitted.weight_.astype(np.float32), fitted.bias_, count(masks, y, threads=1)


def grouped_weights(groups=4, units=12, targets=15, seed=0):
    """Datamodels weights [groups * units, groups * targets]: a group's units raise its own targets, and few others do.

    With the group of each unit and of each target.
    """
    random = np.random.default_rng(seed)
    of_unit, of_target = (np.repeat(np.arange(groups), k) for k in (units, targets))
    same = of_unit[:, None] == of_target
    weight = np.where(same, random.uniform(0.5, 1.5, same.shape), 0.15 * random.normal(size=same.shape))
    return weight, of_unit, of_target


def opposed_weights(n=60, targets=40, seed=0):
    """Weights [n, T] in which the first 10 units raise the first half of the targets and lower the others, the next 10
    do the reverse, and the rest are weak."""
    random = np.random.default_rng(seed)
    weight = 0.05 * random.normal(size=(n, targets))
    side = np.where(np.arange(targets) < targets // 2, 1.0, -1.0)
    weight[:10] += side
    weight[10:20] -= side
    return weight


def world_of(weight, noise=0.3, bias=0.0):
    """A task that answers mask @ weight + bias + noise of its seed."""
    n, targets = weight.shape

    def train(masks, seeds):
        exact = masks @ weight + bias
        exact = exact + noise * np.stack([np.random.default_rng(int(s)).normal(size=targets) for s in seeds])
        return {"test_margins": exact.astype("float32")}

    return batch(train, n, {"test_margins": Output((targets,), "float32")}, size=64, data=[weight])


def seeded_study(models, n=100, targets=40, seed_effect=1.0, even=0.07, noise=0.5, share=0.3, **design):
    """A study whose outputs are linear in the mask, with what each seed adds, effects of two units together, and noise;
    the last three in units of the linear part. With the true weights [n, T]."""
    random = np.random.default_rng(0)
    weight = np.where(random.random((n, targets)) < share, random.normal(size=(n, targets)), 0.0)
    pairs = random.integers(0, n, (n, 2))
    size = np.sqrt(n / 4 * (weight**2).mean(axis=0))

    def train(indices, seed):
        mask = np.zeros(n)
        mask[indices] = 1
        held = 2 * mask - 1
        common = np.random.default_rng(seed).normal(size=targets)
        own = np.random.default_rng([seed, *np.flatnonzero(mask)]).normal(size=targets)
        together = (held[pairs[:, 0]] * held[pairs[:, 1]]).sum() / np.sqrt(n)
        return {"test_margins": 3 + mask @ weight + size * (seed_effect * common + noise * own + even * together)}

    task = function(train, n=n, outputs={"test_margins": Output([targets], "float64")})
    study = Study.create(":memory:", task, Design(models=models, **{"heldout": 0, **design}))
    study.collect(progress=False)
    return study, weight
