"""Export and import of 100,000 models x 50,000 units, 5 GB of masks, within 2 GB of memory.

    python benchmarks/export_size.py [--quick] [--models 100000] [--units 50000] [--folder DIR]

Exports a synthetic study, kills an export half-way and continues it, exports again and compares byte for byte, imports
the files back with their checksums compared, and looks whether the masks are the design's. Every step runs in a process
of its own, whose peak memory is reported.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import synthetic

STEPS = ("build", "export", "again", "killed", "resumed", "compare", "import", "masks")
LIMIT_MB = 2000


def run(name: str, root: Path, models: int, units: int) -> dict[str, float]:
    from subtrain import Study
    from subtrain.studies.export import export
    from subtrain.studies.imports.arrays import import_folder
    from subtrain.studies.segments import npy_writer

    study, began, found = root / "study", time.monotonic(), {}
    data = root / "out" / "study" / "data"
    if name == "build":
        synthetic.build(study, units, models - models // 10, models // 10, 64, digests=False)
    elif name in ("export", "again", "resumed"):
        written = export(Study.open(study), root / ("other" if name == "resumed" else "out"))
        found = {"mb": round(sum(path.stat().st_size for path in written) / 1e6, 1)}
    elif name == "killed":

        def die(file: str, rows: int, total: int) -> None:
            if rows > total // 2:
                print(json.dumps(_about(began, {"rows": rows})), flush=True)
                os._exit(0)

        npy_writer.CHECKPOINT_SECONDS = 1.0
        export(Study.open(study), root / "other", progress=die)
    elif name == "compare":
        names = sorted(path.name for path in data.iterdir())
        other = root / "other" / "study" / "data"
        assert names == sorted(path.name for path in other.iterdir())
        for file in names:
            assert npy_writer.digest(data / file) == npy_writer.digest(other / file), file
        found = {"files": len(names)}
    elif name == "import":
        back = import_folder(root / "back", root / "out" / "study")
        assert (back.models, back.n) == (models, units)
    elif name == "masks":
        mine, back = Study.open(study), Study.open(root / "back")
        for start in np.linspace(0, models - 100, 10).astype(np.int64).tolist():
            rows = range(start, start + 100)
            assert mine.masks(rows).sha256() == back.masks(rows).sha256()
            assert np.array_equal(mine.read("test_margins", rows), back.read("test_margins", rows))
    return _about(began, found)


def _about(began: float, found: dict[str, float]) -> dict[str, float]:
    seconds = time.monotonic() - began
    rate = {"mb_per_second": round(found["mb"] / seconds, 1)} if "mb" in found else {}
    return {"seconds": round(seconds, 2), "peak_mb": round(synthetic.peak_mb(), 1), **found, **rate}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=100_000)
    parser.add_argument("--units", type=int, default=50_000)
    parser.add_argument("--quick", action="store_true", help="5,000 models x 50,000 units")
    parser.add_argument("--folder", type=Path, help="where to work, by default a temporary folder; needs 3 x the masks")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    models = 5_000 if given.quick else given.models
    if given.step:
        print(json.dumps(run(given.step[0], Path(given.step[1]), models, given.units)))
        return
    size = ("--models", models, "--units", given.units)
    with tempfile.TemporaryDirectory(dir=given.folder) as root:
        found = {}
        for name in STEPS:
            found[name] = synthetic.apart(__file__, *size, "--step", name, root)
            print(f"{name:>8}: {found[name]}", flush=True)
    peak = max(step["peak_mb"] for step in found.values())
    print(f"peak memory {peak:,.0f} MB of {LIMIT_MB:,} allowed: {'kept' if peak < LIMIT_MB else 'NOT KEPT'}")
    if given.out:
        about = {"machine": platform.processor() or platform.machine(), "python": sys.version.split()[0]}
        given.out.write_text(json.dumps({**about, "models": models, "units": given.units, **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
