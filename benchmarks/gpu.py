"""Counts and lambda paths on a GPU at the paper's size, with the ceilings of the card and checks against float64.

    python benchmarks/gpu.py                    # an H200 or H100; writes benchmarks/results/gpu.{json,md}
    python benchmarks/gpu.py --stages ceilings counts early          # some stages: ceilings counts early whole saga
    python benchmarks/gpu.py --quick            # does it run? A small size, on CPU tensors where there is no GPU

m = 300,000 models (270,000 fit, 30,000 validate) over n = 50,000 units, T = 10,000 targets, 100 lambdas down to 1e-3
of the largest, relative gap 1e-4. Masks are random halves; outputs are sums of power-law weights (1, 1/2, 1/3 ...
with random signs and places) plus as much noise, in float16; all made on the device from a seed and kept on the host,
from where counting streams them.

The two numbers, before any run (rates assumed: int8 1,300 T/s, fp16 600 T/s, float64 55 T/s, memory 4 TB/s):

Counts. Operations: the triangle of the Gram m n^2 = 7.5e14 and X^T Y in 4 base-256 digits 8 m n T = 1.2e15, int8: 1.5
s. Bytes: 8 GB in, over the bus (0.2 s at 50 GB/s); device memory, a pass of the Gram, of X^T Y and of the unpacked
bytes for each 32,768 models, some 0.5 TB: 0.1 s. Floor 1.5 s, arithmetic. Predicted 8 to 15 s: besides the floor,
pinning 8 GB and bringing 14 GB of counts to pageable host memory at a few GB/s each, twice (fitting and validation
models).

Paths. A product of C and all targets is 2 n^2 T = 5e13 operations: 0.09 s in fp16 (a sweep) and 0.9 s in float64 (a
certificate, or a validation error). Proximal steps in blocks of 1,024 add 6 b n T = 3e12 in float32 and some 12
passes over n T doubles to a sweep: 0.1 to 0.15 s. Bytes of a certificate: the int32 Gram and four n T arrays, 26 GB:
0.01 s. So arithmetic is the floor: 100 lambdas with two sweeps, one certificate and one validation each, 100 (0.2 +
0.9 + 0.9) = 200 s, 110 s when targets stop near the 55th lambda. How many it really takes hardly depends on the size:
on CPU tensors with the same n / m and weights, 59 lambdas, 131 sweeps and 62 certificates a target until the early
stop (n = 4,000; 55, 140 and 62 with n = 1,000), 413 sweeps and 153 certificates for all 100 lambdas (n = 1,000). So
predicted: 131 (0.09 + 0.15) + (62 + 59) 0.9 = 140 s of device time until the early stop, 340 s for all lambdas, some
seconds for the refit, and one to two minutes of host time around it (float64 arrays of 4 GB made, moved and turned
over by one core).

Host memory: the data 8 GB, counts 28 GB, their sum for the refit 14 GB, the solver's arrays up to 30 GB.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from saga import saga_path

from subtrain.masks import Masks, row_bytes
from subtrain.regression import LassoOptions
from subtrain.regression.device import Device, device_counts, lasso_on_device
from subtrain.regression.device import path as path_module
from subtrain.regression.device import solve as solve_module
from subtrain.regression.device.counts import product

STAGES = ("ceilings", "counts", "early", "whole", "saga")
ROWS = 10_000


@dataclass(frozen=True)
class Job:
    """m models, the last tenth of which validate, over n units (a multiple of 8) and T targets."""

    m: int
    n: int
    targets: int
    lambdas: int
    seed: int
    device: torch.device

    @property
    def fitting(self) -> int:
        return self.m * 9 // 10


def settle(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(work, device, repeats):
    """Median seconds of `work`, by device events where there are any, after one warm-up."""
    work()
    taken = []
    for _ in range(repeats):
        settle(device)
        if device.type == "cuda":
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            work()
            end.record()
            end.synchronize()
            taken.append(begin.elapsed_time(end) / 1e3)
        else:
            began = time.perf_counter()
            work()
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def ceilings(device, side, repeats):
    """Rates of a large copy (bytes read plus written) and of large matrix products."""
    bits = torch.randint(0, 2, (side, side), dtype=torch.int8, device=device)
    found = {"copy_GB_s": copy_rate(side * side * 8, device, repeats)}
    found["int8_T_s"] = 2 * side**3 / seconds(lambda: product(bits, bits), device, repeats) / 1e12
    for name in ("float16", "float32", "float64"):
        a, b = (torch.randn(side, side, device=device).to(getattr(torch, name)) for _ in range(2))
        found[f"{name}_T_s"] = 2 * side**3 / seconds(lambda a=a, b=b: a @ b, device, repeats) / 1e12
    return found


def copy_rate(size, device, repeats):
    source = torch.randn(size, device=device)
    copy = torch.empty_like(source)
    return 2 * source.nbytes / seconds(lambda: copy.copy_(source), device, repeats) / 1e9


def make(job):
    """Host arrays: packed masks uint8 [m, bytes] and outputs float16 [m, T]."""
    generator = torch.Generator(job.device).manual_seed(job.seed)
    few = torch.float16 if job.device.type == "cuda" else torch.float32
    law = 1.0 / torch.arange(1, job.n + 1, device=job.device)
    weight = torch.empty((job.n, job.targets), dtype=few, device=job.device)
    for first in range(0, job.targets, 1000):
        places = torch.rand((job.n, min(1000, job.targets - first)), generator=generator, device=job.device).argsort(
            dim=0
        )
        signs = torch.randint(0, 2, places.shape, generator=generator, device=job.device) * 2 - 1
        weight[:, first : first + 1000] = law[places] * signs
    noise = 0.5 * float(law.square().sum().sqrt())
    masks = np.zeros((job.m, row_bytes(job.n)), np.uint8)
    outputs = np.empty((job.m, job.targets), np.float16)
    for first in range(0, job.m, ROWS):
        rows = slice(first, min(first + ROWS, job.m))
        shape = (rows.stop - first, job.n // 8)
        bits = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator, device=job.device)
        y = unpack(bits, few) @ weight
        y += noise * torch.randn(y.shape, generator=generator, device=job.device, dtype=few)
        masks[rows, : job.n // 8] = bits.cpu().numpy()
        outputs[rows] = y.half().cpu().numpy()
    return masks, outputs


def unpack(bits, dtype):
    """[k, n] of uint8 [k, n / 8], least significant bit first."""
    shifts = torch.arange(8, dtype=torch.uint8, device=bits.device)
    return ((bits[:, :, None] >> shifts) & 1).reshape(len(bits), -1).to(dtype)


def blocks(job, data, first, last):
    for start in range(first, last, ROWS):
        rows = slice(start, min(start + ROWS, last))
        yield Masks(data[0][rows], job.n), data[1][rows]


def count_all(job, data):
    """Counts of the fitting and the validation models, and the seconds from host arrays to host arrays."""
    settle(job.device)
    began = time.perf_counter()
    train = device_counts(blocks(job, data, 0, job.fitting), str(job.device))
    valid = device_counts(blocks(job, data, job.fitting, job.m), str(job.device))
    return train, valid, time.perf_counter() - began


def check_counts(job, data, train, random):
    """Rows of the Gram and columns of X^T Y again, in integers and in float64 on the host: how many numbers differ."""
    units, targets = random.choice(job.n, 8, replace=False), random.choice(job.targets, 4, replace=False)
    gram, xty = np.zeros((8, 8), np.int64), np.zeros((8, 4))
    for masks, y in blocks(job, data, 0, job.fitting):
        chosen = (masks.data[:, units // 8] >> (units % 8).astype(np.uint8)) & 1
        gram += chosen.T.astype(np.int64) @ chosen
        xty += chosen.T.astype(np.float64) @ y[:, targets].astype(np.float64)
    return int((gram != train.gram[np.ix_(units, units)]).sum() + (xty != train.xty[np.ix_(units, targets)]).sum())


@contextmanager
def watched(device, names):
    """Calls and seconds of some functions of the solver while the context lasts, each waiting for the device."""
    found = {name: {"calls": 0, "targets": 0, "seconds": 0.0} for _, name in names}
    originals = {(module, name): getattr(module, name) for module, name in names}

    def watch(name, original):
        def watching(*args):
            settle(device)
            began = time.perf_counter()
            result = original(*args)
            settle(device)
            coef = args[1] if isinstance(args[1], torch.Tensor) else args[1].coef
            found[name]["calls"] += 1
            found[name]["targets"] += coef.shape[1]
            found[name]["seconds"] += time.perf_counter() - began
            return result

        return watching

    for (module, name), original in originals.items():
        setattr(module, name, watch(name, original))
    try:
        yield found
    finally:
        for (module, name), original in originals.items():
            setattr(module, name, original)


def solve_all(job, train, valid, early_stop):
    """The fit, and what it took."""
    options = LassoOptions(lambdas=job.lambdas, early_stop=early_stop)
    names = [(solve_module, "_descend"), (solve_module, "certify"), (path_module, "_quadratic")]
    if job.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(job.device)
    stages = {}
    began = time.perf_counter()
    with watched(job.device, names) as parts, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = lasso_on_device(
            train,
            valid,
            options,
            Device(str(job.device)),
            progress=lambda stage, done, total: stages.update({stage: time.perf_counter() - began}),
        )
    found = {
        "seconds": time.perf_counter() - began,
        "seconds_until": stages,
        "parts": parts,
        "lambdas_a_target": float(np.isfinite(fit.validation_mse).sum(axis=0).mean()),
        "sweeps_a_target": float(fit.n_iter.mean()),
        "weights_not_0": float((fit.weight != 0).sum(axis=0).mean()),
        "largest_gap": float(fit.gap.max()),
        "warnings": [str(w.message) for w in caught],
    }
    if job.device.type == "cuda":
        found["peak_device_GB"] = torch.cuda.max_memory_allocated(job.device) / 1e9
    return fit, found


def raw_gaps(job, data, fit, targets):
    """Relative duality gaps [t] from the masks and outputs themselves, in float64, without any counts.

    With r the residual and x the standardized masks, the dual point is r / (m max(1, max |x^T r| / (m lam))).
    """
    device = job.device
    weight, bias, lam = (
        torch.from_numpy(a).to(device) for a in (fit.weight[:, targets], fit.bias[targets], fit.lam[targets])
    )
    ones = torch.zeros(job.n, dtype=torch.float64, device=device)
    pull = torch.zeros_like(weight)
    sums = torch.zeros((5, len(targets)), dtype=torch.float64, device=device)
    for masks, outputs in blocks(job, data, 0, job.m):
        x = unpack(torch.from_numpy(masks.data[:, : job.n // 8]).to(device), torch.float64)
        y = torch.from_numpy(outputs[:, targets].astype(np.float64)).to(device)
        r = y - x @ weight - bias
        ones += x.sum(dim=0)
        pull += x.t() @ r
        sums += torch.stack(
            [y.sum(dim=0), y.square().sum(dim=0), r.sum(dim=0), r.square().sum(dim=0), (r * y).sum(dim=0)]
        )
    mean, (y1, y2, r1, r2, ry) = ones / job.m, sums / job.m
    scale = (mean * (1 - mean)).sqrt()[:, None]
    slope = (pull / job.m - torch.outer(mean, r1)) / scale
    shrink = 1.0 / (slope.abs().amax(dim=0) / lam).clamp_min(1.0)
    spread, fitted = r2 - r1.square(), ry - r1 * y1
    primal = spread / 2 + lam * (weight * scale).abs().sum(dim=0)
    dual = shrink * fitted - shrink.square() * spread / 2
    return (2 * (primal - dual) / (y2 - y1.square())).cpu().numpy()


def saga(job, data, lambdas, quick):
    """The SAGA port at this size: seconds of an epoch over the fitting models, on the device, and how many epochs its
    stopping rule takes for a path of as many lambdas where that can be afforded."""
    small = Job(500 if quick else 5_000, 104 if quick else 1_000, 16, lambdas, job.seed, torch.device("cpu"))
    bits, y = make(small)
    masks = unpack(torch.from_numpy(bits[:, : small.n // 8]), torch.bool).numpy()
    x = (masks - masks.mean(axis=0)) / masks.std(axis=0)
    top = np.abs(x.T @ (y - y.mean(axis=0, dtype=np.float64)) / small.m).max(axis=0)
    grid = np.outer(top, 1e-3 ** (np.arange(lambdas) / (lambdas - 1)))
    path = saga_path(masks, y.astype(np.float32), grid, epochs=100 if quick else 3_000)
    each = [saga_epoch(job, data) for _ in range(3)]
    return {
        "epoch_seconds": each,
        "epochs": path.epochs,
        "lambdas_unfinished": int(np.isnan(path.coefs[:, :, 0]).sum()),
        "epochs_at": {"m": small.m, "n": small.n, "targets": small.targets},
        "path_seconds": statistics.median(each) * path.epochs,
    }


def saga_epoch(job, data, batch=1000, rate=1e-4):
    """Seconds of one epoch as `saga.saga_path` makes it, with its table of residuals and masks sent packed."""
    shape = (job.n, job.targets)
    weight, average = (torch.zeros(shape, device=job.device) for _ in range(2))
    bias = torch.zeros(job.targets, device=job.device)
    table = torch.zeros((job.fitting, job.targets), device=job.device)
    settle(job.device)
    began = time.perf_counter()
    for first in range(0, job.fitting, batch):
        rows = slice(first, min(first + batch, job.fitting))
        x = 2 * unpack(torch.from_numpy(data[0][rows, : job.n // 8]).to(job.device), torch.float32) - 1
        residual = x @ weight + bias - torch.from_numpy(data[1][rows]).to(job.device).float()
        step = x.t() @ (residual - table[rows])
        weight -= rate * (step / len(x) + average)
        weight = torch.sign(weight) * (weight.abs() - rate * 1e-2).clamp_min(0)
        bias = bias - rate * residual.mean(dim=0)
        average += step / job.fitting
        table[rows] = residual
    settle(job.device)
    return time.perf_counter() - began


def table(found):
    job = found["job"]
    lines = [
        "# Counts and lambda paths on a device",
        "",
        f"{found['device']}; {found['versions']}.",
        f"m = {job['m']:,} (a tenth validates), n = {job['n']:,}, T = {job['targets']:,}, {job['lambdas']} lambdas, "
        "relative gap 1e-4.",
        "",
        "| what | found |",
        "|---|---|",
    ]
    lines += [f"| {name} | {value:,.2f} |" for name, value in found.get("ceilings", {}).items()]
    if "counts" in found:
        c = found["counts"]
        each = ", ".join(f"{s:.1f}" for s in c["seconds"])
        lines.append(f"| counts, s, host to host | {statistics.median(c['seconds']):.1f} ({each}) |")
        lines.append(f"| numbers that differ from integer sums, of {c['checked']} | {c['differ']} |")
    for stage in ("early", "whole"):
        if stage in found:
            lines += stage_rows(stage, found[stage])
    if "saga" in found:
        s = found["saga"]
        where = ", ".join(f"{k} = {v:,}" for k, v in s["epochs_at"].items())
        lines.append(f"| SAGA port, s an epoch over the fitting models | {statistics.median(s['epoch_seconds']):.2f} |")
        lines.append(f"| its epochs at {where} ({s['lambdas_unfinished']} lambdas unfinished) | {s['epochs']:,} |")
        lines.append(f"| SAGA port, s for the paths: the product | {s['path_seconds']:,.0f} |")
    return "\n".join(lines) + "\n"


def stage_rows(stage, s):
    name = {"early": "paths until 5 lambdas after the least error, and refit", "whole": "all lambdas, and refit"}[stage]
    rows = [f"| **{name}**, s | {s['seconds']:.1f} |"]
    for part, label in (("_descend", "descent"), ("certify", "certificates"), ("_quadratic", "validation errors")):
        p = s["parts"][part]
        rows.append(f"| {label}, s ({p['calls']} for {p['targets']:,} targets in all) | {p['seconds']:.1f} |")
    each = f"{s['lambdas_a_target']:.1f}, {s['sweeps_a_target']:.0f}, {s['weights_not_0']:,.0f}"
    rows.append(f"| lambdas, sweeps, non-zero weights a target | {each} |")
    worst = f"{s['largest_gap']:.1e}; {max(s['raw_gaps']):.1e}"
    rows.append(f"| largest gap; of {len(s['raw_gaps'])} targets from raw data | {worst} |")
    if "peak_device_GB" in s:
        rows.append(f"| peak device memory, GB | {s['peak_device_GB']:.1f} |")
    return rows


def save(found, out):
    out.mkdir(parents=True, exist_ok=True)
    (out / "gpu.json").write_text(json.dumps(found, indent=1) + "\n")
    (out / "gpu.md").write_text(table(found))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu goes with --quick")
    parser.add_argument("--quick", action="store_true", help="a small size, to see that it works; writes only to --out")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--models", type=int, default=300_000)
    parser.add_argument("--units", type=int, default=50_000)
    parser.add_argument("--targets", type=int, default=10_000)
    parser.add_argument("--lambdas", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3, help="of the counts; the paths run once")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    cuda = torch.cuda.is_available() and given.device == "cuda"
    if not cuda and not given.quick:
        parser.error(f"PyTorch {torch.__version__} finds no CUDA GPU here; --quick runs a small size on CPU tensors")
    size = (3000, 304, 24) if given.quick else (given.models, given.units, given.targets)
    job = Job(*size, 30 if given.quick else given.lambdas, given.seed, torch.device("cuda" if cuda else "cpu"))
    out = given.out or (None if given.quick else Path(__file__).parent / "results")
    found = {
        "device": torch.cuda.get_device_name(job.device) if cuda else f"CPU tensors ({platform.machine()})",
        "versions": f"Python {platform.python_version()}, torch {torch.__version__}, CUDA {torch.version.cuda}",
        "job": {"m": job.m, "n": job.n, "targets": job.targets, "lambdas": job.lambdas, "seed": job.seed},
    }
    for stage in run(job, given, found):
        print(f"{stage} done", flush=True)
        if out:
            save(found, out)
    print(table(found))


def run(job, given, found):
    """Fill `found` stage by stage, and say which stage is done."""
    random = np.random.default_rng(job.seed)
    if "ceilings" in given.stages:
        found["ceilings"] = ceilings(job.device, 256 if given.quick else 8192, 20)
        yield "ceilings"
    if set(given.stages) == {"ceilings"}:
        return
    data = make(job)
    yield "data"
    taken = []
    for _ in range(given.repeats if "counts" in given.stages else 1):
        train = valid = None  # the counts of two runs need not fit into memory together
        train, valid, spent = count_all(job, data)
        taken.append(spent)
    found["counts"] = {"seconds": taken, "differ": check_counts(job, data, train, random), "checked": 96}
    yield "counts"
    for stage, early_stop in (("early", 5), ("whole", None)):
        if stage in given.stages:
            fit, found[stage] = solve_all(job, train, valid, early_stop)
            chosen = random.choice(job.targets, 8, replace=False)
            found[stage]["raw_gaps"] = raw_gaps(job, data, fit, chosen).tolist()
            del fit
            yield stage
    if "saga" in given.stages:
        train = valid = None  # its table of residuals takes as much memory as the counts
        found["saga"] = saga(job, data, job.lambdas, given.quick)
        yield "saga"


if __name__ == "__main__":
    main()
