"""Planted duplicates: how many does `leakage` find by weights, and by weights and inputs?

    python benchmarks/leakage.py                       # digits, Fashion-MNIST and CIFAR-10: a minute or two
    python benchmarks/leakage.py --models 8000 --out docs/images/uses/leakage.png
    python benchmarks/leakage.py --quick               # does it run? (few models, prints only)

40 training images are changed copies of test images: exact, mirrored, cropped and moved, noisy. Prints recall at 1 %
false positives, and how many of the targets named are clean. Writes results/leakage.{json,md}. Weights of
Fashion-MNIST with duplicates planted in the same way are part of replication.py.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import better
import numpy as np
import replication_tasks
from planted_duplicates import KINDS, planted, recalls_of
from sklearn.datasets import load_digits

import subtrain as st

UNITS, CLEAN, EACH = 500, 200, 10
RESULTS = Path(__file__).parent / "results"


def digits():
    """Images uint8 and labels of both splits, and the units that duplicate the last targets."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(labels))
    train, test = order[:UNITS], order[UNITS : UNITS + CLEAN + 4 * EACH]
    images = (images * 15.9375).astype(np.uint8).reshape(-1, 8, 8)
    x, y, units = planted(images[train], labels[train], images[test], labels[test], EACH)
    return x, y, images[test], labels[test], units


def task():
    """An MLP on these digits."""
    x, y, x_test, y_test, _ = digits()
    return st.tasks.mlp(x / 255, y, x_test / 255, y_test, init="shared", outputs=["test_margins", "train_margins"])


def pictures(name, data):
    """Pictures alone, of a data set on which no network is trained here: those of units and targets, and the copies."""
    if name == "Fashion-MNIST":
        x, _, x_test, _, units = replication_tasks.fashion_images(data)
        return x, x_test, units
    with np.load(data / "cifar10" / "cifar10_lossless_subset.npz") as file:
        x, y, x_test, y_test = (file[part] for part in ("x_train", "y_train", "x_test", "y_test"))
    random = np.random.RandomState(2)
    train, test = random.permutation(len(y))[:2000], random.permutation(len(y_test))[: CLEAN + 4 * EACH]
    x, y, units = planted(x[train], y[train], x_test[test], y_test[test], EACH)
    return x, x_test[test], units


def row(task, dm, x, x_test, units, **scores):
    """Recalls by kind of each score of `leakage`, and how many of the targets it names at q <= 0.1 are clean."""
    rows = []
    for label, options in scores.items():
        found = st.leakage(dm, **options)
        named = np.unique(found.target[found.q <= found.fdr])
        recall = recalls_of(found, len(x_test), units)
        clean = int((named < len(x_test) - len(units)).sum())
        rows.append({"task": task, "score": label, "recall": recall, "named": int(named.size), "clean": clean})
        print(f"  {rows[-1]}", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--models", type=int, default=4000)
    parser.add_argument("--data", type=Path, default=better.DATA)
    parser.add_argument("--out", type=Path, help="write the figure of the suspects here")
    given = parser.parse_args()
    x, _, x_test, _, units = digits()
    with tempfile.TemporaryDirectory() as folder:
        design = st.Design(0.5, models=200 if given.quick else given.models, heldout=0, kind="fixed")
        study = st.Study.create(folder, f"{Path(__file__).resolve()}:task", design)
        study.collect()
        dm, train = st.fit(study, "test_margins"), st.fit(study, "train_margins")
    ways = {"weights": {"inputs": False}, "datamodels": {"inputs": False, "train": train}}
    ways |= {
        "inputs and weights": {"inputs": (x, x_test)},
        "inputs and datamodels": {"inputs": (x, x_test), "train": train},
    }
    rows = row("digits", dm, x, x_test, units, **ways)
    for name in () if given.quick else ("Fashion-MNIST", "CIFAR-10"):
        x, x_test, units = pictures(name, given.data)
        nothing = np.zeros((len(x), len(x_test)), np.float32)
        bare = st.Datamodels(nothing, nothing[0], nothing[0], {"output": "test_margins"})
        rows += row(name, bare, x, x_test, units, inputs={"inputs": (x, x_test)})
    if given.out:
        st.leakage(dm, train=train).figure().savefig(given.out, dpi=80)
    if not given.quick:
        (RESULTS / "leakage.json").write_text(json.dumps(rows, indent=1) + "\n")
        (RESULTS / "leakage.md").write_text(page(rows))


def page(rows):
    lines = ["# Planted duplicates that `leakage` finds", ""]
    lines += [
        f"{CLEAN} clean targets and {EACH} with a duplicate of each kind in the training set. Recall at 1 % false"
    ]
    lines += ["positives; a duplicate counts if the right unit is named. Named: targets at q <= 0.1.", ""]
    lines += [f"| data | score | all | {' | '.join(KINDS)} | named | of them clean |", "|---" * (5 + len(KINDS)) + "|"]
    for one in rows:
        cells = " | ".join(f"{one['recall'][kind]:.0%}" for kind in ("all", *KINDS))
        lines.append(f"| {one['task']} | {one['score']} | {cells} | {one['named']} | {one['clean']} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
