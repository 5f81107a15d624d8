"""Designed against random masks: LDS from the same number of models, alone and with a guess.

    python benchmarks/designs.py                       # five tasks: two hours on two idle cores
    python benchmarks/designs.py --quick               # does it run? (digits, 103 units' worth of models, prints only)
    python benchmarks/designs.py --task digits         # one of the tasks; may be repeated

A study of kind "paley" is extended to q / 2, q, 2q and 4q models, q the prime of its units, and fitted at each size. No
model chooses anything, but for the columns with validation models: there 100 more do. LDS: per target, mean over
targets, against the mean of five runs of held-out random subsets with seeds of their own, those of the studies of
guess.py. In brackets: how many models the LASSO needs for that LDS on random masks (its curve in results/guess.json,
read log-linearly between sizes) over those used. The K models of a guess are the first of those. Writes
results/designs.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from pathlib import Path

import better
import guess
import numpy as np
from machine import cpu, load, versions

import subtrain as st
from subtrain.evaluation import score
from subtrain.evaluation_models import even_replicates
from subtrain.regression.fit_warnings import FitWarning

HERE = Path(__file__).parent
GUESSES = (20, 100)
VALIDATION = 100
SHARED = "digits_shared"
TITLES = {
    "digits": guess.TITLES["digits"],
    SHARED: "digits, MLP-64, shared initialization, 500 units, 300 targets",
    **{name: guess.TITLES[name] for name in ("fashion_mlp", "cifar_cnn", "table", "text")},
}
LASSO = "random lasso"
WAYS = {
    LASSO: "random masks: LASSO",
    "random shared": "SharedPrior",
    "random guess 20": "guess, K = 20",
    "lasso": "designed: LASSO (λ × ½)",
    "lasso validation": "LASSO, 100 validation models",
    "shared": "SharedPrior",
    "guess 20": "guess, K = 20",
    "guess 100": "guess, K = 100",
    "guess 20 validation": "guess, K = 20, 100 validation models",
}


def digits_shared(data=better.DATA):
    return st.tasks.digits(500, 300, init="shared", outputs=["test_margins"])


def task_of(name, data):
    """The task, by the place of the function that makes it and its parameters."""
    module = better if name in better.TITLES else guess
    place = f"{__file__ if name == SHARED else module.__file__}:{name}"
    return place, {} if name in ("digits", SHARED, "table") else {"data": str(data.resolve())}


def random_study(name, data, folder):
    """The study of random masks: its held-out models evaluate, and its LASSO is what designs are compared with."""
    if (folder / name).exists():
        return st.Study.open(folder / name)
    if name != SHARED:
        return guess.collected(name, data, folder, None)
    design = st.Design(0.5, models=8000, heldout=200, replicates=5, kind="fixed")
    study = st.Study.create(folder / name, task_of(name, data)[0], design, exist_ok=True)
    study.collect()
    return study


def random_points(name, study, data):
    """What guess.py measured on random masks; measured here where it was not."""
    kept = HERE / "results" / "guess.json"
    for row in json.loads(kept.read_text())["rows"] if kept.exists() else ():
        if row["task"] == TITLES[name]:
            return row["points"]
    row = better.measured("digits", study, data, guess.CURVE, ())
    return row["points"]


def measured(name, data, folder, fraction=1.0):
    """LDS of every way at every size."""
    random = random_study(name, data, folder)
    index, subsets, replicates = even_replicates(random, random.done("evaluation"))
    y = random.read("test_margins", index).astype(np.float64).reshape(subsets, replicates, -1)
    held = random.masks(index[::replicates]).unpack()
    x, labels, x_test, labels_test = guess.arrays("digits" if name == SHARED else name, data)
    known = st.Pairs.of((labels, labels_test), (x, x_test))
    points = [{**p, "estimator": f"random {p['estimator']}"} for p in random_points(name, random, data)]
    points = [p for p in points if p["estimator"] in WAYS]
    place, params = task_of(name, data)
    with tempfile.TemporaryDirectory() as scratch:
        design = st.Design(0.5, models=1, heldout=0, validation=0, kind="paley")
        study = st.Study.create(Path(scratch) / name, place, design, params=params, view=False)
        for m in sizes(study, fraction):
            study = grown(study, m)
            made = {k: st.guess(study, k, name=f"first-{k}", progress=False) for k in GUESSES if k <= m}
            ways = {"lasso": st.Lasso(), "shared": st.SharedPrior(pairs=known, validation=None, **RANK_1)}
            ways |= {f"guess {k}": st.SharedPrior(pairs=known, guess=table) for k, table in made.items()}
            points += [fitted(study, m, label, estimator, held, y) for label, estimator in ways.items()]
        points += with_validation(study, place, params, Path(scratch), known, held, y, fraction)
    ceiling = score(held @ np.zeros((random.n, y.shape[2])), y, bootstrap=0).lds_ceiling
    return {
        "task": TITLES[name],
        "subsets": subsets,
        "ceiling": ceiling,
        "points": better.with_factors(points, LASSO, used_to_choose),
    }


def sizes(study, fraction):
    """Half a side of a set, a side, a set, two sets; or a fraction of them."""
    q = study.design.sets.prime
    return [round(fraction * size) for size in (q / 2, q, 2 * q, 4 * q)]


def grown(study, m):
    """The study with m models to fit on, trained."""
    longer = study.extend(models=m - study.design.role_rows("fit").size)
    longer.collect()
    return longer


# Of candidates none is chosen: this one is what the design was measured with.
RANK_1 = {"ranks": (1,), "lasso": False}


def with_validation(study, place, params, scratch, known, held, y, fraction):
    """The same sizes again, with models that choose lambda and the share of the residual."""
    points = []
    design = st.Design(0.5, models=1, heldout=0, validation=VALIDATION, kind="paley", seed=1)
    other = st.Study.create(scratch / "validated", place, design, params=params, view=False)
    for m in sizes(study, fraction):
        other = grown(other, m)
        table = st.guess(other, min(20, m), name="first-20", progress=False)
        ways = {"lasso validation": st.Lasso(), "guess 20 validation": st.SharedPrior(pairs=known, guess=table)}
        points += [fitted(other, m, label, estimator, held, y) for label, estimator in ways.items()]
    return points


def fitted(study, m, label, estimator, held, y):
    """LDS of the datamodels of one study as it is."""
    began = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # of few models some targets cannot be predicted
        dm = study.fit("test_margins", estimator, keep_counts=False)
    found = score(held @ np.asarray(dm.weight, np.float64) + dm.bias, y)
    lds = [found.lds.value, found.lds.low, found.lds.high]
    print(f"  {m:>6} models, {label}: LDS {lds[0]:.4f} {dm.meta['design']}", flush=True)
    more = {"design": dm.meta["design"], "seconds": round(time.monotonic() - began, 1)}
    return {"models": m, "estimator": label, "lds": lds, **more}


def used_to_choose(point):
    """Models that chose something for this point."""
    return VALIDATION if point["estimator"].endswith("validation") else 0


def page(found):
    lines = ["# Designed experiments: Paley sets with shared seeds against random masks", ""]
    lines += [
        "LDS per target, mean over targets, on held-out random subsets with fresh seeds; alpha = 0.5. In brackets:"
    ]
    lines += [
        "models that the LASSO needs on random masks over those used (validation models count); > where its curve"
    ]
    lines += ["ends before. SharedPrior is of rank 1 on designed masks; on random ones its rank was chosen.", ""]
    for row in found["rows"]:
        ceiling = f"ceiling (upper bound) {row['ceiling']:.3f}" if row["ceiling"] == row["ceiling"] else "no seed noise"
        lines += [f"## {row['task']}", "", f"{row['subsets']} held-out subsets, {ceiling}.", ""]
        lines += ["| models | " + " | ".join(WAYS.values()) + " |", "|" + "---|" * (len(WAYS) + 1)]
        for m in sorted({p["models"] for p in row["points"]}):
            lines.append(f"| {m:,} | " + " | ".join(guess.cell(row["points"], m, way, LASSO) for way in WAYS) + " |")
        lines.append("")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a fifth of the models of digits, prints only")
    parser.add_argument("--task", action="append", choices=list(TITLES), help="all by default")
    parser.add_argument("--data", type=Path, default=better.DATA)
    parser.add_argument("--folder", type=Path, default=HERE.parent / "runs" / "better", help="where the studies are")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    given = parser.parse_args()
    before = load()
    given.folder.mkdir(parents=True, exist_ok=True)
    for name in ["digits"] if given.quick else given.task or TITLES:
        print(TITLES[name], flush=True)
        row = measured(name, given.data, given.folder, 0.2 if given.quick else 1.0)
        if given.quick:
            print(page({"rows": [row]}))
        else:
            write(row, before, given.out)


def write(row, before, folder):
    """Add a task to the results, in place of what is there of it."""
    folder.mkdir(parents=True, exist_ok=True)
    kept, order = folder / "designs.json", list(TITLES.values())
    rows = json.loads(kept.read_text())["rows"] if kept.exists() else []
    rows = [one for one in rows if one["task"] != row["task"]] + [row]
    found = {"cpu": cpu(), "versions": versions("numpy", "numba", "subtrain"), "load": [before, load()]}
    found["rows"] = sorted(rows, key=lambda one: order.index(one["task"]))
    kept.write_text(json.dumps(found, indent=1) + "\n")
    (folder / "designs.md").write_text(page(found))


if __name__ == "__main__":
    main()
