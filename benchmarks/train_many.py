"""Models a second: subtrain's trainer against plain PyTorch, both with one single-threaded process per core.

    python benchmarks/train_many.py            # a few minutes on idle cores; writes benchmarks/results/train_many.*
    python benchmarks/train_many.py --quick    # does it run?

Both train the same models on digits (alpha = 0.5): the same subsets, initial weights, order of minibatches and recipe,
so their logits are compared too. The two take turns, so that both meet the same load.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import time
from dataclasses import asdict, dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from subtrain.trainers.mlp import LOGISTIC, initial_parameters, layer_sizes, minibatch_order, train_mlp
from subtrain.trainers.sgd import Sgd

THREADS = ("OMP", "OPENBLAS", "MKL", "NUMBA", "VECLIB_MAXIMUM", "BLIS")
TARGETS, CLASSES = 300, 10


@dataclass(frozen=True)
class Work:
    """What is trained: networks with these hidden widths on halves of `pool` digits."""

    name: str
    pool: int
    widths: tuple[int, ...]
    recipe: Sgd


WORKS = [
    Work("MLP-64, pool 500", 500, (64,), Sgd()),
    Work("MLP-64, pool 1000", 1000, (64,), Sgd()),
    Work("logistic regression, pool 1000", 1000, (), LOGISTIC),
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


def by_subtrain(work, masks, seeds):
    x, y, test, _ = digits(work.pool)
    return train_mlp(x, y, masks, seeds, [test], classes=CLASSES, widths=work.widths, recipe=work.recipe)[0]


def by_torch(work, masks, seeds):
    import torch

    torch.set_num_threads(1)
    x, y, test, _ = digits(work.pool)
    sizes = layer_sizes(x, work.widths, CLASSES)
    x, y, test = torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(test)
    logits = []
    for mask, seed in zip(masks, seeds.tolist(), strict=True):
        net = torch_network(torch, sizes, initial_parameters(sizes, seed))
        torch_descent(torch, net, x, y, minibatch_order(np.flatnonzero(mask), seed, work.recipe.epochs), work.recipe)
        with torch.no_grad():
            logits.append(net(test).numpy())
    return np.stack(logits)


def torch_network(torch, sizes, parameters):
    layers, at = [], 0
    for inputs, outputs in pairwise(sizes.tolist()):
        linear = torch.nn.Linear(inputs, outputs)
        weight = torch.from_numpy(parameters[at : at + inputs * outputs].reshape(inputs, outputs))
        at += (inputs + 1) * outputs
        linear.weight.data.copy_(weight.T)
        linear.bias.data.copy_(torch.from_numpy(parameters[at - outputs : at]))
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def torch_descent(torch, net, x, y, order, recipe):
    optimiser = torch.optim.SGD(
        net.parameters(),
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
    )
    loss = torch.nn.CrossEntropyLoss()
    rates = iter(recipe.rates(order.shape[1]).tolist())
    for epoch in torch.from_numpy(order.astype(np.int64)):
        for chosen in epoch.split(recipe.batch):
            optimiser.param_groups[0]["lr"] = next(rates)
            optimiser.zero_grad()
            loss(net(x[chosen]), y[chosen]).backward()
            optimiser.step()


TRAINERS = {"subtrain": by_subtrain, "PyTorch": by_torch}


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


def measure(pipes, work, models, repeats):
    """Rates of both trainers, in turns, and how well their models agree."""
    first = {name: train(pipes, name, work, 2)[1] for name in TRAINERS}  # compiled, imported, warm
    rates = {name: [] for name in TRAINERS}
    for _ in range(repeats):
        for name in TRAINERS:
            seconds, logits = train(pipes, name, work, models[name])
            rates[name].append(models[name] * len(pipes) / seconds)
            if name == "subtrain":
                accuracy = float((np.concatenate(logits).argmax(axis=2) == digits(work.pool)[3]).mean())
    medians = {name: statistics.median(r) for name, r in rates.items()}
    apart = max(float(np.abs(a - b).max()) for a, b in zip(*first.values(), strict=True))
    return {
        "work": work.name,
        "recipe": asdict(work.recipe),
        "models_a_repeat": {name: count * len(pipes) for name, count in models.items()},
        "rates": rates,
        "median": medians,
        "ratio": medians["subtrain"] / medians["PyTorch"],
        "accuracy": accuracy,
        "largest_logit_difference": apart,
    }


def table(found):
    lines = [
        "# Models a second, subtrain against plain PyTorch",
        "",
        f"{found['workers']} single-threaded processes on {found['cpu']}; median (lowest-highest) of "
        f"{found['repeats']} runs of each, in turns; digits, alpha = 0.5.",
        f"Load average {found['load_before']} before, {found['load_after']} after; {found['versions']}.",
        "",
        "| work | subtrain | PyTorch | ratio | accuracy | largest logit difference |",
        "|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        cells = [f"{row['median'][name]:,.0f} ({min(r):,.0f}-{max(r):,.0f})" for name, r in row["rates"].items()]
        rest = f"{row['ratio']:.1f} | {row['accuracy']:.3f} | {row['largest_logit_difference']:.0e}"
        lines.append(f"| {row['work']} | {' | '.join(cells)} | {rest} |")
    return "\n".join(lines) + "\n"


def versions():
    import numba
    import torch

    packages = ", ".join(f"{package.__name__} {package.__version__}" for package in (np, numba, torch))
    return f"Python {platform.python_version()}, {packages}"


def cpu():
    info = Path("/proc/cpuinfo")
    names = [s for s in info.read_text().splitlines() if s.startswith("model name")] if info.exists() else []
    return names[0].split(":")[1].strip() if names else platform.processor() or platform.machine()


def load():
    return [round(v, 2) for v in os.getloadavg()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small run, to see that it works")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    given = parser.parse_args()
    repeats = 2 if given.quick else given.repeats
    models = {"subtrain": 20, "PyTorch": 2} if given.quick else {"subtrain": 600, "PyTorch": 30}

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
        rows.append(measure(pipes, work, models, repeats))
    for pipe in pipes:
        pipe.send(None)
    found = {
        "workers": given.workers,
        "repeats": repeats,
        "cpu": cpu(),
        "versions": versions(),
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
