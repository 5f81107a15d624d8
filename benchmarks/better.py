"""`SharedPrior` against the LASSO from the same models: LDS on held-out subsets, and models saved.

    python benchmarks/better.py                        # collects three studies (25 minutes on two idle cores), fits
    python benchmarks/better.py --quick                # does it run? (digits, a few hundred models, prints only)
    python benchmarks/better.py --task digits          # one of the tasks; may be repeated

Each study has 8,000 models to fit on and 150 or 200 held-out subsets x 5 runs, which nothing is fitted or chosen on.
LDS: per target, mean over targets, against the mean of the five runs. Models saved: how many models the LASSO needs for
the same LDS (its curve read log-linearly between sizes) over how many were used. Writes results/better.{json,md,png}.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from pathlib import Path

import image_tasks
import numpy as np
from machine import cpu, load, versions

import subtrain as st
from subtrain.designs.model_rows import FIT
from subtrain.evaluation import score
from subtrain.evaluation_models import even_replicates
from subtrain.regression.fit_warnings import FitWarning
from subtrain.trainers.kit.sgd import Sgd

HERE = Path(__file__).parent
DATA = HERE.parent.parent / "shared" / "data"
SIZES = (125, 250, 500, 1000, 2000, 4000, 8000)
JUDGED = SIZES[1:-1]
MODELS, REPLICATES = SIZES[-1], 5
HELDOUT = {"digits": 200, "fashion_mlp": 150, "cifar_cnn": 150}
TITLES = {
    "digits": "digits, MLP-64, own initializations, 500 units, 300 targets",
    "fashion_mlp": "Fashion-MNIST, MLP-64, own initializations, 1,000 units, 200 targets",
    "cifar_cnn": "CIFAR-10 at 16 x 16, CNN 8-16, shared initialization, 600 units, 200 targets",
}


def digits(data=DATA):
    return st.tasks.digits(500, 300, init="own", outputs=["test_margins"])


def fashion_mlp(data=DATA):
    x, y, x_test, y_test = arrays("fashion_mlp", data)
    recipe = Sgd(epochs=10, batch=32, lr=0.05, weight_decay=0.005)
    return st.tasks.mlp(x, y, x_test, y_test, (64,), recipe, "own", ["test_margins"])


def cifar_cnn(data=DATA):
    x, y, x_test, y_test = arrays("cifar_cnn", data)
    recipe = Sgd(epochs=10, batch=32, lr=0.03, weight_decay=0.002)
    return st.tasks.cnn(x, y, x_test, y_test, (8, 16), recipe=recipe, init="shared", outputs=["test_margins"])


def arrays(name, data):
    """x, y, x_test, y_test as the task has them."""
    if name == "digits":
        view = digits().view
        return tuple(part[split] for split in ("train", "test") for part in (view.images, view.labels))
    if name == "fashion_mlp":
        x, y, x_test, y_test = image_tasks.fashion(data)
        return x[:1000].reshape(1000, -1) / 255, y[:1000], x_test.reshape(len(x_test), -1) / 255, y_test
    x, y, x_test, y_test = image_tasks.cifar(data)
    return halved(x[:600]), y[:600], halved(x_test), y_test


def halved(images):
    """Means of 2 x 2 pixels."""
    return images.reshape(len(images), 16, 2, 16, 2, 3).astype(float).mean(axis=(2, 4)).round().astype(np.uint8)


def collected(name, data, folder, models, heldout):
    """The study, with every model trained; goes on where an earlier run stopped."""
    design = st.Design(0.5, models=models, heldout=heldout, replicates=REPLICATES, kind="fixed")
    params = {} if name == "digits" else {"data": str(data.resolve())}
    study = st.Study.create(folder / name, f"{__file__}:{name}", design, params=params, segment=64, exist_ok=True)
    study.collect()
    return study


def measured(name, study, data, sizes, judged):
    """LDS of every estimator at every size."""
    index, subsets, replicates = even_replicates(study, study.done("evaluation"))
    y = study.read("test_margins", index).astype(np.float64).reshape(subsets, replicates, -1)
    x, labels, x_test, labels_test = arrays(name, data)
    known = st.Pairs.of((labels, labels_test), (x, x_test))
    rows, held = study.done(FIT), study.masks(index[::replicates])
    points, ceiling = [], None
    for m in sizes:
        made = {"lasso": st.Lasso()}
        if m in judged:
            made |= {"shared": st.SharedPrior(pairs=known), "outputs only": st.SharedPrior(pairs=None)}
        for label, estimator in made.items():
            began = time.monotonic()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FitWarning)  # of few models some targets cannot be predicted
                estimator.fit(study.masks(rows[:m]), study.read("test_margins", rows[:m]))
            found = score(estimator.predict(held), y)
            ceiling = found.lds_ceiling
            chosen = getattr(estimator, "chosen_", "")
            points.append(
                {
                    "models": m,
                    "estimator": label,
                    "lds": [found.lds.value, found.lds.low, found.lds.high],
                    "chosen": chosen,
                    "seconds": round(time.monotonic() - began, 1),
                }
            )
            print(f"  {m:>6} models, {label}: LDS {found.lds.value:.4f} {chosen}", flush=True)
    return {"task": TITLES[name], "subsets": subsets, "ceiling": ceiling, "points": with_factors(points)}


def with_factors(points, lasso="lasso", more=lambda p: 0):
    """Each point with how many models the LASSO needs for its LDS over those used; at most what its curve shows.

    lasso: the estimator whose curve it is; more: models that a point used beside those it was fitted on.
    """
    curve = sorted((p["models"], p["lds"][0]) for p in points if p["estimator"] == lasso)
    models, lds = np.array(curve).T
    rising = np.maximum.accumulate(lds)
    for p in points:
        p["factor"] = float(np.exp(np.interp(p["lds"][0], rising, np.log(models))) / (p["models"] + more(p)))
        p["beyond"] = bool(p["lds"][0] > rising[-1])
    return points


def table(found):
    lines = ["# Better datamodels from the same models: `SharedPrior` against the LASSO", ""]
    lines += ["LDS per target, mean over targets, against the mean of 5 runs of held-out subsets; alpha = 0.5.", ""]
    lines += [
        "shared: labels and inputs are known; outputs only: they are not. In brackets: models that the LASSO needs"
    ]
    lines += ["for that LDS over those used (goal: 2); > where its curve ends before.", ""]
    for row in found["rows"]:
        lines += [f"## {row['task']}", ""]
        lines += [f"{row['subsets']} held-out subsets, ceiling (upper bound) {row['ceiling']:.3f}.", ""]
        lines += ["| models | LASSO | shared | outputs only |", "|---|---|---|---|"]
        for m in sorted({p["models"] for p in row["points"]}):
            lines.append(f"| {m:,} | " + " | ".join(cell(row["points"], m, e) for e in COLUMNS) + " |")
        lines.append("")
    return "\n".join(lines)


COLUMNS = ("lasso", "shared", "outputs only")


def cell(points, m, estimator):
    for p in points:
        if (p["models"], p["estimator"]) == (m, estimator):
            saved = "" if estimator == "lasso" else f" ({'>' * p['beyond']}{p['factor']:.2f}, {p['chosen']})"
            return f"{p['lds'][0]:.3f}{saved}"
    return ""


def figure(found, path):
    from matplotlib.figure import Figure

    picture = Figure(figsize=(3.6 * len(found["rows"]), 3.6), layout="constrained")
    grid = picture.subplots(1, len(found["rows"]), squeeze=False)[0]
    for axes, row in zip(grid, found["rows"], strict=True):
        for label, style in zip(COLUMNS, ("o-", "s-", "^--"), strict=True):
            m, lds = zip(*[(p["models"], p["lds"]) for p in row["points"] if p["estimator"] == label], strict=True)
            value, low, high = np.array(lds).T
            (line,) = axes.plot(m, value, style, label="LASSO" if label == "lasso" else label, markersize=4)
            axes.fill_between(m, low, high, alpha=0.15, color=line.get_color())
        axes.axhline(row["ceiling"], linestyle=":", color="gray")
        axes.set(xscale="log", xlabel="models fitted", xticks=SIZES[1::2], xticklabels=[f"{m:,}" for m in SIZES[1::2]])
        axes.minorticks_off()
        axes.set(title=",".join(row["task"].split(",")[:2]))
    grid[0].set_ylabel("LDS, held out, mean of 5 runs")
    grid[0].legend(frameon=False, title="dotted: noise ceiling (upper bound)")
    picture.savefig(path, dpi=80)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="250 models of digits, prints only")
    parser.add_argument("--task", action="append", choices=list(TITLES), help="all by default")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--folder", type=Path, default=HERE.parent / "runs" / "better", help="where the studies are")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    given = parser.parse_args()
    rows, before = [], load()
    with tempfile.TemporaryDirectory() as scratch:
        for name in ["digits"] if given.quick else given.task or TITLES:
            print(TITLES[name], flush=True)
            if given.quick:
                study = collected(name, given.data, Path(scratch), 250, 20)
                rows.append(measured(name, study, given.data, (125, 250), (125,)))
                continue
            given.folder.mkdir(parents=True, exist_ok=True)
            study = collected(name, given.data, given.folder, MODELS, HELDOUT[name])
            rows.append(measured(name, study, given.data, SIZES, JUDGED))
    about = {"cpu": cpu(), "versions": versions("numpy", "numba", "subtrain"), "load": [before, load()]}
    found = about | {"rows": rows}
    print(table(found))
    if not given.quick:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "better.json").write_text(json.dumps(found, indent=1) + "\n")
        (given.out / "better.md").write_text(table(found))
        figure(found, given.out / "better.png")


if __name__ == "__main__":
    main()
