"""Do 95 % intervals of weights hold the true weight 95 times in 100, and are 5 % of the weights found false?

Planted worlds: 10 % of the weights not zero (sparse), or all of them, rank^-1 (power law) or normal (dense); as much
noise as signal.

    python benchmarks/interval_coverage.py [--quick] [--study STUDY] [--out FILE.md]

--study: a real study as well, where the truth is not known: weights from either half of its models differ by less than
1.96 times their joint error in 95 of 100 pairs of a unit and a target, if the errors are right.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np

import subtrain as st
from subtrain.regression.counting.count_stream import count
from subtrain.regression.mask_covariance import design_covariance
from subtrain.uses.kit.debias import Estimates, debias, least_squares
from subtrain.uses.kit.residuals import sums_of_counts
from subtrain.uses.significance import Significance

UNITS = 200


def planted(shape: str, targets: int, random: np.random.Generator) -> np.ndarray:
    """True weights [n, T] with a median of 0."""
    sign = random.choice([-1.0, 1.0], (UNITS, targets))
    if shape == "dense":
        weight = random.normal(size=sign.shape)
        return weight - np.median(weight, axis=0)
    if shape == "sparse":
        return np.where(random.random((UNITS, targets)) < 0.1, sign * random.uniform(0.5, 1.5, sign.shape), 0.0)
    rank = 1.0 + np.argsort(random.random(sign.shape), axis=0)
    weight = sign / rank
    return weight - np.median(weight, axis=0)


def world(kind: str, alpha, shape: str, m: int, targets: int, seed: int):
    """Design, masks [m, n], outputs [m, T] and true weights [n, T]; noise of the signal's variance."""
    random = np.random.default_rng(seed)
    weight = planted(shape, targets, random)
    design = st.Design(alpha=alpha, models=m, seed=seed, kind=kind, heldout=0, anchors=0, n=UNITS)
    masks = design.masks()
    signal = masks.unpack() @ weight
    return design, masks, signal + signal.std(axis=0) * random.normal(size=signal.shape), weight


def measured(found: Estimates, weight: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    result = Significance(np.arange(truth.shape[1]), found.weight, found.error, found.freedom, found.noise, weight)
    low, high = result.interval()
    held = (low <= truth) & (truth <= high)
    zero = np.abs(truth) < 1e-12
    width = np.median(high - low)
    return {
        "coverage": float(held.mean()),
        "of zeros": float(held[zero].mean()) if zero.any() else float("nan"),
        "of the others": float(held[~zero].mean()),
        "width": float(width),
        "p < 0.05 of zeros": float((result.p[zero] < 0.05).mean()) if zero.any() else float("nan"),
        "false of found": float((result.found & zero).sum() / max(1, result.found.sum())),
        "found of real": float(result.found[~zero].mean()),
    }


def debiased(design, masks, y):
    """Estimates, the LASSO's weights, counts and the mean support."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lasso = st.Lasso().fit(masks, y)
    counts = count(masks, y)
    weight = lasso.weight_.astype(np.float32)
    support = np.count_nonzero(weight, axis=0)
    sums = sums_of_counts(weight, lasso.bias_, counts)
    return debias(weight, sums, design_covariance(design), support), weight, counts, float(support.mean())


def rows(cases, targets: int):
    for kind, alpha, shape, m in cases:
        design, masks, y, truth = world(kind, alpha, shape, m, targets, seed=1)
        found, weight, counts, support = debiased(design, masks, y)
        where = {"design": kind, "α": alpha, "weights": shape, "m": m, "support": support}
        yield where | {"method": "debiased"} | measured(found, weight, truth)
        if m > 1.5 * UNITS:
            yield where | {"method": "exact"} | measured(least_squares(counts), weight, truth)


def halves(path) -> str:
    study = st.Study.open(path)
    numbers = study.done("fit")
    parts = numbers[: numbers.size // 2], numbers[numbers.size // 2 :]
    output = next(iter(study.outputs))
    lines = []
    for method in ("debiased", "exact"):
        found = []
        for part in parts:
            estimates, _, counts, _ = debiased(study.design, study.masks(part), study.read(output, part))
            found.append(estimates if method == "debiased" else least_squares(counts))
        first, second = found
        z = (first.weight - second.weight) / np.hypot(first.error, second.error)
        held, chance = (np.abs(z) < 1.96).mean(), np.sqrt(((np.abs(z) < 1.96).mean(axis=0)).var() / z.shape[1])
        lines.append(
            f"{study.name}, {output}: {method} weights from {parts[0].size:,} and {parts[1].size:,} models differ by "
            f"less than 1.96 joint errors in {held:.1%} ± {chance:.1%} of {z.size:,} pairs; z has a standard deviation "
            f"of {z.std():.3f}."
        )
    return "\n".join(lines) + "\n"


def markdown(table) -> str:
    head = list(table[0])
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(name, row[name]) for name in head) + " |" for row in table]
    return "\n".join(lines) + "\n"


def _cell(name: str, value) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if not isinstance(value, float) or name == "α":
        return str(value)
    return "–" if np.isnan(value) else f"{value:.0f}" if name == "support" else f"{value:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="20 targets and few cases")
    parser.add_argument("--study", type=Path, help="halves of a real study's models as well")
    parser.add_argument("--out", type=Path, help="write the table here as Markdown")
    given = parser.parse_args()
    mixed = (0.2, 0.4, 0.6, 0.8)
    cases = [("fixed", 0.5, "sparse", m) for m in (100, 200, 400, 1600)]
    cases += [("fixed", a, "sparse", 400) for a in (0.1, 0.8)]
    cases += [("bernoulli", 0.5, "sparse", 400), ("bernoulli", mixed, "sparse", 400), ("fixed", mixed, "sparse", 400)]
    cases += [("fixed", 0.5, shape, m) for shape in ("power law", "dense") for m in (200, 400, 1600)]
    targets = 20 if given.quick else 100
    table = list(rows(cases[::4] if given.quick else cases, targets))
    text = f"{UNITS} units, {targets} targets a row, noise of the signal's variance.\n\n{markdown(table)}"
    if given.study:
        text += "\n" + halves(given.study)
    print(text)
    if given.out:
        given.out.write_text(text)


if __name__ == "__main__":
    main()
