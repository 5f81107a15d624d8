"""The paper's size on a laptop: lambda paths over 50,000 units and 300,000 models, from a compact Gram.

    python benchmarks/wide.py              # about 20 minutes on two idle cores, 8 GB of disk; writes results/wide.*
    python benchmarks/wide.py --quick      # a minute: does it run? prints only
    python benchmarks/wide.py --folder F   # keeps masks, outputs and counts in F, and uses those it finds there

Three kinds of targets, each with noise as large as its signal: "sparse", 100 units of one size; "power 1" and
"power 0.75", a weight on every unit, rank^-exponent. Masks hold each unit with probability 1/2; outputs are float16.
30,000 further models choose lambda. A target's CPU seconds are those of all threads over its path of up to 100 lambdas
down to 1e-3 lambda_max, stopping 5 lambdas after the validation minimum; every lambda is certified to 1e-4.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from counts import cpu_name
from numpy.typing import NDArray

from subtrain.masks import Masks, row_bytes
from subtrain.regression import LassoOptions, count_blocks
from subtrain.regression.lasso.lambda_choice import chosen_lambdas
from subtrain.regression.lasso.validation_error import ValidationModels

RESULTS = Path(__file__).parent / "results"
SHARD = 10_000
KINDS = ("sparse", "power 1", "power 0.75")


def make(folder: Path, m: int, n: int, each: int, part: int) -> None:
    """Shards of packed masks and float16 outputs [rows, kinds * each]."""
    random = np.random.default_rng(0)
    weight = np.zeros((n, len(KINDS) * each), np.float32)
    for t in range(each):
        units = random.choice(n, min(100, n // 10), replace=False)
        weight[units, t] = random.choice([-1.0, 1.0], units.size)
        for k, exponent in enumerate((1.0, 0.75), 1):
            sizes = np.arange(1, n + 1, dtype=np.float32) ** -exponent
            weight[random.permutation(n), k * each + t] = random.choice([-1.0, 1.0], n) * sizes
    deviation = np.sqrt((weight.astype(np.float64) ** 2).sum(axis=0) / 4).astype(np.float32)
    center = weight.sum(axis=0) / 2
    for k, first in enumerate(range(0, m, SHARD)):
        rows = min(SHARD, m - first)
        shard = np.random.default_rng([part, k])
        data = shard.integers(0, 256, (rows, row_bytes(n)), np.uint8)
        data[:, n // 8 :] = 0
        y = np.empty((rows, weight.shape[1]), np.float32)
        for i in range(0, rows, 1000):
            y[i : i + 1000] = Masks(data[i : i + 1000], n).unpack().astype(np.float32) @ weight
        y += deviation * shard.standard_normal(y.shape, np.float32) - center
        np.save(folder / f"{k:05d}.y.npy", (y / deviation * 2).astype(np.float16))
        np.save(folder / f"{k:05d}.masks.npy", data)


def shards(folder: Path, n: int) -> Iterator[tuple[Masks, NDArray[np.float16]]]:
    for path in sorted(folder.glob("*.masks.npy")):
        yield Masks(np.load(path), n), np.load(path.with_name(path.name.replace("masks", "y")))


def validation_models(folder: Path, n: int) -> ValidationModels:
    masks, outputs = zip(*shards(folder, n), strict=True)
    return ValidationModels(Masks(np.concatenate([part.data for part in masks]), n), np.concatenate(outputs))


def paths(counts, valid, targets: slice, threads: int) -> dict:
    """The paths of some targets: seconds, non-zeros, gaps."""
    began, used = time.perf_counter(), time.process_time()
    fit = chosen_lambdas(counts, valid, LassoOptions(threads=threads), targets=targets)
    wall, cpu = time.perf_counter() - began, time.process_time() - used
    count = targets.stop - targets.start
    nonzero = (fit.weight != 0).sum(axis=0)
    solved = np.isfinite(fit.path_gap).sum(axis=0)
    return {
        "targets": count, "wall": wall, "cpu_a_target": cpu / count, "non_zeros": int(np.median(nonzero)),
        "lambdas": float(np.median(solved)), "gap_max": float(np.nanmax(fit.path_gap)),
        "validation_r2": float(np.median(1 - fit.validation_mse[fit.best, np.arange(count)] / fit.validation_mse[0])),
        "hours_for_10000": cpu / count * 10_000 / threads / 3600,
    }  # fmt: skip


def run(folder: Path, m: int, n: int, each: int, threads: int) -> dict:
    for k, (part, models) in enumerate((("fit", m), ("valid", m // 10)), 1):
        place = folder / part
        if not (place / "made").exists():
            place.mkdir(parents=True, exist_ok=True)
            make(place, models, n, each, k)
            (place / "made").touch()
    began = time.perf_counter()
    counts = count_blocks(shards(folder / "fit", n), m, threads, gram="compact", resume=folder / "counts")
    seconds = time.perf_counter() - began
    valid = validation_models(folder / "valid", n)
    paths(counts, valid, slice(0, 2), threads)
    found = {"m": m, "n": n, "threads": threads, "counts_seconds": round(seconds, 1), "load": os.getloadavg()}
    for k, kind in enumerate(KINDS):
        found[kind] = paths(counts, valid, slice(k * each, (k + 1) * each), threads)
        print(kind, json.dumps(found[kind]), flush=True)
    return found | {"peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, "cpu": cpu_name()}


def table(found: dict) -> str:
    """The result as Markdown."""
    sizes = f"{found['m']:,} + {found['m'] // 10:,} models x {found['n']:,} units"
    load = ", ".join(f"{x:.1f}" for x in found["load"])
    names = "targets | how many | CPU-s a target | wall, s | non-zeros | lambdas | largest gap | R2 | hours for 10,000"
    lines = [
        "# Paths at the paper's size", "", __doc__.split("\n\n", 2)[2].strip(), "",
        f"{found['cpu']}, {found['threads']} threads, load average {load}; {sizes}. Counts of all targets, from packed "
        f"shards on disk and kept on disk: {found['counts_seconds']} s. Peak memory {found['peak_gb']:.1f} GB, the "
        "judging models included. R2: of the validation models' outputs; half of their variance is noise.", "",
        f"| {names} |", "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for kind in KINDS:
        row = found[kind]
        cells = [
            kind, row["targets"], f"{row['cpu_a_target']:.3f}", f"{row['wall']:.1f}", row["non_zeros"],
            f"{row['lambdas']:.0f}", f"{row['gap_max']:.1g}", f"{row['validation_r2']:.3f}",
            f"{row['hours_for_10000']:.2f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--folder", type=Path)
    options.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    given = options.parse_args()
    sizes = (6_000, 1_000, 4) if given.quick else (300_000, 50_000, 64)
    with tempfile.TemporaryDirectory() as temporary:
        found = run(given.folder or Path(temporary), *sizes, given.threads)
    print(json.dumps(found, indent=1))
    if not given.quick:
        (RESULTS / "wide.json").write_text(json.dumps(found, indent=1) + "\n")
        (RESULTS / "wide.md").write_text(table(found))


if __name__ == "__main__":
    main()
