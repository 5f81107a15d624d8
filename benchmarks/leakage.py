"""Planted duplicates: how many does `leakage` find, and how many does similarity of pixels?

    python benchmarks/leakage.py                       # digits: 200 clean targets, 40 with a duplicate; a minute or two
    python benchmarks/leakage.py --models 8000 --out docs/images/uses/leakage.png
    python benchmarks/leakage.py --quick               # does it run? (few models)

Of 500 training images of handwritten digits, 40 are changed copies of test images: exact, mirrored, cropped and moved,
noisy. Prints recall at 1 % false positives, and what the false-discovery rate really was. Fashion-MNIST with duplicates
planted in the same way is part of replication.py.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from planted_duplicates import KINDS, planted, recalls
from sklearn.datasets import load_digits

import subtrain as st

UNITS, CLEAN, EACH = 500, 200, 10


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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--models", type=int, default=4000)
    parser.add_argument("--out", type=Path, help="write the figure of the suspects here")
    given = parser.parse_args()
    x, _, x_test, _, units = digits()
    with tempfile.TemporaryDirectory() as folder:
        design = st.Design(0.5, models=200 if given.quick else given.models, heldout=0, kind="fixed")
        study = st.Study.create(folder, f"{Path(__file__).resolve()}:task", design)
        study.collect()
        dm, train = st.fit(study, "test_margins"), st.fit(study, "train_margins")
    found = st.leakage(dm, train=train)
    print(found)
    suspect = found.q <= found.fdr
    targets = np.unique(found.target[suspect])
    print(f"{targets.size} suspect targets, {(targets < CLEAN).sum()} of them clean (asked for: {found.fdr:.0%})\n")
    print(f"| recall at 1 % false positives | all | {' | '.join(KINDS)} |")
    print("|---" * (2 + len(KINDS)) + "|")
    for name, recall in recalls(dm, x, x_test, units, train=train).items():
        print(f"| {name} | {' | '.join(f'{recall[kind]:.0%}' for kind in ('all', *KINDS))} |")
    if given.out:
        found.figure().savefig(given.out, dpi=80)


if __name__ == "__main__":
    main()
