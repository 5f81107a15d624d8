"""LASSO over more units than a Gram has room for: time, passes over the masks, certificates and peak memory.

    python benchmarks/large.py             # 200,000 and 1,000,000 units; some minutes; masks of 2.8 GB in a file
    python benchmarks/large.py --units 200000                 # one of them
    python benchmarks/large.py --quick     # does it run? Writes only to --out

Masks hold each unit with probability 1/2; every target depends on `support` units with weights of one size, and on
noise of the same variance. Each size is fitted by `LassoLarge` in a process of its own, which reads the masks from
disk in blocks: path, choice of lambda on a tenth of the models more, refit on all. Peak memory is the most that
process held (VmHWM), with the interpreter, the compiled kernels and the weights in it. The gap of every target's final
weights is computed again, in float64 and by numpy alone, from all masks and outputs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from subtrain.masks import Masks, row_bytes
from subtrain.regression import FitWarning, LassoLarge
from subtrain.regression.counting.threads import thread_count
from subtrain.regression.estimators.lasso_large import ModelPart
from subtrain.regression.large.mask_passes import correlate
from subtrain.regression.large.model_spool import room
from subtrain.regression.large.solver import plan_layout

RESULTS = Path(__file__).parent / "results"
CHUNK = 256
# Models whose masks are turned to float64 at a time where the gap is computed again.
FEW = 64


@dataclass(frozen=True)
class Work:
    units: int
    models: int
    targets: int
    support: int
    lambdas: int
    eps: float
    memory: int


QUICK = [Work(20_000, 1_000, 2, 10, 12, 0.3, 128 * 2**20)]
SIZES = [
    Work(200_000, 20_000, 4, 30, 50, 0.1, 2**30),
    Work(1_000_000, 20_000, 4, 30, 50, 0.1, 2 * 2**30),
]


def write_masks(path: Path, models: int, units: int, chosen: np.ndarray, seed: int) -> np.ndarray:
    """Random packed masks into a file; the bits [models, chosen] of the chosen units."""
    random = np.random.default_rng(seed)
    data = np.memmap(path, np.uint8, "w+", shape=(models, row_bytes(units)))
    bits = np.empty((models, chosen.size), bool)
    used = -(-units // 8)
    for start in range(0, models, CHUNK):
        some = random.integers(0, 256, (min(CHUNK, models - start), used), np.uint8)
        if units % 8:
            some[:, -1] &= (1 << units % 8) - 1
        data[start : start + len(some), :used] = some
        bits[start : start + len(some)] = some[:, chosen >> 3] >> (chosen & 7) & 1
    data.flush()
    return bits


def world(work: Work, folder: Path) -> list[np.ndarray]:
    """Masks and outputs of models that fit and that validate, into files; each target's true units."""
    random = np.random.default_rng(0)
    true = [random.choice(work.units, work.support, replace=False) for _ in range(work.targets)]
    chosen = np.unique(np.concatenate(true))
    weight = np.zeros((chosen.size, work.targets))
    for t, units in enumerate(true):
        weight[np.searchsorted(chosen, units), t] = random.choice([-1.0, 1.0], units.size)
    for k, (name, models) in enumerate(sizes(work).items()):
        clean = write_masks(folder / name, models, work.units, chosen, k) @ weight
        y = clean + np.sqrt(work.support / 4) * random.normal(size=clean.shape)
        np.save(folder / f"{name}.npy", y.astype(np.float32))
    return true


def sizes(work: Work) -> dict[str, int]:
    return {"fit": work.models, "valid": work.models // 10}


def blocks(path: Path, units: int, rows: int):
    """Masks and outputs of a file, some models at a time."""
    y = np.load(path.with_suffix(".npy"))
    width = row_bytes(units)
    with path.open("rb") as file:
        for start in range(0, len(y), rows):
            bits = np.fromfile(file, np.uint8, min(rows, len(y) - start) * width)
            yield Masks(bits.reshape(-1, width), units), y[start : start + rows]


def peak_memory() -> int:
    """The most this process has held. Its ru_maxrss would count what its parent held as well, on Linux."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    except (OSError, KeyError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def fit(work: Work, folder: Path) -> dict:
    """What the child process does and measures."""
    parts = [
        ModelPart(models, lambda rows, name=name: blocks(folder / name, work.units, rows))
        for name, models in sizes(work).items()
    ]
    model = LassoLarge(work.lambdas, work.eps, early_stop=2, memory=work.memory, folder=folder / "work")
    before = peak_memory()
    began, cpu = time.perf_counter(), time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FitWarning)
        model.fit_parts(parts, work.units, work.targets, itemsize=4)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = peak_memory()
    for name in ("weight", "bias", "lam"):
        np.save(folder / f"{name}.npy", getattr(model, f"{name}_"))
    return {
        "seconds": seconds,
        "cpu_seconds_per_target": cpu / work.targets,
        "passes": model.passes_,
        "lambdas_solved": int(np.isfinite(model.path_gap_).sum()),
        "path_gap_max": float(np.nanmax(model.path_gap_)),
        "gap_max": float(model.gap_.max()),
        "gaps": model.gap_.tolist(),
        "working_set": model.working_units_,
        "before_bytes": before,
        "peak_bytes": peak,
        "warnings": [str(w.message) for w in caught],
    }


def raw_gaps(work: Work, folder: Path) -> list[float]:
    """Relative duality gaps of the final weights from all masks and outputs, in float64, by numpy alone."""
    weight, bias, lam = (np.load(folder / f"{name}.npy") for name in ("weight", "bias", "lam"))
    used = np.flatnonzero(weight.any(axis=1))
    ones, pull, left, y = np.zeros(work.units), np.zeros((work.targets, work.units)), [], []
    for name in sizes(work):
        for masks, outputs in blocks(folder / name, work.units, FEW):
            bits = masks.unpack()
            left.append(outputs - bits[:, used].astype(np.float64) @ weight[used] - bias)
            y.append(outputs.astype(np.float64))
            wide = bits.astype(np.float64)
            ones += wide.sum(axis=0)
            pull += left[-1].T @ wide
    left, y = np.concatenate(left), np.concatenate(y)
    mean = ones / len(y)
    scale = np.sqrt(mean * (1 - mean))
    slope = np.abs((pull - np.outer(left.sum(axis=0), mean)) / len(y) / scale).max(axis=1)
    centered = y - y.mean(axis=0)
    square, fitted = (left**2).mean(axis=0), (centered * left).mean(axis=0)
    theta = np.minimum(lam / slope, fitted / square)
    primal = square / 2 + lam * (np.abs(weight) * scale[:, None]).sum(axis=0)
    dual = theta * fitted - theta**2 * square / 2
    return (2 * (primal - dual) / y.var(axis=0)).tolist()


def one_pass(work: Work, folder: Path, columns: int, threads: int) -> float:
    """Seconds of one pass over the masks, read from the file, with so many columns of outputs."""
    values = np.random.default_rng(0).normal(size=(work.models, columns))
    out = np.empty((work.units, columns))
    began = time.perf_counter()
    correlate(lambda: (masks for masks, _ in blocks(folder / "fit", work.units, 512)), values, out, threads)
    return time.perf_counter() - began


def measure(work: Work, folder: Path) -> dict:
    """Everything about one size; the masks lie in the folder."""
    true = world(work, folder)
    threads, models = thread_count(None), sum(sizes(work).values())
    held = room(models, work.units, work.targets, 4, work.memory)
    layout = plan_layout(work.units, models, work.targets, held.left, threads, models - work.models)
    load = os.getloadavg()[0]
    # The first process compiles the kernels for all that follow; its figures are not kept.
    for _ in range(2):
        child = subprocess.run(
            [sys.executable, __file__, "--child", json.dumps(asdict(work)), "--folder", str(folder)],
            check=True,
            capture_output=True,
            text=True,
        )
    found = json.loads(child.stdout.splitlines()[-1])
    weight = np.load(folder / "weight.npy")
    raw = raw_gaps(work, folder)
    columns = min(layout.targets * layout.ahead, 16)
    bare = one_pass(work, folder, columns, threads)
    return {
        **asdict(work),
        "threads": threads,
        **found,
        "raw_gap_max": max(raw),
        "raw_gaps": raw,
        "working_set_limit": layout.working,
        "targets_a_pass": layout.targets,
        "lambdas_a_pass": layout.ahead,
        "nonzero_mean": float(np.count_nonzero(weight, axis=0).mean()),
        "true_units_found": float(np.mean([weight[units, t].all() for t, units in enumerate(true)])),
        "masks_in_memory": held.masks,
        "masks_bytes": models * row_bytes(work.units),
        "gram_bytes": 4 * work.units**2,
        "pass_columns": columns,
        "pass_seconds": bare,
        "pass_products_per_second": work.units * work.models * columns / bare,
        "load_before": load,
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
    }


def table(found: list[dict]) -> str:
    lines = ["| |" + " |" * len(found), "|---|" + "---|" * len(found)]
    for name in found[0]:
        if name not in ("gaps", "raw_gaps"):
            lines.append(f"| {name} | " + " | ".join(shown(name, rows[name]) for rows in found) + " |")
    return "\n".join(lines)


def shown(name: str, value) -> str:
    if name.endswith("bytes") or name == "memory":
        return f"{value / 2**20:,.0f} MiB"
    if isinstance(value, list):
        return "; ".join(value) or "none"
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, help="this size only: 200000 or 1000000")
    parser.add_argument("--quick", action="store_true", help="small; writes only to --out")
    parser.add_argument("--folder", type=Path, help="where the masks' files go, by default the temporary folder")
    parser.add_argument("--out", type=Path, help="folder of the results")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(fit(Work(**json.loads(given.child)), given.folder)))
        return
    found = []
    for work in QUICK if given.quick else [w for w in SIZES if given.units in (None, w.units)]:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            found.append(measure(work, Path(folder)))
        print(table(found[-1:]))
    out = given.out or (None if given.quick else RESULTS)
    if out and found:
        out.mkdir(parents=True, exist_ok=True)
        (out / "large.json").write_text(json.dumps(found, indent=1) + "\n")
        (out / "large.md").write_text(f"# benchmarks/large.py\n\n{table(found)}\n")


if __name__ == "__main__":
    main()
