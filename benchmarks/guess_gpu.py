"""Do 20 ResNets do what 100,000 did? The guess of 20 ResNet-9 on CIFAR-10, its LDS on held-out subsets and its cost.

    python benchmarks/guess_gpu.py                     # one GPU: 148 ResNet-9, 20 tables; writes results/guess_gpu.json
    python benchmarks/guess_gpu.py --quick             # does it run? 60 images, tiny networks, on the CPU, prints only

50,000 units, 1,000 targets, alpha = 0.5; 64 held-out subsets x 2 networks. --data names the files with {split} in them,
as `subtrain.tasks.kit.pixels` reads them. Collecting and guessing go on where an earlier run stopped. Not run yet.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import cpu, versions

import subtrain as st

HERE = Path(__file__).parent
DATA = "../shared/data/cifar10/cifar10_jpeg_{split}.npz"
WHOLE = {"n": 50_000, "targets": 1_000}
QUICK = {"n": 60, "targets": 20, "width": 4, "batch": 20, "epochs": 2, "cuda_graph": False, "dtype": "float32"}


def measured(folder, sizes, data, models, heldout):
    """Collect, guess, evaluate; seconds of a training and of a table."""
    params = sizes | {"data": data}
    design = st.Design(0.5, models=models, heldout=heldout, replicates=2, kind="fixed")
    study = st.Study.create(folder, "resnet9", design, params=params, segment=1, exist_ok=True)
    done = study.collect()
    began = time.monotonic()
    guess = st.guess(study, models)
    seconds = time.monotonic() - began
    found = st.evaluate(guess, study)
    lds = [found.lds.value, found.lds.low, found.lds.high]
    return {
        "models": models,
        "lds": lds,
        "ceiling": found.lds_ceiling,
        "seconds a training": done.seconds / max(done.trained, 1),
        "seconds a training and its table": seconds / models,
        "accuracy": float(np.mean(study.read("test_margins", study.done("evaluation")) > 0)),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes on the CPU, prints only")
    parser.add_argument("--data", default=DATA, help="files of the pixels, with {split}")
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--folder", type=Path, default=HERE.parent / "runs" / "guess_gpu")
    given = parser.parse_args()
    if given.quick:
        with tempfile.TemporaryDirectory() as scratch:
            print(json.dumps(measured(Path(scratch) / "quick", QUICK, given.data, 4, 6), indent=1))
        return
    found = {"cpu": cpu(), "versions": versions("torch", "subtrain")}
    found |= measured(given.folder, WHOLE, given.data, given.models, 64)
    (HERE / "results" / "guess_gpu.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
