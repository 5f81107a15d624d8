"""Projected influence tables of a PyTorch module: their LDS by directions and sampled labels, and what they cost.

    python benchmarks/guess_torch.py            # digits, 5 models: some minutes
    python benchmarks/guess_torch.py --quick    # does it run? (prints only)

The module is the digits network of guess.py (64 units), trained by subtrain's PyTorch loop on the first masks of that
study with seeds of its own. LDS of the mean tables alone, against the study's held-out models; cost of a table over
that of the module's own training. Writes results/guess_torch.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import better
import guess
import numpy as np
import torch
from machine import cpu, load, versions

import subtrain as st
from subtrain.evaluation import score
from subtrain.evaluation_models import even_replicates
from subtrain.influence.gauss_newton import EXACT, Precision
from subtrain.influence.torch_module import module_table
from subtrain.trainers.torch.recipe import TorchRecipe

HERE = Path(__file__).parent
K = 5
# Directions and rows of the curvature for each example; None: as the program chooses.
SETTINGS = {
    "all directions, all labels": (EXACT, 10),
    "as chosen by default": (None, None),
    **{f"{k:,} directions, {s} labels": (Precision(0.01, k), s) for k in (1024, 256, 64) for s in (4, 1)},
}


def network():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))


def module_task():
    x, y, x_test, y_test = better.arrays("digits", better.DATA)
    recipe = TorchRecipe(20, 32, 0.1, 0.9, 0.01, schedule="cosine", nesterov=True, device="cpu")
    return st.tasks.torch_module(network, (x, y), (x_test, y_test), recipe)


def means(task, masks, seeds, precision, samples):
    """Mean tables of the models with each unit and of those without it, added; and processor seconds of each model."""
    kept, labels, margin = task.influence.args
    inside = outside = 0.0
    spent = []
    for mask, seed in zip(masks, seeds.tolist(), strict=True):
        began = time.process_time()
        table = module_table(kept.made(), labels, margin, mask, seed, "test_margins", precision, samples)
        spent.append(time.process_time() - began)
        inside, outside = inside + mask[:, None] * table, outside + ~mask[:, None] * table
    held = masks.sum(axis=0)[:, None]
    return inside / np.maximum(held, 1) + outside / np.maximum(len(masks) - held, 1), float(np.median(spent))


def training_seconds(task, masks, seeds):
    spent = []
    for mask, seed in zip(masks, seeds.tolist(), strict=True):
        began = time.process_time()
        task.train_one(np.flatnonzero(mask), seed)
        spent.append(time.process_time() - began)
    return float(np.median(spent))


def measured(study, models, settings):
    index, subsets, replicates = even_replicates(study, study.done("evaluation"))
    y = study.read("test_margins", index).astype(np.float64).reshape(subsets, replicates, -1)
    held = study.masks(index[::replicates]).unpack()
    rows, task = study.done("fit")[:models], module_task()
    masks, seeds = study.masks(rows).unpack(), study.design.seeds(rows)
    training = training_seconds(task, masks, seeds)
    points = []
    for label, (precision, samples) in settings.items():
        table, seconds = means(task, masks, seeds, precision, samples)
        lds = score(held @ table, y, bootstrap=0).lds.value
        points.append({"setting": label, "lds": lds, "trainings": round((seconds - training) / training, 2)})
        print(f"  {points[-1]}", flush=True)
    native = sum(st.guess(study, models, name=f"benchmark-{models}", progress=False).tables())
    lds = score(held @ native.astype(np.float64), y, bootstrap=0).lds.value
    points.append({"setting": "native networks, as guess.py", "lds": lds})
    print(f"  {points[-1]}", flush=True)
    return points


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/better"))
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    before = load()
    study = guess.collected("digits", better.DATA, args.folder, 100 if args.quick else None)
    some = dict(list(SETTINGS.items())[-2:]) if args.quick else SETTINGS
    points = measured(study, 2 if args.quick else K, some)
    if args.quick:
        return
    found = {"versions": versions("subtrain", "torch"), "cpu": cpu(), "load": [before, load()], "points": points}
    (HERE / "results" / "guess_torch.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
