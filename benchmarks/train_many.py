"""Models a second: subtrain's trainer against plain PyTorch, both with one single-threaded process per core.

    python benchmarks/train_many.py            # a few minutes on idle cores; writes benchmarks/results/train_many.*
    python benchmarks/train_many.py --quick    # does it run?

Both train the same models on digits (alpha = 0.5): the same subsets, initial weights, order of minibatches and recipe,
so their logits are compared too. They take turns, so that all meet the same load. Convolutions by PyTorch are measured
in both memory formats, and the faster counts.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import time
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from machine import cores, cpu, load, versions

from subtrain.trainers.cnn import train_cnn
from subtrain.trainers.kit.sgd import Sgd
from subtrain.trainers.mlp import LOGISTIC, train_mlp

THREADS = ("OMP", "OPENBLAS", "MKL", "NUMBA", "VECLIB_MAXIMUM", "BLIS")
TARGETS, CLASSES = 300, 10


@dataclass(frozen=True)
class Work:
    """What is trained: networks with these blocks and hidden widths on halves of `pool` digits."""

    name: str
    pool: int
    widths: tuple[int, ...]
    recipe: Sgd
    channels: tuple[int, ...] = ()
    models: tuple[int, int] = (600, 30)

    @property
    def trainers(self):
        return [name for name in TRAINERS if self.channels or name != CHANNELS_LAST]

    def repeat(self, trainer, quick):
        """Models of one repeat on each worker."""
        models = self.models[trainer != "subtrain"]
        return -(-models // 20) if quick else models


WORKS = [
    Work("MLP-64, pool 500", 500, (64,), Sgd()),
    Work("MLP-64, pool 1000", 1000, (64,), Sgd()),
    Work("logistic regression, pool 1000", 1000, (), LOGISTIC),
    Work("CNN 16-32, pool 1000", 1000, (), Sgd(lr=0.05), (16, 32), (40, 8)),
]


@cache
def digits(pool):
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(labels))
    x = (images / 16).astype(np.float32)
    chosen, targets = order[:pool], order[pool : pool + TARGETS]
    return x[chosen], labels[chosen], x[targets], labels[targets]


def halves(pool, seeds):
    return np.stack([np.random.RandomState(s).permutation(pool) < pool // 2 for s in seeds])


def images(work):
    """The digits as the work's networks take them."""
    x, y, test, _ = digits(work.pool)
    return (x.reshape(-1, 8, 8), y, test.reshape(-1, 8, 8)) if work.channels else (x, y, test)


def by_subtrain(work, masks, seeds):
    x, y, test = images(work)
    settings = {"classes": CLASSES, "widths": work.widths, "recipe": work.recipe}
    if work.channels:
        return train_cnn(x, y, masks, seeds, [test], channels=work.channels, **settings)[0]
    return train_mlp(x, y, masks, seeds, [test], **settings)[0]


def by_torch(work, masks, seeds, channels_last=False):
    import torch_loop

    return torch_loop.train(*images(work), CLASSES, work, masks, seeds, channels_last)


CHANNELS_LAST = "PyTorch, channels last"
TRAINERS = {"subtrain": by_subtrain, "PyTorch": by_torch, CHANNELS_LAST: partial(by_torch, channels_last=True)}


def serve(pipe):
    """A worker: train what is asked for and send the logits back."""
    for trainer, work, seeds in iter(pipe.recv, None):
        seeds = np.array(seeds, np.uint32)
        pipe.send(TRAINERS[trainer](work, halves(work.pool, seeds), seeds))


def train(pipes, trainer, work, models):
    """Wall-clock seconds for `models` models on every worker, and their logits."""
    began = time.perf_counter()
    for w, pipe in enumerate(pipes):
        pipe.send((trainer, work, range(w * models, (w + 1) * models)))
    logits = [pipe.recv() for pipe in pipes]
    return time.perf_counter() - began, logits


def measure(pipes, work, repeats, quick):
    """Rates of all trainers, in turns, and how well their models agree."""
    first = {name: train(pipes, name, work, 2)[1] for name in work.trainers}  # compiled, imported, warm
    rates = {name: [] for name in work.trainers}
    for _ in range(repeats):
        for name in work.trainers:
            models = work.repeat(name, quick)
            seconds, logits = train(pipes, name, work, models)
            rates[name].append(models * len(pipes) / seconds)
            if name == "subtrain":
                accuracy = float((np.concatenate(logits).argmax(axis=2) == digits(work.pool)[3]).mean())
    medians = {name: statistics.median(r) for name, r in rates.items()}
    peer = max(work.trainers[1:], key=medians.get)
    apart = np.abs(np.concatenate(first["subtrain"]) - np.concatenate(first[peer])).max(axis=(1, 2))
    return {
        "work": work.name,
        "recipe": asdict(work.recipe),
        "models_a_repeat": {name: work.repeat(name, quick) * len(pipes) for name in work.trainers},
        "rates": rates,
        "median": medians,
        "peer": peer,
        "ratio": medians["subtrain"] / medians[peer],
        "accuracy": accuracy,
        "logit_difference": {"median": float(np.median(apart)), "largest": float(apart.max()), "models": apart.size},
    }


def table(found):
    lines = [
        "# Models a second, subtrain against plain PyTorch",
        "",
        f"{found['workers']} single-threaded processes on {found['cpu']}; median (lowest-highest) of "
        f"{found['repeats']} runs of each, in turns; digits, alpha = 0.5.",
        f"Load average {found['load_before']} before, {found['load_after']} after; {found['versions']}.",
        "",
        "| work | subtrain | PyTorch | ratio | accuracy | logit difference, median (largest) model |",
        "|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        shown = [(row["median"][name], row["rates"][name]) for name in ("subtrain", row["peer"])]
        cells = [f"{median:,.0f} ({min(rates):,.0f}-{max(rates):,.0f})" for median, rates in shown]
        rest = f"{row['ratio']:.1f} | {row['accuracy']:.3f} | {row['logit_difference']['median']:.0e} "
        rest += f"({row['logit_difference']['largest']:.0e})"
        lines.append(f"| {row['work']} | {' | '.join(cells)} | {rest} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small run, to see that it works")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--workers", type=int, default=cores())
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    given = parser.parse_args()
    repeats = 2 if given.quick else given.repeats

    os.environ.update({f"{library}_NUM_THREADS": "1" for library in THREADS})
    context = multiprocessing.get_context("spawn")
    pairs = [context.Pipe() for _ in range(given.workers)]
    for _, theirs in pairs:
        context.Process(target=serve, args=(theirs,), daemon=True).start()
    pipes = [ours for ours, _ in pairs]
    before = load()
    rows = []
    for work in WORKS:
        print(f"{work.name} …", flush=True)
        rows.append(measure(pipes, work, repeats, given.quick))
    for pipe in pipes:
        pipe.send(None)
    found = {
        "workers": given.workers,
        "repeats": repeats,
        "cpu": cpu(),
        "versions": versions("numpy", "numba", "torch"),
        "load_before": before,
        "load_after": load(),
        "rows": rows,
    }
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "train_many.json").write_text(json.dumps(found, indent=1) + "\n")
    (given.out / "train_many.md").write_text(table(found))
    print(table(found))


if __name__ == "__main__":
    main()
