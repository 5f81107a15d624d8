"""A fit from a guess at the size of a published study: 50,000 units, 10,000 targets, 60 models.

    python benchmarks/guess_scale.py             # writes 10 GB below --folder, then fits in a process of its own
    python benchmarks/guess_scale.py --quick     # 5,000 units, 500 targets, and as little memory as if they were more

Planted: outputs are the masks times what two tables say, by effects that vary over targets, and noise of the signal's
variance. The tables are those of a guess of 20 models, saved as a guess is and mapped. Twenty more models are held out.
Prints what the plan says, seconds, peak memory (without the mapped files, and with them), how far the effects are from
the planted ones, and the LDS. Writes results/guess_scale.json.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import threading
import time
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import numpy as np
from machine import cpu, load, versions

import subtrain as st
from subtrain.guesses import Guess, save_guess

HERE = Path(__file__).parent
MODELS, HELD, K = 60, 20, 20
MEAN, SPREAD = np.array([1.0, 0.34]), np.array([0.2, 0.1])
ROWS = 1000


def planted(folder: Path, n: int, targets: int) -> st.Study:
    """The study and its guess, made in blocks of rows; effects [T, 2] beside them."""
    random = np.random.default_rng(0)
    masks = np.zeros((MODELS + HELD, n), bool)
    for mask in masks:
        mask[random.permutation(n)[: n // 2]] = True
    beta = (MEAN + SPREAD * random.normal(size=(targets, 2))).astype(np.float32)
    holding = masks[:K].sum(axis=0)
    parts = [np.lib.format.open_memmap(folder / f"{k}.npy", "w+", np.float32, (n, targets)) for k in range(2)]
    y = np.zeros((len(masks), targets), np.float32)
    for start in range(0, n, ROWS):
        rows = slice(start, min(start + ROWS, n))
        shape = rows.stop - start, targets
        inside = random.standard_normal(shape, np.float32)
        outside = 0.5 * inside + random.standard_normal(shape, np.float32)
        y += masks[:, rows].astype(np.float32) @ (inside * beta[:, 0] + outside * beta[:, 1])
        parts[0][rows] = inside * holding[rows, None]
        parts[1][rows] = outside * (K - holding[rows, None])
    y -= y.mean(axis=0)
    y += y.std(axis=0) * random.standard_normal(y.shape, np.float32)
    np.save(folder / "beta.npy", beta)
    study = st.Study.from_arrays(folder / "study", masks, {"test_margins": y.astype(np.float16)}, heldout=HELD)
    meta = {"output": "test_margins", "models": list(range(K)), "study_id": study.identity}
    save_guess(study, Guess(*parts, holding, meta), "planted")
    for k in range(2):
        (folder / f"{k}.npy").unlink()
    return study


class Peak(threading.Thread):
    """The most memory that this process holds, by kind, in bytes: looked at twenty times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = {"RssAnon": 0, "VmRSS": 0}

    def run(self) -> None:
        while True:
            lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
            for name in self.most:
                self.most[name] = max(self.most[name], int(lines[name].split()[0]) * 1024)
            time.sleep(0.05)


def fitted(folder: Path, short: bool) -> dict:
    """The fit, and what it took; short: as if little memory were free."""
    if short:
        with patch("subtrain.regression.estimators.kit.guess_alone.available_memory", lambda: 2**28):
            return fitted(folder, False)
    study, peak = st.Study.open(folder / "study"), Peak()
    study.done(), st.fit, np.ones((2, 2)) @ np.ones((2, 2))
    peak.start()
    plans = []
    began, worked = time.monotonic(), time.process_time()
    dm = st.fit(study, estimator=st.SharedPrior(guess="planted"), announce=plans.append)
    seconds, processor = time.monotonic() - began, time.process_time() - worked
    most = dict(peak.most)
    beta = np.load(folder / "beta.npy").mean(axis=0)
    return {
        "units": dm.n,
        "targets": dm.targets,
        "models": dm.meta["models"],
        "plan": str(plans[0]),
        "planned_bytes": plans[0].memory,
        "seconds": round(seconds, 1),
        "processor_seconds": round(processor, 1),
        "peak_bytes": most["RssAnon"],
        "peak_bytes_with_mapped_files": most["VmRSS"],
        "effects": dm.meta["guess"]["beta"],
        "planted_effects": dict(zip(("inside", "outside"), beta.round(4).tolist(), strict=True)),
        "scores": dm.meta["scores"],
        "notes": dm.meta["notes"],
        "lds": round(st.evaluate(dm, study, bootstrap=0).lds.value, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5,000 units and 500 targets, prints only")
    parser.add_argument("--folder", type=Path, help="where 10 GB go, deleted in the end; by default a temporary one")
    given = parser.parse_args()
    place = Path(tempfile.mkdtemp(dir=given.folder))
    before = load()
    try:
        planted(place, *((5000, 500) if given.quick else (50_000, 10_000)))
        with get_context("spawn").Pool(1) as pool:
            found = pool.apply(fitted, (place, given.quick))
    finally:
        shutil.rmtree(place)
    found = {"cpu": cpu(), "versions": versions("numpy", "subtrain"), "load": [before, load()], **found}
    print(json.dumps(found, indent=1))
    if not given.quick:
        (HERE / "results" / "guess_scale.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
