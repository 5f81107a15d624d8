"""Fewer models: fits that begin from a guess, against the LASSO and `SharedPrior` from the same models.

    python benchmarks/guess.py                         # collects six studies (half an hour on two idle cores), fits
    python benchmarks/guess.py --quick                 # does it run? (digits, 100 models, prints only)
    python benchmarks/guess.py --task digits           # one of the tasks; may be repeated

The three tasks of better.py, whose studies it shares, and two on which nothing was tuned: logistic heads on frozen
features of text messages, and an MLP on a table. LDS: per target, mean over targets, against the mean of five runs of
held-out subsets that nothing was fitted or chosen on; `SharedPrior` from results/better.json where it is there. In
brackets: how many models the LASSO needs for that LDS (its curve read log-linearly between sizes) over those used. The
K models of a guess are the first of the m that are fitted. Cost: processor seconds of a table over those of training
the model. Writes results/guess.{json,md,png}.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from pathlib import Path

import better
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
SIZES = (50, 100, 250, 500, 1000, 2000, 4000)
CURVE = (50, 100, 250, 500, 1000, 2000, 4000, 8000)
GUESSES = (5, 20, 50)
TITLES = {
    **better.TITLES,
    "fashion_5000": "Fashion-MNIST, MLP-128, shared initialization, 5,000 units, 200 targets",
    "text": "text messages, logistic heads on 64 frozen features, 1,000 units, 200 targets (nothing tuned here)",
    "table": "breast cancer, MLP-32 on a table, 300 units, 200 targets (nothing tuned here)",
}
MODELS = {"text": 4000, "table": 4000, "fashion_5000": 250}
# Beyond so many units the shared prior alone takes hours.
WIDE = 2000
COLUMNS = {"lasso": "LASSO", "shared": "SharedPrior", **{f"guess {k}": f"guess, K = {k}" for k in GUESSES}}


def text(data=better.DATA):
    """Logistic heads on a latent semantic analysis of character n-grams."""
    x, y, x_test, y_test = arrays("text", data)
    return st.tasks.logistic_head(x, y, x_test, y_test, lam=1.0, outputs=["test_margins"])


def table():
    """A network on the standardized columns of scikit-learn's breast cancer data."""
    return st.tasks.mlp(*arrays("table"), (32,), Sgd(epochs=20, lr=0.05), "own", ["test_margins"])


def arrays(name, data=better.DATA):
    """x, y, x_test, y_test as the task has them."""
    if name in better.TITLES:
        return better.arrays(name, data)
    if name == "fashion_5000":
        x, y, x_test, y_test = image_tasks.fashion(data)
        return x.reshape(len(x), -1) / 255, y, x_test.reshape(len(x_test), -1) / 255, y_test
    random = np.random.default_rng(0)
    if name == "table":
        from sklearn.datasets import load_breast_cancer

        x, y = load_breast_cancer(return_X_y=True)
        x, n = (x - x.mean(axis=0)) / x.std(axis=0), 300
    else:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        lines = (Path(data) / "sms-spam" / "sms.tsv").read_text().splitlines()
        labels, messages = zip(*(line.split("\t", 1) for line in lines), strict=True)
        found = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), min_df=5).fit_transform(messages)
        x, n = TruncatedSVD(64, random_state=0).fit_transform(found) * 8, 1000
        y = np.array(labels) == "spam"
    order = random.permutation(len(y))[: n + 200]
    x, y = x[order].astype(np.float32), y[order].astype(np.int64)
    return x[:n], y[:n], x[n:], y[n:]


def collected(name, data, folder, models):
    """The study of a task, with every model trained."""
    if name in better.TITLES:
        return better.collected(name, data, folder, models or better.MODELS, better.HELDOUT[name])
    wide = name == "fashion_5000"
    heldout, replicates = 100 if wide else 200, 1 if name == "text" else 5
    design = st.Design(0.5, models=models or MODELS[name], heldout=heldout, replicates=replicates, kind="fixed")
    params = {} if name == "table" else {"data": str(data.resolve())}
    place = f"{image_tasks.__file__}:fashion_mlp" if wide else f"{__file__}:{name}"
    study = st.Study.create(folder / name, place, design, params=params, segment=25, exist_ok=True)
    study.collect()
    return study


def measured(name, study, data, sizes, curve, guesses):
    """LDS of every method at every size, and what a table costs."""
    index, subsets, replicates = even_replicates(study, study.done("evaluation"))
    y = study.read("test_margins", index).astype(np.float64).reshape(subsets, replicates, -1)
    x, labels, x_test, labels_test = arrays(name, data)
    known = st.Pairs.of((labels, labels_test), (x, x_test))
    rows, held = study.done(FIT), study.masks(index[::replicates])
    made = {k: st.guess(study, k, name=f"benchmark-{k}", progress=False) for k in guesses}
    points = []

    def add(label, m, predicted, seconds, **more):
        found = score(predicted, y)
        lds = [found.lds.value, found.lds.low, found.lds.high]
        points.append({"models": m, "estimator": label, "lds": lds, "seconds": round(seconds, 1), **more})
        print(f"  {m:>6} models, {label}: LDS {lds[0]:.4f}", flush=True)

    for k, guess in made.items():
        add(f"alone {k}", k, held.unpack() @ sum(guess.tables()).astype(np.float64), 0.0)
    for m in sorted({*sizes, *curve}):
        ways = {"lasso": st.Lasso()} if m in curve else {}
        before = of_better(name, m)
        if before:
            points.append(before)
        if m in sizes:
            ways |= {} if before or study.n > WIDE else {"shared": st.SharedPrior(pairs=known)}
            ways |= {f"guess {k}": st.SharedPrior(pairs=known, guess=guess) for k, guess in made.items() if k <= m}
        for label, estimator in ways.items():
            began = time.monotonic()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FitWarning)  # of few models some targets cannot be predicted
                estimator.fit(study.masks(rows[:m]), study.read("test_margins", rows[:m]))
            more = {"chosen": estimator.chosen_} if label == "shared" else {}
            if label.startswith("guess"):
                more = {"beta": estimator.beta_, "share": estimator.share_}
            add(label, m, estimator.predict(held), time.monotonic() - began, **more)
    ceiling = score(held.unpack() @ np.zeros((study.n, y.shape[2])), y, bootstrap=0).lds_ceiling
    about = {"task": TITLES[name], "subsets": subsets, "ceiling": ceiling, "cost": cost(study, rows[:5])}
    return about | {"points": with_factors(points)}


def of_better(name, m):
    """What better.py measured of `SharedPrior` on the same study: it takes minutes."""
    kept = HERE / "results" / "better.json"
    for row in json.loads(kept.read_text())["rows"] if kept.exists() else ():
        for point in row["points"]:
            if (row["task"], point["models"], point["estimator"]) == (TITLES[name], m, "shared"):
                return {key: point[key] for key in ("models", "estimator", "lds", "chosen")}
    return None


def cost(study, rows):
    """Processor seconds of training one model, and of its table beside that."""
    task, masks, seeds = study.task, study.masks(rows).unpack(), study.design.seeds(rows)
    task.influence(masks[0], int(seeds[0]), "test_margins")
    began = time.process_time()
    task.train(masks, seeds)
    training = (time.process_time() - began) / rows.size
    began = time.process_time()
    for mask, seed in zip(masks, seeds.tolist(), strict=True):
        task.influence(mask, seed, "test_margins")
    return {"training": training, "table": (time.process_time() - began) / rows.size - training}


def with_factors(points):
    """As in better.py, of what is fitted."""
    alone = [p for p in points if p["estimator"].startswith("alone")]
    return alone + better.with_factors([p for p in points if not p["estimator"].startswith("alone")])


def page(found):
    lines = ["# Fewer models: fits that begin from a guess", ""]
    lines += ["LDS per target, mean over targets, on held-out subsets; alpha = 0.5. In brackets: models that the LASSO"]
    lines += [
        "needs for that LDS over those used; > where its curve ends before. The K models are among those used.",
        "",
    ]
    for row in found["rows"]:
        lines += [f"## {row['task']}", ""]
        ceiling = f"ceiling (upper bound) {row['ceiling']:.3f}" if row["ceiling"] == row["ceiling"] else "no seed noise"
        alone = ", ".join(f"K = {p['models']}: {p['lds'][0]:.3f}" for p in row["points"] if "factor" not in p)
        lines += [f"{row['subsets']} held-out subsets, {ceiling}. The guess alone, {alone}."]
        if row["task"] == TITLES["fashion_5000"]:
            lines += [
                "The LASSO scored 0.862 from 8,000 models and 0.899 from 26,996, of a bound of 0.946 (images.md)."
            ]
        cost = row["cost"]
        lines += [
            f"A table takes {cost['table']:.3f} processor seconds, {cost['table'] / cost['training']:.1f} trainings of "
            f"{cost['training']:.4f} s.",
            "",
        ]
        lines += ["| models | " + " | ".join(COLUMNS.values()) + " |", "|" + "---|" * (len(COLUMNS) + 1)]
        for m in sorted({p["models"] for p in row["points"] if "factor" in p}):
            lines.append(f"| {m:,} | " + " | ".join(cell(row["points"], m, e) for e in COLUMNS) + " |")
        lines.append("")
    return "\n".join(lines)


def cell(points, m, estimator, lasso="lasso"):
    for p in points:
        if (p["models"], p["estimator"]) == (m, estimator):
            saved = "" if estimator == lasso else f" ({'>' * p['beyond']}{p['factor']:.1f})"
            return f"{p['lds'][0]:.3f}{saved}"
    return ""


def figure(found, path):
    from matplotlib.figure import Figure

    picture = Figure(figsize=(3.4 * len(found["rows"]), 3.6), layout="constrained")
    grid = picture.subplots(1, len(found["rows"]), squeeze=False)[0]
    for axes, row in zip(grid, found["rows"], strict=True):
        for label, style in zip(("lasso", "shared", f"guess {GUESSES[1]}"), ("o-", "s-", "D-"), strict=True):
            some = [(p["models"], p["lds"]) for p in row["points"] if p["estimator"] == label]
            if not some:
                continue
            m, lds = zip(*some, strict=True)
            value, low, high = np.array(lds).T
            (line,) = axes.plot(m, value, style, label=COLUMNS[label], markersize=4)
            axes.fill_between(m, low, high, alpha=0.15, color=line.get_color())
        if row["ceiling"] == row["ceiling"]:
            axes.axhline(row["ceiling"], linestyle=":", color="gray")
        axes.set(xscale="log", xlabel="models", xticks=CURVE[::2], xticklabels=[f"{m:,}" for m in CURVE[::2]])
        axes.minorticks_off()
        axes.set(title=",".join(row["task"].split(",")[:2]), ylim=(0, 1.02))
    grid[0].set_ylabel("LDS, held out")
    grid[0].legend(frameon=False, loc="lower right")
    picture.savefig(path, dpi=80)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="100 models of digits, prints only")
    parser.add_argument("--task", action="append", choices=list(TITLES), help="all by default")
    parser.add_argument("--data", type=Path, default=better.DATA)
    parser.add_argument("--folder", type=Path, default=HERE.parent / "runs" / "better", help="where the studies are")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    given = parser.parse_args()
    rows, before = [], load()
    with tempfile.TemporaryDirectory() as scratch:
        for name in ["digits"] if given.quick else given.task or TITLES:
            print(TITLES[name], flush=True)
            if given.quick:
                study = collected(name, given.data, Path(scratch), 100)
                rows.append(measured(name, study, given.data, (50,), (50, 100), (5, 20, 50)))
                continue
            given.folder.mkdir(parents=True, exist_ok=True)
            study = collected(name, given.data, given.folder, None)
            top = study.done(FIT).size
            some = [tuple(m for m in part if m <= top) for part in (SIZES, CURVE)]
            write(measured(name, study, given.data, *some, GUESSES), before, given.out)
    if rows:
        print(page({"rows": rows}))


def write(row, before, folder):
    """Add a task to the results, in place of what is there of it."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "guess.json"
    rows = json.loads(kept.read_text())["rows"] if kept.exists() else []
    rows = [one for one in rows if one["task"] != row["task"]] + [row]
    order = list(TITLES.values())
    found = {"cpu": cpu(), "versions": versions("numpy", "numba", "subtrain"), "load": [before, load()]}
    found["rows"] = sorted(rows, key=lambda one: order.index(one["task"]))
    kept.write_text(json.dumps(found, indent=1) + "\n")
    (folder / "guess.md").write_text(page(found))
    figure(found, folder / "guess.png")


if __name__ == "__main__":
    main()
