"""Do 90 % intervals of `SharedPrior`, from its posterior, hold the true weight 90 times in 100?

Planted worlds: weights drawn from a prior of the very kind that the fit learns, scales by unit and target times a
mixture of normals, with as much noise as signal; with a guess, tables that all weights follow besides.

    python benchmarks/posterior_coverage.py [--quick] [--study runs/better/digits] [--out FILE.md]

--study: the digits study of better.py, with the guesses of guess.py, as well, where the truth is not known. Its first m
models are fitted. Of its last half, unbiased weights with their own errors (the de-biased LASSO) say what the weights
are: they should lie within 1.645 joint errors of the fitted ones 90 times in 100. Fits of two disjoint sets of m models
are compared, too.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np

import subtrain as st
from subtrain.designs.model_rows import FIT
from subtrain.guesses import load_guess
from subtrain.regression.counting.count_stream import count
from subtrain.regression.estimators.kit.normal_mixtures import MIXTURE
from subtrain.regression.fit_warnings import FitWarning
from subtrain.regression.lasso.target_blocks import lasso_from_counts
from subtrain.regression.mask_covariance import design_covariance
from subtrain.uses.kit.debias import debias
from subtrain.uses.kit.residuals import sums_of_counts

UNITS = 200
# Shares of the mixture's components, whose variances are those of MIXTURE.
MIXTURES = {
    "normal": (0, 0, 0, 1, 0, 0),
    "half of them 0": (0.5, 0, 0, 0.3, 0.2, 0),
    "heavy tail": (0.1, 0.3, 0.3, 0.2, 0.05, 0.05),
}
REACH = 1.6449


def world(kind: str, alpha: float, mixture: str, m: int, targets: int, seed: int):
    """Masks, outputs [m, T], true weights and a table that weights follow [n, T]; noise of the signal's variance."""
    random = np.random.default_rng(seed)
    scale = np.outer(np.exp(random.normal(0, 0.7, UNITS)), np.exp(random.normal(0, 0.5, targets)))
    part = MIXTURE[random.choice(MIXTURE.size, p=MIXTURES[mixture], size=scale.shape)]
    weight = random.normal(size=scale.shape) * np.sqrt(scale * part)
    table = random.normal(size=scale.shape) * weight.std()
    masks = st.Design(alpha=alpha, models=m, seed=seed, kind=kind, heldout=0, anchors=0, n=UNITS).masks()
    return masks, masks.unpack() @ weight, weight, table


def planted(cases, targets: int, worlds: int):
    """A row for each case: how many intervals hold, and the error of the weights over its standard error."""
    for kind, alpha, mixture, m, guessed in cases:
        held, square, told = [], [], []
        for seed in range(worlds):
            masks, signal, weight, table = world(kind, alpha, mixture, m, targets, seed)
            random = np.random.default_rng(1000 + seed)
            if guessed:
                more = table * (1 + 0.2 * random.normal(size=targets))
                weight, signal = weight + more, signal + masks.unpack() @ more
            noise = signal.std(axis=0) * random.normal(size=signal.shape)
            fitted = st.SharedPrior(pairs=None, ranks=(1,), lasso=False, guess=7 * table if guessed else None)
            fitted.fit(masks, signal + noise)
            off = np.abs(fitted.weight_ - weight)
            held.append(np.mean(off < REACH * fitted.error_))
            square.append(np.mean(off**2))
            told.append(np.mean(fitted.error_.astype(np.float64) ** 2))
        yield {
            "design": f"{kind}, α = {alpha}",
            "weights": mixture,
            "models": f"{m:,}",
            "guess": "yes" if guessed else "",
            "90 % intervals hold": f"{np.mean(held):.1%}",
            "error over standard error": f"{np.sqrt(np.mean(square) / np.mean(told)):.2f}",
        }


def unbiased(study: st.Study, rows: np.ndarray):
    """Weights [n, T] and errors [1, T] by the de-biased LASSO on these models."""
    cut = rows.size * 9 // 10
    parts = [count(study.masks(some), study.read("test_margins", some)) for some in (rows[:cut], rows[cut:])]
    total = parts[0] + parts[1]
    found = lasso_from_counts(parts[0], parts[1], total)
    sums = sums_of_counts(found.weight, found.bias, total)
    return debias(found.weight, sums, design_covariance(study.design), np.count_nonzero(found.weight, axis=0))


def real(folder: Path, sizes):
    """A row for each estimator and number of models of a study."""
    import better

    study = st.Study.open(folder)
    x, y, x_test, y_test = better.arrays("digits", better.DATA)
    known = st.Pairs.of((y, y_test), (x, x_test))
    rows = study.done(FIT)
    half = rows.size // 2
    truth = unbiased(study, rows[half:])
    for m in sizes:
        for k in (0, 20):
            guess = load_guess(study, f"benchmark-{k}") if k else None
            ways = {"pairs": known, "guess": guess, "lasso": False, "ranks": (1,)}
            one, two = (
                st.SharedPrior(**ways).fit(study.masks(some), study.read("test_margins", some))
                for some in (rows[:m], rows[m : 2 * m])
            )
            off = one.weight_ - truth.weight
            # All masks are of one size, so weights are known up to a constant.
            z = (off - off.mean(axis=0)) / np.hypot(one.error_, truth.error)
            apart = (one.weight_ - two.weight_) / np.hypot(one.error_, two.error_)
            yield {
                "estimator": f"guess of {k} models" if k else "SharedPrior",
                "models": f"{m:,}",
                "median standard error": f"{np.median(one.error_):.4f}",
                f"weights of {rows.size - half:,} others within 1.645 errors": f"{np.mean(np.abs(z) < REACH):.1%}",
                "their z, standard deviation": f"{z.std():.2f}",
                "weights of two fits within 1.645 errors": f"{np.mean(np.abs(apart) < REACH):.1%}",
                "their z": f"{apart.std():.2f}",
            }


def markdown(rows) -> str:
    head = list(rows[0])
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row[name] for name in head) + " |" for row in rows)]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one world each of few cases")
    parser.add_argument("--study", type=Path, help="the digits study of better.py as well")
    parser.add_argument("--out", type=Path, help="write the tables here as Markdown")
    given = parser.parse_args()
    sizes = (200, 800) if given.quick else (100, 200, 400, 800, 1600)
    cases = [("fixed", 0.5, mixture, m, guessed) for mixture in MIXTURES for m in sizes for guessed in (False, True)]
    cases += [(kind, a, "heavy tail", m, False) for kind, a in (("fixed", 0.2), ("bernoulli", 0.5)) for m in sizes[::2]]
    targets, worlds = 100, 1 if given.quick else 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        table = list(planted(cases, targets, worlds))
        text = f"{UNITS} units, {targets} targets, {worlds} worlds a row, noise of the signal's variance.\n\n"
        text += markdown(table)
        if given.study:
            text += f"\n{given.study.name}, test_margins:\n\n" + markdown(
                list(real(given.study, (100, 250, 1000, 2000)))
            )
    print(text)
    if given.out:
        given.out.write_text(text)


if __name__ == "__main__":
    main()
