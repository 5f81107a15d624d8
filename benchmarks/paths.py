"""LASSO paths: subtrain from bool masks to chosen weights, against other solvers at the same measured gap.

    python -m venv /tmp/peers
    /tmp/peers/bin/pip install -e . -r benchmarks/requirements.txt
    /tmp/peers/bin/pip install --no-deps adelie                # its numpy < 2 pin is older than what it works with
    /tmp/peers/bin/python benchmarks/paths.py                  # hours: writes benchmarks/results/paths.{json,md}
    /tmp/peers/bin/python benchmarks/paths.py --quick          # a minute: does it run? writes nothing

One thread for everybody, in CPU seconds, which other work on the machine disturbs least. Peers get what they need
before their clock starts (standardized masks; the Gram is listed apart, and added once a job), solve a few targets and
are extrapolated to all; they neither validate nor refit. subtrain packs, counts, solves, validates every lambda,
chooses and refits, all targets; once along the whole path as the peers, once stopping 5 lambdas after the validation
minimum, its default. Every solution is judged by the same duality gap, recomputed in float64 from the standardized
masks.
"""

from __future__ import annotations

# ruff: noqa: E402 (numpy reads the number of threads when it is imported)
import argparse
import json
import os
import sys

for _name in ("OMP", "OPENBLAS", "MKL", "NUMBA", "VECLIB_MAXIMUM", "BLIS"):
    os.environ.setdefault(f"{_name}_NUM_THREADS", "1")

import platform
import statistics
import time
import warnings
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from peers import PEERS, Problem, measure
from planted import Planted, lambdas_of, planted, relative_gap

from subtrain.masks import pack
from subtrain.regression import FitWarning, Lasso, count, lasso_path
from subtrain.regression.lasso.validation_error import validation_models

RESULTS = Path(__file__).parent / "results"
EPS, GAP = 1e-3, 1e-4
SAGA_BATCH = 1000


@dataclass(frozen=True)
class Size:
    """lambdas: of the path; sample: targets that the peers solve; saga: its epochs at most, 0 for a timing alone."""

    m: int
    n: int
    targets: int
    lambdas: int = 100
    sample: int = 2
    saga: int = 0


FULL = [Size(5_000, 1_000, 200, saga=1000), Size(20_000, 2_000, 200), Size(50_000, 5_000, 200, sample=1)]
QUICK = [Size(600, 100, 6, lambdas=20, saga=60)]


def ours(data: Planted, size: Size, early_stop: int | None, threads: int, repeats: int) -> dict:
    """Median seconds of the whole job, wall and CPU."""
    wall, cpu = [], []
    for _ in range(repeats):
        began, used = time.perf_counter(), time.process_time()
        fit(data, size, early_stop, threads)
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - used)
    return {"wall": statistics.median(wall), "cpu": statistics.median(cpu), "runs": wall}


def fit(data: Planted, size: Size, early_stop: int | None, threads: int) -> Lasso:
    split = np.arange(data.valid)
    model = Lasso(lambdas=size.lambdas, eps=EPS, tol=GAP, early_stop=early_stop, threads=threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return model.fit(data.masks, data.y, sample_split=split)


def stages(data: Planted, size: Size) -> dict:
    """CPU seconds of each stage, on one thread."""
    v, took = data.valid, {}

    def clock(name, work, *args, **options):
        began = time.process_time()
        result = work(*args, **options)
        took[name] = time.process_time() - began
        return result

    packed = clock("pack", pack, data.masks)
    train = clock("counts", count, packed[v:], data.y[v:], threads=1)
    judge = validation_models(packed[:v], data.y[:v])
    options = {"lambdas": size.lambdas, "eps": EPS, "threads": 1}
    path = clock("whole path, validated", lasso_path, train, judge, **options)
    clock("whole path, not validated", lasso_path, train, **options)
    clock("path to 5 past the minimum", lasso_path, train, judge, early_stop=5, **options)
    took["non-zeros at the best lambda"] = float((path.weight != 0).sum(axis=1).mean())
    return took


def our_gap(problem: Problem, data: Planted, size: Size, ys: list, grids: list) -> float:
    """The largest gap of our whole paths, by the judge of everybody."""
    v, some = data.valid, len(ys)
    counts = count(data.masks[v:], data.y[v:, :some])
    path = lasso_path(counts, lambdas=np.stack(grids), tol=GAP, keep=True, threads=1)
    scale = problem.masks.std(axis=0)
    return max(float(relative_gap(problem.x, ys[t], (path.weights[t] * scale).T, grids[t]).max()) for t in range(some))


def saga(data: Planted, size: Size, problem: Problem, ys: list, grids: list) -> dict:
    """Seconds an epoch for all targets; with `size.saga` epochs also the gaps of the path of the sampled ones."""
    import torch
    from saga import saga_path

    torch.set_num_threads(1)
    v = data.valid
    every = np.repeat(np.stack(grids[:1]), size.targets, axis=0)
    timed = saga_path(data.masks[v:], data.y[v:], every, SAGA_BATCH, epochs=2)
    found = {"seconds_an_epoch": statistics.median(timed.seconds), "targets": size.targets}
    if size.saga:
        some = saga_path(data.masks[v:], data.y[v:, : len(ys)], np.stack(grids), SAGA_BATCH, epochs=size.saga)
        gaps = np.stack([relative_gap(problem.x, y, c.T, g) for y, c, g in zip(ys, some.coefs, grids, strict=True)])
        found |= {"epochs": some.epochs, "lambdas_unfinished": int(np.isnan(gaps).sum()), "lambdas": gaps.size}
        if not np.isnan(gaps).all():
            found |= {"gap_median": float(np.nanmedian(gaps)), "gap_max": float(np.nanmax(gaps))}
    return found


def run(size: Size, repeats: int) -> dict:
    """One size: us, the peers, SAGA."""
    print(f"{size.m} x {size.n}", file=sys.stderr, flush=True)
    data = planted(size.m, size.n, size.targets)
    v = data.valid
    load = os.getloadavg()
    mine = {"whole path": ours(data, size, None, 1, repeats), "default": ours(data, size, 5, 1, repeats)}
    took = stages(data, size)
    problem = Problem(data.masks[v:])
    ys = [(y := data.y[v:, t].astype(np.float64)) - y.mean() for t in range(min(size.sample, size.targets))]
    grids = [lambdas_of(problem.x, y, size.lambdas, EPS) for y in ys]
    gap = our_gap(problem, data, size, ys, grids)
    peers = {peer.name: measure(peer, problem, ys, grids, GAP) for peer in PEERS}
    for peer in PEERS:
        if "wall" in peers[peer.name]:
            gram = problem.gram_seconds if peer.gram else 0.0
            job = gram + size.targets * peers[peer.name]["cpu"]
            peers[peer.name] |= {"job": job} | {f"times_{k}": job / mine[k]["cpu"] for k in mine}
    return {
        "m": size.m, "n": size.n, "targets": size.targets, "lambdas": size.lambdas, "load_before": load,
        "load_after": os.getloadavg(), "ours": mine, "our_gap": gap, "stages_cpu": took,
        "gram_seconds": problem.gram_seconds, "peers": peers, "saga": saga(data, size, problem, ys, grids),
    }  # fmt: skip


def scaling(quick: bool) -> list[dict]:
    """Seconds of our whole job, default settings, as one thing changes at a time from a middle size."""
    base = {"m": 600, "n": 100, "targets": 6} if quick else {"m": 10_000, "n": 1_000, "targets": 100}
    m, n, targets = base.values()
    ways = [("m", base | {"m": k * m}) for k in (1, 2, 4)] + [("n", base | {"n": k * n}) for k in (2, 4)]
    ways += [("T", base | {"targets": k * targets}) for k in (2, 4)]
    ways += [("density", base | {"exponent": e}) for e in (0.75, 1.5)] + [("noise", base | {"noise": 0.3})]
    rows = []
    for what, how in ways:
        data = planted(**how)
        size = Size(how["m"], how["n"], how["targets"])
        fit(data, size, 5, 1)
        rows.append({"changed": what, **how, **ours(data, size, 5, 1, 1 if quick else 3)})
    took = ours(planted(**base), Size(m, n, targets), 5, 2, 3)
    rows.append({"changed": "threads", **base, "threads": 2, **took})
    return rows


def table(result: dict) -> str:
    """The result as Markdown."""
    lines = [
        "# LASSO paths", "", __doc__.split("\n\n", 2)[2].strip(), "",
        f"{result['cpu']}, {result['cores']} cores; {', '.join(f'{k} {v}' for k, v in result['versions'].items())}.",
        f"100 lambdas down to {EPS:g} lambda_max, relative gap <= {GAP:g}; weights rank^-1 over all units, "
        "noise as large as the signal.", "",
    ]  # fmt: skip
    for size in result["sizes"]:
        lines += [
            f"## {size['m']} x {size['n']}, T = {size['targets']}", "",
            f"Load average {size['load_before'][0]:.1f} before, {size['load_after'][0]:.1f} after. Our largest gap "
            f"by the judge: {size['our_gap']:.2g}. Gram of the peers that need one: {size['gram_seconds']:.1f} s.", "",
            "| | CPU-s a target | whole job, CPU-s | times ours, whole path | times ours, default | largest gap |",
            "|---|---|---|---|---|---|",
        ]  # fmt: skip
        for name, mine in size["ours"].items():
            each = mine["cpu"] / size["targets"]
            lines.append(f"| subtrain, {name} | {each:.4f} | {mine['cpu']:.2f} | | | {size['our_gap']:.1g} |")
        for name, peer in size["peers"].items():
            if "job" not in peer:
                lines.append(f"| {name} | did not get there: {peer['failed'][:120]} | | | | |")
                continue
            lines.append(
                f"| {name} ({peer['dtype']}) | {peer['cpu']:.3f} | {peer['job']:.1f} "
                f"| {peer['times_whole path']:.1f} | {peer['times_default']:.1f} | {peer['gap']:.1g} |"
            )
        saga = size["saga"]
        text = f"SAGA: {saga['seconds_an_epoch']:.3g} s an epoch for {saga['targets']} targets"
        if "epochs" in saga:
            text += f"; {saga['epochs']} epochs, {saga['lambdas_unfinished']} of {saga['lambdas']} lambdas unfinished"
        if "gap_max" in saga:
            text += f", gaps up to {saga['gap_max']:.1g} (median {saga['gap_median']:.1g})"
        stages_text = "; ".join(f"{k} {v:.3g}" for k, v in size["stages_cpu"].items())
        lines += ["", text + ".", "", f"CPU seconds of our stages: {stages_text}.", ""]
    lines += ["## Scaling of the whole job, default settings, one thread unless said", ""]
    lines += ["| changed | m | n | T | exponent | noise | wall, s | CPU, s |", "|---|---|---|---|---|---|---|---|"]
    for row in result["scaling"]:
        what = f"{row['threads']} threads" if "threads" in row else row["changed"]
        lines.append(
            f"| {what} | {row['m']} | {row['n']} | {row['targets']} | {row.get('exponent', 1.0)} "
            f"| {row.get('noise', 1.0)} | {row['wall']:.2f} | {row['cpu']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def versions() -> dict[str, str]:
    found = {}
    for name in ("subtrain", "numpy", "scikit-learn", "celer", "skglm", "adelie", "torch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small size, results to the screen alone")
    parser.add_argument("--sizes", nargs="+", type=int, help="which of the sizes, from 0", default=range(len(FULL)))
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    sizes = QUICK if given.quick else [FULL[k] for k in given.sizes]
    warm = planted(300, 64, 2)
    for stop in (None, 5):
        fit(warm, Size(300, 64, 2), stop, 1)
    result = {"cpu": cpu_name(), "cores": os.cpu_count(), "versions": versions(), "date": time.strftime("%Y-%m-%d")}
    result |= {"sizes": [run(size, 1 if given.quick else given.repeats) for size in sizes]}
    result["scaling"] = scaling(given.quick)
    text = table(result)
    print(text)
    if not given.quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "paths.json").write_text(json.dumps(result, indent=1))
        (RESULTS / "paths.md").write_text(text)


if __name__ == "__main__":
    main()
