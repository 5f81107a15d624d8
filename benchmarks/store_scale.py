"""A study of a million models: how long it takes to plan, look at, resume, check and export it, and in what memory.

    python benchmarks/store_scale.py [--quick] [--models 1000000] [--segments 64 10] [--folder DIR]

Every step runs in a process of its own, on a tenth of the models and on all of them: time should grow with the number
of segments at most, memory hardly at all. With 10 models a segment, a million models are 100,000 files.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path

import synthetic

STEPS = ("nothing", "open", "plan", "status", "resume", "read", "check", "export")


def step(name: str, folder: Path) -> dict[str, float]:
    """One step on the study in `folder`: its seconds without start and imports, and the process's peak memory."""
    from subtrain import Study, collection
    from subtrain.collection.status import check
    from subtrain.studies.export import export

    began = time.monotonic()
    if name == "nothing":
        return {"seconds": 0.0, "peak_mb": round(synthetic.peak_mb(), 1)}
    study = Study.open(folder)
    if name == "plan":
        _ = len(study.segments), collection._missing(study, study.segments)
    elif name == "status":
        assert study.status().missing > 0
    elif name == "resume":
        assert study.collect(workers=1, progress=False).done == study.models
    elif name == "read":
        for start in range(0, study.models, 4096):
            study.read("test_margins", range(start, min(start + 4096, study.models)))
    elif name == "check":
        assert check(study) == []
    elif name == "export":
        export(study, folder.parent / "out")
    return {"seconds": round(time.monotonic() - began, 2), "peak_mb": round(synthetic.peak_mb(), 1)}


def measure(models: int, size: int, root: Path) -> dict[str, dict[str, float]]:
    folder = root / f"{models}-{size}"
    began = time.monotonic()
    study = synthetic.build(folder / "study", 64, models - models // 100, models // 100, size, leave=3)
    found = {"built": {"seconds": round(time.monotonic() - began, 1), "segments": len(study.segments)}}
    for name in STEPS:
        found[name] = synthetic.apart(__file__, "--step", name, folder / "study")
        print(f"{models:>9,} models, {size:>3} a segment, {name:>8}: {found[name]}", flush=True)
    shutil.rmtree(folder)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=1_000_000)
    parser.add_argument("--segments", type=int, nargs="+", default=[64, 10], help="models a segment")
    parser.add_argument("--quick", action="store_true", help="20,000 models")
    parser.add_argument("--folder", type=Path, help="where to work, by default a temporary folder")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        print(json.dumps(step(given.step[0], Path(given.step[1]))))
        return
    models = 20_000 if given.quick else given.models
    with tempfile.TemporaryDirectory(dir=given.folder) as root:
        found = {
            f"{count} models, {size} a segment": measure(count, size, Path(root))
            for size in given.segments
            for count in (models // 10, models)
        }
    if given.out:
        about = {"machine": platform.processor() or platform.machine(), "python": sys.version.split()[0]}
        given.out.write_text(json.dumps({**about, "results": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
