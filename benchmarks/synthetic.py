"""Studies of any size, made at once: real designs and segment files, outputs that cost nothing."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from subtrain import Design, Output, Study
from subtrain.studies.segments import segment_file
from subtrain.studies.stored_study import segment_name
from subtrain.tasks import batch

CHUNK = 4096


def task(n: int = 64, targets: int = 1):
    """A task over n units whose outputs are the seed's low bits; it is importable, so workers can make it again."""

    def train(masks, seeds):
        return {"test_margins": np.repeat((seeds % 1024).astype(np.float16)[:, None], targets, axis=1)}

    return batch(train, n, {"test_margins": Output((targets,), "float16")}, size=64)


def build(folder: Path, n: int, models: int, heldout: int, size: int, leave: int = 0, digests: bool = True) -> Study:
    """A study of models + heldout models in `folder`, its last `leave` segments not committed.

    digests: write the masks' sha256 into each segment, which `status --check` compares; without, masks are not made.
    """
    name = f"{Path(__file__).resolve()}:task"
    study = Study.create(
        folder, name, Design(0.5, models, heldout=heldout, replicates=1, kind="fixed"), params={"n": n}, segment=size
    )
    (folder / "segments").mkdir(exist_ok=True)
    todo = study.segments[: len(study.segments) - leave]
    for first in range(0, len(todo), max(1, CHUNK // size)):
        some = todo[first : first + max(1, CHUNK // size)]
        start = some[0][0]
        masks = study.design.masks(range(start, some[-1][1])).data if digests else None
        seeds = study.design.seeds(range(start, some[-1][1]))
        values = (seeds % 1024).astype(np.float16)[:, None]
        for a, b in some:
            part = slice(a - start, b - start)
            sha = hashlib.sha256(masks[part].tobytes()).hexdigest() if masks is not None else ""
            payload = segment_file.encoded(range(a, b), {"test_margins": values[part]}, study.identity, sha, {})
            (folder / segment_name((a, b))).write_bytes(payload)
    return study


def peak_mb() -> float:
    """The most memory this process has had at once."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1000 for line in file if line.startswith("VmHWM"))


def apart(module: str, *args: object) -> dict[str, float]:
    """Run `python MODULE ARGS` and return the JSON of its last line, with the seconds it took in all."""
    began = time.monotonic()
    command = [sys.executable, module, *map(str, args)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return {**json.loads(done.stdout.splitlines()[-1]), "process": round(time.monotonic() - began, 2)}
