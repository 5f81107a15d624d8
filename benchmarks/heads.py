"""Heads an hour on frozen features: subtrain beside scikit-learn and PyTorch, one single-threaded process per core.

    python benchmarks/heads.py            # about ten minutes on two idle cores; writes benchmarks/results/heads.*
    python benchmarks/heads.py --quick    # does it run?

50,000 x 256 features, 10 classes, 2,000 targets, alpha = 0.5, lam = 1. All train on the same subsets and take turns, so
that they meet the same load; their logits are compared with scikit-learn's in float64. Then the same ridge heads as a
study, through `collect`, worker processes and disk included.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from functools import cache, partial
from pathlib import Path

import numpy as np
from train_many import THREADS, cpu, load, versions

import subtrain as st
from subtrain.trainers.frozen import frozen
from subtrain.trainers.logistic import train_logistic_head
from subtrain.trainers.ridge import train_ridge

EXAMPLES = int(os.environ.get("SUBTRAIN_HEADS_EXAMPLES", "50000"))
"""Set by --quick for all processes."""
FEATURES, CLASSES, TARGETS, LATENT, LAM = 256, 10, 2_000, 64, 1.0


@cache
def data():
    """Rectified features of a random layer, with labels that are linear in what lies below it, and noise."""
    random = np.random.RandomState(0)
    below = random.standard_normal((EXAMPLES + TARGETS, LATENT))
    noise = random.standard_normal((EXAMPLES + TARGETS, FEATURES))
    x = np.maximum(below @ random.standard_normal((LATENT, FEATURES)) / LATENT**0.5 + 0.3 * noise, 0)
    logits = below @ random.standard_normal((LATENT, CLASSES))
    y = (logits + 3 * random.standard_normal(logits.shape)).argmax(axis=1)
    x = x.astype(np.float32)
    return x[:EXAMPLES], y[:EXAMPLES], x[EXAMPLES:], y[EXAMPLES:]


@cache
def prepared():
    x, y, test, _ = data()
    return frozen(x, y, [test], CLASSES)


def task():
    """The study's task; each of its worker processes calls this again."""
    return st.tasks.ridge_head(*data(), lam=LAM, outputs=["test_margins"])


def ridge_by_subtrain(masks):
    return train_ridge(prepared(), masks, LAM)[0]


def ridge_by_sklearn(masks, dtype=np.float32):
    from sklearn.linear_model import Ridge

    x, y, test, _ = data()
    target = np.eye(CLASSES, dtype=dtype)[y]
    fitted = (Ridge(alpha=LAM, solver="cholesky").fit(x[m].astype(dtype), target[m]) for m in masks)
    return np.stack([model.predict(test.astype(dtype)) for model in fitted])


def ridge_by_torch(masks):
    import torch

    torch.set_num_threads(1)
    x, y, test, _ = (torch.from_numpy(part) for part in data())
    target = torch.nn.functional.one_hot(y, CLASSES).float()
    logits = []
    for mask in torch.from_numpy(masks):
        rows, some = x[mask], target[mask]
        mean, share = rows.mean(dim=0), some.mean(dim=0)
        rows = rows - mean
        factor = torch.linalg.cholesky(rows.T @ rows + LAM * torch.eye(FEATURES))
        weight = torch.cholesky_solve(rows.T @ (some - share), factor)
        logits.append(((test - mean) @ weight + share).numpy())
    return np.stack(logits)


def logistic_by_subtrain(masks):
    return train_logistic_head(prepared(), masks, LAM)[0]


def logistic_by_sklearn(masks, tol=1e-4, dtype=np.float32):
    from sklearn.linear_model import LogisticRegression

    x, y, test, _ = data()
    models = (LogisticRegression(C=1 / LAM, tol=tol, max_iter=10_000) for _ in masks)
    fitted = (model.fit(x[m].astype(dtype), y[m]) for model, m in zip(models, masks, strict=True))
    return np.stack([model.decision_function(test.astype(dtype)) for model in fitted])


HEADS = {
    "ridge": {"subtrain": ridge_by_subtrain, "scikit-learn": ridge_by_sklearn, "PyTorch": ridge_by_torch},
    "logistic": {"subtrain": logistic_by_subtrain, "scikit-learn": logistic_by_sklearn},
}
EXACT = {
    "ridge": partial(ridge_by_sklearn, dtype=np.float64),
    "logistic": partial(logistic_by_sklearn, tol=1e-8, dtype=np.float64),
}
MODELS = {"ridge": {"subtrain": 60, "scikit-learn": 12, "PyTorch": 20}, "logistic": {"subtrain": 4, "scikit-learn": 1}}


def halves(rows):
    return st.Design(alpha=0.5, models=max(rows) + 1, heldout=0, kind="fixed").for_units(EXAMPLES).masks(rows).unpack()


def serve(pipe):
    """A worker: train what is asked for and send the logits back."""
    for head, trainer, rows in iter(pipe.recv, None):
        masks = halves(rows)
        pipe.send("ready")
        pipe.recv()
        pipe.send((HEADS[head] | {"float64": EXACT[head]})[trainer](masks))


def train(pipes, head, trainer, models):
    """Wall-clock seconds for `models` models on every worker, their subsets drawn before, and their logits."""
    for w, pipe in enumerate(pipes):
        pipe.send((head, trainer, range(w * models, (w + 1) * models)))
    for pipe in pipes:
        pipe.recv()
    began = time.perf_counter()
    for pipe in pipes:
        pipe.send("go")
    logits = [pipe.recv() for pipe in pipes]
    return time.perf_counter() - began, logits


def measure(pipes, head, repeats, share):
    """Rates of all trainers, in turns, and how far their logits are from float64's."""
    counts = {name: max(1, int(count * share)) for name, count in MODELS[head].items()}
    first = {name: train(pipes[:1], head, name, 1)[1][0] for name in (*counts, "float64")}
    apart = {name: float(np.abs(first[name] - first["float64"]).max()) for name in counts}
    for name in counts:
        train(pipes, head, name, 1)  # every process imported, compiled and warm
    rates = {name: [] for name in counts}
    for _ in range(repeats):
        for name, models in counts.items():
            rates[name].append(3600 * models * len(pipes) / train(pipes, head, name, models)[0])
    medians = {name: statistics.median(r) for name, r in rates.items()}
    return {
        "head": head,
        "models_a_repeat": {name: models * len(pipes) for name, models in counts.items()},
        "models_an_hour": rates,
        "median": medians,
        "ratio": {name: medians["subtrain"] / rate for name, rate in medians.items()},
        "largest_difference_from_float64": apart,
    }


def through_collect(models, workers):
    """A study of ridge heads from start to last commit, worker processes started and data made in each of them."""
    with tempfile.TemporaryDirectory() as folder:
        design = st.Design(alpha=0.5, models=models, heldout=0, kind="fixed")
        study = st.Study.create(Path(folder) / "study", f"{Path(__file__).resolve()}:task", design)
        began = time.perf_counter()
        study.collect(workers=workers, progress=False)
        seconds = time.perf_counter() - began
    return {"models": models, "seconds": seconds, "models_an_hour": 3600 * models / seconds}


def table(found):
    lines = [
        "# Heads an hour on frozen features",
        "",
        f"{found['examples']:,} x {FEATURES} features, {CLASSES} classes, {TARGETS:,} targets, alpha = 0.5, "
        f"lam = {LAM:g}; {found['workers']} single-threaded processes on {found['cpu']}; median (lowest-highest) of "
        f"{found['repeats']} runs of each, in turns.",
        f"Load average {found['load_before']} before, {found['load_after']} after; {found['versions']}.",
        "",
        "| head | with | models an hour | subtrain is faster by | largest logit difference from float64 |",
        "|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        for name, rates in row["models_an_hour"].items():
            rate = f"{row['median'][name]:,.0f} ({min(rates):,.0f}-{max(rates):,.0f})"
            apart = row["largest_difference_from_float64"][name]
            lines.append(f"| {row['head']} | {name} | {rate} | {row['ratio'][name]:.1f} | {apart:.0e} |")
    study = found["collect"]
    lines += [
        "",
        f"Ridge heads through `collect`, start of the workers and commits included: {study['models']:,} models in "
        f"{study['seconds']:.0f} s, {study['models_an_hour']:,.0f} an hour.",
    ]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small run, to see that it works")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    given = parser.parse_args()
    repeats, share, models = (1, 0.1, 100) if given.quick else (given.repeats, 1, 4000)
    if given.quick:
        os.environ["SUBTRAIN_HEADS_EXAMPLES"] = "2000"

    os.environ.update({f"{library}_NUM_THREADS": "1" for library in THREADS})
    context = multiprocessing.get_context("spawn")
    pairs = [context.Pipe() for _ in range(given.workers)]
    for _, theirs in pairs:
        context.Process(target=serve, args=(theirs,), daemon=True).start()
    pipes = [ours for ours, _ in pairs]
    before, rows = load(), []
    for head in HEADS:
        print(f"{head} …", flush=True)
        rows.append(measure(pipes, head, repeats, share))
    for pipe in pipes:
        pipe.send(None)
    print("collect …", flush=True)
    found = {
        "examples": int(os.environ.get("SUBTRAIN_HEADS_EXAMPLES", EXAMPLES)),
        "workers": given.workers,
        "repeats": repeats,
        "cpu": cpu(),
        "versions": versions(),
        "load_before": before,
        "rows": rows,
        "collect": through_collect(models, given.workers),
        "load_after": load(),
    }
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "heads.json").write_text(json.dumps(found, indent=1) + "\n")
    (given.out / "heads.md").write_text(table(found))
    print(table(found))


if __name__ == "__main__":
    main()
