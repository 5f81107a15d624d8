"""What ending a path early loses and saves: `Lasso()` against `Lasso(early_stop=None)`, both in one run.

    python benchmarks/early_stop.py                 # 60 random worlds and two sizes of planted ones (minutes)
    python benchmarks/early_stop.py --few           # what both cost with fewer than 3 models a unit (minutes)
    python benchmarks/early_stop.py --quick         # does it run? (prints only)

Worlds: 20 to 500 units, half to eight models a unit, fixed-size and Bernoulli masks with alpha .1 to .9, noise of 1e-6
to 3 times the signal, weights of five kinds, 1 to 8 targets, 5 to 20 % of the models choosing lambda. Loss: mean over
targets of the correlation of predictions with the truth on 400 other masks, whole path less default. Seconds are CPU
seconds of one thread. The worlds' seeds were not used to find the rule. Writes results/early_stop.{json,md}, with
--few early_stop_few.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
from machine import cpu, load, versions
from planted import planted

import subtrain as st
from subtrain.regression.fit_warnings import FitWarning

HERE = Path(__file__).parent
FIRST = 50_000
KINDS = ("dense", "sparse", "power law", "heavy tails", "classes")
SIZES = ((4000, 500, 100), (5000, 1000, 100), (1500, 500, 40), (500, 500, 40), (1000, 1000, 10))
FEW = ((100, 200, 20), (200, 200, 20), (500, 200, 20), (250, 500, 10), (500, 500, 10), (1000, 500, 10), (1400, 500, 10))
ROUNDS = 3


def world(seed):
    """How it was drawn, masks, outputs, other masks and the truth there."""
    random = np.random.default_rng(seed)
    n = int(np.exp(random.uniform(np.log(20), np.log(500))))
    m = max(20, int(n * np.exp(random.uniform(np.log(0.5), np.log(8)))))
    alpha, bernoulli = float(random.choice([0.1, 0.25, 0.5, 0.75, 0.9])), bool(random.random() < 0.4)
    noise = float(np.exp(random.uniform(np.log(1e-6 if random.random() < 0.5 else 1e-2), np.log(3))))
    targets, kind = int(random.choice([1, 3, 8])), str(random.choice(KINDS))
    share, held = float(random.choice([0.05, 0.1, 0.1, 0.2])), int(np.clip(round(alpha * n), 1, n - 1))

    def masks(count):
        drawn = random.random((count, n))
        return drawn < alpha if bernoulli else drawn.argsort(axis=1).argsort(axis=1) < held

    weight = random.normal(size=(n, targets))
    if kind == "sparse":
        weight *= random.random((n, targets)) < max(0.05, 3 / n)
    elif kind == "power law":
        weight = np.sign(weight) / (1 + random.permuted(np.tile(np.arange(n)[:, None], targets), axis=0))
    elif kind == "heavy tails":
        weight = random.laplace(size=(n, targets)) ** 3
    elif kind == "classes":
        weight = 0.3 * weight + (random.integers(0, 4, n)[:, None] == random.integers(0, 4, targets))
    x, new = masks(m), masks(400)
    clean = x @ weight
    spread = np.where(clean.std(axis=0) > 0, clean.std(axis=0), 1.0)
    y = clean + noise * spread * random.normal(size=clean.shape)
    about = {"seed": seed, "n": n, "m": m, "alpha": alpha, "bernoulli": bernoulli, "noise": noise, "kind": kind}
    return about | {"targets": targets, "validation": share}, x, y, new, new @ weight


def both(x, y, share=0.1):
    """Default and whole path: the estimators, CPU seconds and lambdas solved a target."""
    found = {}
    for name, stop in (("default", 5), ("whole", None)):
        began = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            model = st.Lasso(early_stop=stop, validation=share, threads=1).fit(x, y)
        took = time.process_time() - began
        solved = float((~np.isnan(model.validation_mse_)).sum(axis=0).mean())
        found[name] = {"model": model, "seconds": took / y.shape[1], "lambdas": solved}
    return found


def correlation(model, new, truth):
    """[T]; 0 where nothing was found."""
    made = model.predict(new).reshape(len(new), -1)
    pairs = zip(made.T, truth.T, strict=True)
    return np.array([np.corrcoef(a, b)[0, 1] if a.std() > 0 and b.std() > 0 else 0.0 for a, b in pairs])


def judged(seed):
    about, x, y, new, truth = world(seed)
    found = both(x, y, about["validation"])
    whole, default = (correlation(found[name].pop("model"), new, truth) for name in ("whole", "default"))
    return about | found | {"whole path": float(whole.mean()), "loss": float((whole - default).mean()),
                            "worst target": float((whole - default).max())}  # fmt: skip


def sized(m, n, targets):
    data = planted(m, n, targets)
    found = both(data.masks, data.y)
    same = np.array_equal(*(found[name].pop("model").weight_ for name in found))
    return {"m": m, "n": n, "targets": targets, "same weights": same} | found


def few(m, n, targets):
    """Both paths by turns, so that whatever else the machine does meets both alike; the median of the ratios."""
    data = planted(m, n, targets)
    rounds = [both(data.masks, data.y) for _ in range(ROUNDS)]
    ratios = sorted(found["default"]["seconds"] / found["whole"]["seconds"] for found in rounds)
    last = rounds[-1]
    same = np.array_equal(*(last[name].pop("model").weight_ for name in last))
    return {"m": m, "n": n, "targets": targets, "same weights": same, "ratios": ratios} | last


def few_table(found):
    lines = ["# Fewer than 3 models a unit", "",
             "CPU seconds of the default (`early_stop=5`) over those of the whole path (`early_stop=None`), "
             f"{ROUNDS} rounds by turns in one process: the median, and all.", "",
             "| m × n | validation models | lambdas, default | whole | CPU, default / whole | rounds | same weights |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in found["few"]:
        all_of_them = ", ".join(f"{ratio:.2f}" for ratio in row["ratios"])
        lines.append(
            f"| {row['m']:,} × {row['n']:,} | {round(row['m'] / 10)} | {row['default']['lambdas']:.0f} | "
            f"{row['whole']['lambdas']:.0f} | {row['ratios'][ROUNDS // 2]:.2f} | {all_of_them} | "
            f"{'yes' if row['same weights'] else 'no'} |"
        )
    return "\n".join([*lines, "", "Weights by rank^-1, noise as large as the signal; a tenth of the models judge.", ""])


def table(found):
    rows, loss = found["worlds"], np.array([row["loss"] for row in found["worlds"]])
    worst = rows[int(loss.argmax())]
    saved = [row["default"]["lambdas"] / row["whole"]["lambdas"] for row in rows]
    lines = ["# Ending a path early", "", __doc__.split("\n\n")[2], "",
             f"{len(rows)} worlds: the default loses {loss.max():.4f} of correlation at most (n = {worst['n']}, m = "
             f"{worst['m']}), for one target {max(row['worst target'] for row in rows):.4f}, and {loss.mean():.5f} on "
             f"average; it solves {np.mean(saved):.0%} of the lambdas.", "",
             "| m × n | targets | lambdas, default | whole | CPU-s a target, default | whole | same weights |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in found["sizes"]:
        a, b = row["default"], row["whole"]
        lines.append(
            f"| {row['m']:,} × {row['n']:,} | {row['targets']} | {a['lambdas']:.0f} | {b['lambdas']:.0f} | "
            f"{a['seconds']:.4f} | {b['seconds']:.4f} | {'yes' if row['same weights'] else 'no'} |"
        )
    return "\n".join([*lines, "", "Weights by rank^-1, noise as large as the signal.", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three worlds and a small size, prints only")
    parser.add_argument("--few", action="store_true", help="only sizes with fewer than 3 models a unit")
    parser.add_argument("--worlds", type=int, default=60)
    given = parser.parse_args()
    both(*(part[:60] for part in world(FIRST - 1)[1:3]))  # Compiles.
    before = load()
    if given.few:
        sizes = [few(*size) for size in (((60, 40, 4),) if given.quick else FEW)]
        found = {
            "cpu": cpu(),
            "versions": versions("numpy", "numba", "subtrain"),
            "load": [before, load()],
            "few": sizes,
        }
        print(few_table(found))
        if not given.quick:
            (HERE / "results" / "early_stop_few.json").write_text(json.dumps(found, indent=1) + "\n")
            (HERE / "results" / "early_stop_few.md").write_text(few_table(found))
        return
    worlds = [judged(seed) for seed in range(FIRST, FIRST + (3 if given.quick else given.worlds))]
    sizes = [sized(*size) for size in (((400, 50, 4),) if given.quick else SIZES)]
    found = {"cpu": cpu(), "versions": versions("numpy", "numba", "subtrain"), "load": [before, load()]}
    found |= {"worlds": worlds, "sizes": sizes}
    print(table(found))
    if not given.quick:
        (HERE / "results" / "early_stop.json").write_text(json.dumps(found, indent=1) + "\n")
        (HERE / "results" / "early_stop.md").write_text(table(found))


if __name__ == "__main__":
    main()
