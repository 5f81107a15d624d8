"""What tells the level of outputs: how far predictions are off for a model of all units, and for larger subsets.

    python benchmarks/levels.py                     # three tasks: half an hour on two cores
    python benchmarks/levels.py --task digits       # one of them; may be repeated
    python benchmarks/levels.py --quick             # does it run? (prints only)

A study of 1,000 random subsets of half the units is fitted by three estimators, with and without its 24 anchors, and
compared with as many models on subsets of mixed sizes (0.5, 0.7 and 0.9) and with 24 models of all units alone
(calibration). The truth is the mean of 100 other models at each size. An error is the root mean square over targets,
of a prediction's mean over the size's subsets, with the truth's own noise taken out. LDS: on the same 100 held-out
subsets x 2 of half the units. Writes results/levels.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import designs
import guess
import numpy as np
from machine import cpu, load, versions

import subtrain as st
from subtrain.evaluation import score
from subtrain.evaluation_models import even_replicates
from subtrain.regression.fit_warnings import FitWarning

HERE = Path(__file__).parent
TASKS = {name: designs.TITLES[name] for name in ("digits", "fashion_mlp", "cifar_cnn")}
SIZES = (0.6, 0.75, 0.9, 0.95, 1.0)
MIXED = (0.5, 0.7, 0.9)
CONTROLS = 24
ESTIMATORS = {"LASSO": st.Lasso, "ridge": st.Ridge, "SharedPrior": st.SharedPrior}


def truths(study, runs):
    """For each size its masks [k, n] and the outputs [k, T] of models that nothing is fitted on."""
    random, found = np.random.default_rng(5), {}
    for size in SIZES:
        masks = np.ones((1, study.n), bool)
        if size < 1:
            masks = np.zeros((runs, study.n), bool)
            for mask in masks:
                mask[random.choice(study.n, int(size * study.n), replace=False)] = True
        each = runs if size == 1 else 1
        y = st.retrain(study, masks, each, name=f"truth-{size:g}").outputs("test_margins").astype(np.float64)
        found[size] = masks, y.reshape(runs, -1)
    return found


def off(predict, masks, y):
    """Root mean square over targets of the error of the mean at one size, without the truth's own noise."""
    apart = predict(masks).mean(axis=0) - y.mean(axis=0)
    return float(np.sqrt(max(0.0, np.mean(apart**2 - y.var(axis=0, ddof=1) / len(y)))))


def measured(name, data, folder, models, runs):
    place, params = designs.task_of(name, data)

    def collected(tag, **design):
        study = st.Study.create(
            folder / f"{name}-{tag}", place, design=st.Design(**design), params=params, exist_ok=True
        )
        study.collect()
        return study

    study = collected("one-size", models=models, heldout=100, replicates=2, kind="fixed", anchors=24)
    mixed = collected("mixed", alpha=MIXED, models=models, heldout=0, kind="fixed")
    controls = st.retrain(study, np.ones((1, study.n), bool), CONTROLS, name="controls").outputs("test_margins")[0]
    truth = truths(study, runs)
    index, subsets, replicates = even_replicates(study, study.done("evaluation"))
    held, y = study.masks(index[::replicates]), study.read("test_margins", index).astype(float)
    y = y.reshape(subsets, replicates, -1)
    rows = []

    def add(label, predict, whole_error=None):
        lds = score(predict(held.unpack()), y).lds.value
        row = {"way": label, "lds": lds, "off": {f"{size:g}": off(predict, *truth[size]) for size in SIZES}}
        if whole_error is not None:
            apart = predict(np.ones((1, study.n), bool))[0] - truth[1.0][1].mean(axis=0)
            error = np.sqrt(whole_error**2 + truth[1.0][1].var(axis=0, ddof=1) / runs)
            row["coverage"] = float(np.mean(np.abs(apart) < 1.96 * error))
        print(f"  {row}", flush=True)
        rows.append(row)

    for label, estimator in ESTIMATORS.items():
        dm = study.fit("test_margins", estimator(), keep_counts=False)
        plain = st.Datamodels(dm.weight, dm.bias, dm.lam)
        add(f"{label}, one size", plain.predict)
        if label == "LASSO":
            add(f"{label}, {CONTROLS} models of all units", calibrated(plain, controls))
        add(f"{label}, 24 anchors", dm.predict, dm.level[2])
    add("LASSO, mixed sizes", mixed.fit("test_margins", keep_counts=False).predict)
    return {"task": TASKS[name], "models": models, "runs": runs, "targets": dm.targets, "rows": rows}


def calibrated(plain, controls):
    """A line from the datamodels' level at half the units to the controls' mean at all of them."""
    more = controls.mean(axis=0, dtype=np.float64) - plain.whole()
    return lambda masks: plain.predict(masks) + np.outer(2 * masks.mean(axis=1) - 1, more)


def page(found):
    lines = ["# Levels: what tells the output of a model of all units", ""]
    lines += ["Root mean square error over targets of the predicted mean output, by the share of units trained on."]
    lines += [f"{found['versions']}; {found['cpu']}."]
    for task in found["tasks"]:
        lines += ["", f"## {task['task']}", ""]
        lines += [
            f"{task['models']:,} models to fit on, {task['targets']} targets, truth from {task['runs']} models.",
            "",
        ]
        lines += ["| | LDS at 0.5 | " + " | ".join(f"{size:g}" for size in SIZES) + " | 95 % interval holds, at 1 |"]
        lines += ["|---|---|" + "---|" * (len(SIZES) + 1)]
        for row in task["rows"]:
            cells = " | ".join(f"{row['off'][f'{size:g}']:.3f}" for size in SIZES)
            held = f"{row['coverage']:.0%}" if "coverage" in row else ""
            lines += [f"| {row['way']} | {row['lds']:.3f} | {cells} | {held} |"]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", action="append", choices=list(TASKS))
    parser.add_argument("--data", type=Path, default=guess.better.DATA)
    parser.add_argument("--folder", type=Path, default=Path("runs/levels"))
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    warnings.simplefilter("ignore", FitWarning)  # of few models some targets cannot be predicted
    models, runs = (120, 8) if args.quick else (1000, 100)
    names = ["digits"] if args.quick else args.task or list(TASKS)
    before = load()
    tasks = [measured(name, args.data, args.folder, models, runs) for name in names]
    found = {"versions": versions("subtrain", "numpy", "numba"), "cpu": cpu(), "load": [before, load()], "tasks": tasks}
    if args.quick:
        print(page(found))
        return
    (HERE / "results" / "levels.json").write_text(json.dumps(found, indent=1) + "\n")
    (HERE / "results" / "levels.md").write_text(page(found))


if __name__ == "__main__":
    main()
