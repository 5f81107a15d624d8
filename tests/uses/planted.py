"""Masks and outputs with known weights, for tests of uses that need no study."""

from __future__ import annotations

import numpy as np

from subtrain import Design, Lasso
from subtrain.regression.counts import count


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
