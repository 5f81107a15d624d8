"""Exact counts against matrix products: X^T X and X^T Y by subtrain and by numpy's float32 product, in one run.

    python benchmarks/counts.py            # minutes on idle cores; writes benchmarks/results/counts.{json,md}
    python benchmarks/counts.py --quick    # does it run? (prints only)
    python benchmarks/counts.py --paper    # and 300,000 models x 50,000 units, streamed from packed blocks on disk

subtrain and numpy take turns with the same number of threads; the best time of each counts. A product is one mask bit
times one bit or output: m n^2 for the whole of X^T X (both ways of counting it), m n T for X^T Y.
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
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from subtrain.masks import Masks, row_bytes
from subtrain.regression.counting.count_stream import count_blocks, peak_bytes
from subtrain.regression.counting.products import aligned
from subtrain.regression.counting.threads import each, thread_count
from subtrain.regression.counting.vector_loops import SIDE, count_tile
from subtrain.system.kernel import kernel

RESULTS = Path(__file__).parent / "results"
SHARD = 8192
TURNS = 3


def world(m, n, targets, seed=0):
    """Packed random masks (half of the units on average) and float16 outputs of margins' scale."""
    random = np.random.default_rng(seed)
    data = random.integers(0, 256, (m, row_bytes(n)), np.uint8)
    data[:, n // 8 :] = 0
    return Masks(data, n), (random.standard_normal((m, targets), np.float32) * 5 + 3).astype(np.float16)


def in_turns(works, turns=TURNS):
    """The best wall time of each, taking turns so that all meet the same load."""
    best = [float("inf")] * len(works)
    for _ in range(turns):
        for k, work in enumerate(works):
            start = time.perf_counter()
            work()
            best[k] = min(best[k], time.perf_counter() - start)
    return best


def compare(m, n, targets, threads, turns=TURNS):
    """Seconds of both stages by both; n must be a multiple of 8."""
    masks, y = world(m, n, targets)
    wide, outputs = masks.unpack().astype(np.float32), y.astype(np.float32)
    # A copy, because numpy turns X.T @ X of one array into a symmetric product, half the work; sgemm is the yardstick.
    other = wide.copy()
    works = {
        "gram": lambda: count_blocks([(masks, y[:, :0])], threads=threads),
        "gram_sgemm": lambda: wide.T @ other,
        "gram_ssyrk": lambda: wide.T @ wide,
        "xty": lambda: count_blocks([(masks, y)], threads=threads, gram="none"),
        "xty_sgemm": lambda: wide.T @ outputs,
    }
    with threadpool_limits(threads):
        found = dict(zip(works, in_turns(list(works.values()), turns), strict=True))
    return {"m": m, "n": n, "targets": targets, "threads": threads, **{k: round(v, 4) for k, v in found.items()}}


def scaling(m, n, targets, threads, gram):
    masks, y = world(m, n, targets)
    (seconds,) = in_turns([lambda: count_blocks([(masks, y)], threads=threads, gram=gram)], 2)
    return {"m": m, "n": n, "targets": targets, "threads": threads, "gram": gram, "seconds": round(seconds, 4)}


@kernel
def tiles(bits, times, counts):
    for _ in range(times):
        count_tile(bits, 0, SIDE, counts)


def machine(threads):
    """What the cores can do: popcounts of words that stay in the first cache, and bytes copied from memory."""
    times, words = 20_000, 256
    counts = np.zeros(SIDE * SIDE, np.int32)
    tiles(aligned(2 * SIDE, words, np.uint64), 1, counts)
    bits = [aligned(2 * SIDE, words, np.uint64) for _ in range(threads)]

    def popcounts():
        each(lambda own: tiles(own, times, np.zeros(SIDE * SIDE, np.int32)), bits, threads)

    source, target = np.ones((2, 2**25))

    def copies():
        spans = np.linspace(0, source.size, threads + 1).astype(int)
        each(
            lambda k: np.copyto(target[spans[k] : spans[k + 1]], source[spans[k] : spans[k + 1]]),
            range(threads),
            threads,
        )

    seconds, copied = in_turns([popcounts, copies])
    return {
        "popcount_gwords": round(threads * times * words * SIDE * SIDE / seconds / 1e9, 2),
        "memory_gbytes": round(2 * source.nbytes / copied / 1e9, 2),
    }


def paper(m, n, targets, threads, folder, seconds):
    """Count m x n from packed shards on disk, in a process of its own, so that the peak is this work's."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        for k, first in enumerate(range(0, m, SHARD)):
            masks, y = world(min(SHARD, m - first), n, targets, seed=k)
            np.save(f"{place}/{k:05d}.masks.npy", masks.data)
            np.save(f"{place}/{k:05d}.y.npy", y)
        call = [sys.executable, __file__, "--child", place, str(m), str(n), str(threads), str(seconds)]
        done = subprocess.run(call, check=True, capture_output=True, text=True)
    return json.loads(done.stdout) | {"targets": targets, "estimate_gb": peak_gb(n, targets, threads)}


def peak_gb(n, targets, threads):
    return round(peak_bytes(n, targets, "compact", threads=threads) / 1e9, 2)


def child(place, m, n, threads, seconds):
    def shards():
        for path in sorted(Path(place).glob("*.masks.npy")):
            outputs = path.with_name(path.name.replace("masks", "y"))
            yield Masks(np.load(path), n), np.load(outputs, mmap_mode="r")

    start = time.perf_counter()
    resume = Path(place) / "kept" if seconds else None
    counts = count_blocks(
        shards(), m, threads, gram="compact", resume=resume, checkpoint_seconds=seconds or float("inf")
    )
    took = time.perf_counter() - start
    peak = peak_memory()
    wrong = check(counts.gram, shards(), n)
    deviation = counts.gram.deviation
    print(
        json.dumps(
            {
                "m": m,
                "n": n,
                "threads": threads,
                "checkpoints": bool(resume),
                "seconds": round(took, 2),
                "peak_gb": round(peak / 1e9, 2),
                "escapes": int(counts.gram.key.size),
                "largest_deviation": int(max(deviation.max(), -int(deviation.min()))),
                "entries_checked": 64 * n,
                "entries_wrong": wrong,
            }
        )
    )


def peak_memory():
    """Bytes of this process at most; ru_maxrss would count the parent it was started from too."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) * 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def check(gram, shards, n):
    """How many entries of 64 rows differ from the integer products of the unpacked masks."""
    units = np.linspace(0, n - 1, 64).astype(np.int64)
    want = np.zeros((64, n))
    for masks, _ in shards:
        wide = masks.unpack().astype(np.float32)
        want += wide[:, units].T @ wide  # below 2^24 a shard, so exact
    return int(np.count_nonzero(gram.rows(units) != want))


def ratios(row, peak):
    m, n, t = row["m"], row["n"], row["targets"]
    words = n * (n + 1) / 2 * -(-m // 64)
    return {
        "gram_gproducts": round(m * n * n / row["gram"] / 1e9, 1),
        "gram_over_sgemm": round(row["gram_sgemm"] / row["gram"], 2),
        "gram_over_ssyrk": round(row["gram_ssyrk"] / row["gram"], 2),
        "gram_share_of_popcount_peak": round(words / row["gram"] / 1e9 / peak["popcount_gwords"], 3),
        "xty_gproducts": round(m * n * t / row["xty"] / 1e9, 1),
        "xty_over_sgemm": round(row["xty_sgemm"] / row["xty"], 2),
    }


def table(rows):
    keys = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["| " + " | ".join(keys) + " |", "|" + "---|" * len(keys)]
    return "\n".join(lines + ["| " + " | ".join(str(row.get(key, "")) for key in keys) + " |" for row in rows])


def report(found):
    parts = [
        "# Counts",
        f"{found['cpu']}, {found['cores']} cores, load average before {found['load_before']} and after "
        f"{found['load_after']}; numpy {np.__version__}.",
        "Seconds are the best of the turns; `sgemm` is numpy's float32 product of two different arrays, `ssyrk` its "
        "symmetric one. The Gram of subtrain includes turning the bits and mirroring the triangle; numpy's operands "
        "are float32 already (their conversion is not counted).",
        "## Against matrix products",
        table(found["compare"]),
        "## Machine",
        table([found["machine"]]),
        "## Scaling",
        table(found["scaling"]),
    ]
    if found["paper"]:
        parts += ["## Streamed from disk, compact Gram", table(found["paper"])]
    return "\n\n".join(parts) + "\n"


def main():
    if "--child" in sys.argv:
        place, m, n, threads, seconds = sys.argv[sys.argv.index("--child") + 1 :]
        child(place, int(m), int(n), int(threads), float(seconds))
        return
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--quick", action="store_true", help="tiny sizes, nothing written")
    options.add_argument("--paper", action="store_true", help="also 300,000 x 50,000, from disk")
    options.add_argument("--models", type=int, default=300_000, help="models of --paper")
    options.add_argument("--units", type=int, default=50_000, help="units of --paper, a multiple of 8")
    options.add_argument("--targets", type=int, default=16, help="targets of --paper")
    options.add_argument("--only-paper", action="store_true", help="--paper and nothing else, printed only")
    options.add_argument("--checkpoint-seconds", type=float, default=0.0, help="0: no checkpoints")
    options.add_argument("--threads", type=int, default=None)
    options.add_argument("--folder", default=None, help="where --paper puts its shards (default: temporary folder)")
    args = options.parse_args()
    threads = thread_count(args.threads)
    streamed = (args.models, args.units, args.targets, threads, args.folder, args.checkpoint_seconds)
    if args.only_paper:
        print(json.dumps(paper(*streamed), indent=1))
        return
    before = os.getloadavg()
    m, n, t = (2048, 256, 64) if args.quick else (51_200, 4_096, 1_024)
    world_of = [(m, n, t, k) for k in sorted({1, threads})]
    for k in sorted({1, threads}):
        compare(256, 64, 8, k, 1)  # compile
    count_blocks([world(256, 64, 8)], gram="compact")
    peak = machine(threads)
    rows = [compare(*sizes, turns=1 if args.quick else TURNS) for sizes in world_of]
    one = machine(1)
    rows = [row | ratios(row, one if row["threads"] == 1 else peak) for row in rows]
    sizes = [(m, n), (m // 2, n), (m, n // 2), (2 * m, n)]
    scaled = [scaling(a, b, t, threads, kind) for a, b in sizes for kind in ("dense", "compact", "none")]
    scaled += [scaling(m, n, x, threads, "none") for x in (1, t // 4, 2 * t)]
    papers = [paper(*streamed)] if args.paper else []
    if args.quick:
        papers = [paper(9000, 512, 4, threads, args.folder, 0.01)]
    found = {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "load_before": [round(x, 2) for x in before],
        "load_after": [round(x, 2) for x in os.getloadavg()],
        "machine": {"threads": threads, **peak, "popcount_gwords_one_thread": one["popcount_gwords"]},
        "compare": rows,
        "scaling": scaled,
        "paper": papers,
        "peak_gb": round(peak_memory() / 1e9, 2),
    }
    text = report(found)
    print(text)
    if not args.quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "counts.json").write_text(json.dumps(found, indent=1) + "\n")
        (RESULTS / "counts.md").write_text(text)


def cpu_name():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
