"""LASSO over more units than a Gram has room for: time, passes over the masks, and peak memory.

    python benchmarks/large.py             # 200,000 units; a few minutes; writes benchmarks/results/large.*
    python benchmarks/large.py --million   # 1,000,000 units, masks of 2.7 GB in a temporary file
    python benchmarks/large.py --quick     # does it run?

Masks hold each unit with probability 1/2 and lie in a memory-mapped file; every target depends on `support` units with
weights of one size, and on noise of the same variance. Lambda is chosen on a tenth of the models more. Memory is
what the process allocates (RssAnon; pages of the file are not in it) above what it held before the fit.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from subtrain.masks import Masks, row_bytes
from subtrain.regression.large import lasso_large, plan_layout
from subtrain.regression.passes import correlate
from subtrain.regression.threads import thread_count

RESULTS = Path(__file__).parent / "results"
CHUNK = 256


@dataclass(frozen=True)
class Work:
    units: int
    models: int
    targets: int
    support: int
    lambdas: int
    eps: float
    memory: int


SIZES = {
    "quick": Work(20_000, 1_000, 2, 10, 8, 0.3, 128 * 2**20),
    "default": Work(200_000, 20_000, 4, 30, 30, 0.1, 2 * 2**30),
    "million": Work(1_000_000, 20_000, 4, 30, 30, 0.1, 2 * 2**30),
}


class AnonymousMemory(threading.Thread):
    """The most anonymous memory of this process, looked at twenty times a second; 0 where /proc has no such figure."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.before = self.peak = self.now()
        self.over = threading.Event()

    @staticmethod
    def now() -> int:
        try:
            lines = Path("/proc/self/status").read_text().splitlines()
        except OSError:
            return 0
        return next((1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)

    def run(self) -> None:
        while not self.over.wait(0.05):
            self.peak = max(self.peak, self.now())

    def stop(self) -> int:
        self.over.set()
        self.join()
        return self.peak - self.before


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


def world(work: Work, folder: Path):
    """Masks and outputs that fit and that validate, and each target's true units."""
    random = np.random.default_rng(0)
    true = [random.choice(work.units, work.support, replace=False) for _ in range(work.targets)]
    chosen = np.unique(np.concatenate(true))
    weight = np.zeros((chosen.size, work.targets))
    for t, units in enumerate(true):
        weight[np.searchsorted(chosen, units), t] = random.choice([-1.0, 1.0], units.size)
    parts = []
    for name, models in (("fit", work.models), ("valid", work.models // 10)):
        path = folder / name
        clean = write_masks(path, models, work.units, chosen, len(parts)) @ weight
        y = clean + np.sqrt(work.support / 4) * random.normal(size=clean.shape)
        data = np.memmap(path, np.uint8, "r", shape=(models, row_bytes(work.units)))
        parts.append((Masks(data, work.units), y.astype(np.float32)))
    return parts[0], parts[1], true


def one_pass(masks: Masks, columns: int, threads: int) -> float:
    """Seconds of one pass with so many columns of outputs."""
    values = np.random.default_rng(0).normal(size=(len(masks), columns))
    out = np.empty((masks.n, columns))
    began = time.perf_counter()
    correlate(masks, values, out, threads)
    return time.perf_counter() - began


def measure(work: Work, folder: Path) -> dict:
    train, valid, true = world(work, folder)
    threads = thread_count(None)
    lasso_large(train[0][:500], train[1][:500], 3, 0.7, valid=(valid[0][:50], valid[1][:50]))  # Compiles.
    layout = plan_layout(work.units, work.models, work.targets, work.memory, threads, work.models // 10)
    memory = AnonymousMemory()
    memory.start()
    began, cpu = time.perf_counter(), time.process_time()
    path = lasso_large(*train, work.lambdas, work.eps, valid=valid, early_stop=2, memory_bytes=work.memory)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    peak = memory.stop()
    columns = min(layout.targets * layout.ahead, 16)
    bare = one_pass(train[0], columns, threads)
    found = [path.entries[t][path.best[t]][0] for t in range(work.targets)]
    return {
        **asdict(work),
        "threads": threads,
        "seconds": seconds,
        "cpu_seconds_per_target": cpu / work.targets,
        "passes": path.passes,
        "lambdas_solved": int(np.isfinite(path.gap).sum()),
        "gap_max": float(np.nanmax(path.gap)),
        "working_set": path.working,
        "working_set_limit": layout.working,
        "targets_a_pass": layout.targets,
        "lambdas_a_pass": layout.ahead,
        "nonzero_mean": float(np.mean([units.size for units in found])),
        "true_units_found": float(np.mean([np.isin(t, f).mean() for t, f in zip(true, found, strict=True)])),
        "memory_peak_bytes": peak,
        "gram_bytes": 4 * work.units**2,
        "pass_columns": columns,
        "pass_seconds": bare,
        "pass_products_per_second": work.units * work.models * columns / bare,
        "load_before": os.getloadavg()[0],
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
    }


def table(rows: dict) -> str:
    lines = ["| | |", "|---|---|"]
    for name, value in rows.items():
        shown = f"{value / 2**20:,.0f} MiB" if name.endswith("bytes") or name == "memory" else value
        lines.append(f"| {name} | {f'{shown:,.4g}' if isinstance(shown, float) else shown} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--million", action="store_true", help="1,000,000 units")
    parser.add_argument("--quick", action="store_true", help="small, and writes no result")
    parser.add_argument("--folder", type=Path, help="where the masks' file goes, by default the temporary folder")
    given = parser.parse_args()
    name = "quick" if given.quick else "million" if given.million else "default"
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        rows = measure(SIZES[name], Path(folder))
    print(table(rows))
    if not given.quick:
        RESULTS.mkdir(exist_ok=True)
        stem = RESULTS / ("large" if name == "default" else f"large_{name}")
        stem.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")
        stem.with_suffix(".md").write_text(f"# benchmarks/large.py\n\n{table(rows)}\n")


if __name__ == "__main__":
    main()
