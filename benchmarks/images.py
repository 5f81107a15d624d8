"""Datamodels of real images on this machine: models an hour, accuracy, and LDS against the number of models.

    python benchmarks/images.py                        # half an hour: 10 minutes of training for each of three tasks
    python benchmarks/images.py --minutes 60           # an hour each
    python benchmarks/images.py --quick                # does it run? (prints only)
    python benchmarks/images.py --task cifar_cnn       # one of the tasks; may be repeated

Each task is a study with `collect` on all cores. A first part measures the rate, then it is extended by as many models
as the minutes allow, until few are left; a quarter of them are held out, in replicates. Run again, it goes on where it
was and fits what is there; more --minutes extend it. Models an hour are measured apart, on a fresh study for a minute,
so that the long collection may run beside other work. Writes results/images.{json,md,png}; tasks whose data are missing
are left out.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from pathlib import Path

import image_tasks
import numpy as np
from machine import cores, cpu, load, versions

import subtrain as st
from subtrain.datamodels import Datamodels
from subtrain.designs.model_rows import EVALUATION, FIT
from subtrain.errors import InputError
from subtrain.regression.fit_warnings import FitWarning

HERE = Path(__file__).parent
TASKS = {
    "fashion_mlp": "Fashion-MNIST, MLP-128",
    "fashion_cnn": "Fashion-MNIST, CNN 8-16",
    "cifar_cnn": "CIFAR-10 (lossless subset), CNN 16-32-64",
}
PILOT, REPLICATES, HELDOUT_SHARE, MOST_HELDOUT = 32, 3, 0.25, 300
FEWEST = 125


def measured(name, data, folder, minutes, epochs, rate_seconds):
    """Collect for so many minutes in all and judge datamodels of ever more models."""
    params = {"data": str(data.resolve())} | ({"epochs": epochs} if epochs else {})
    design = st.Design(0.5, models=PILOT, heldout=0, replicates=REPLICATES, kind="fixed")
    where = f"{image_tasks.__file__}:{name}"
    study = st.Study.create(folder / name, where, design, params=params, segment=16, exist_ok=True)
    spent = Spent(folder / f"{name}.json")
    if minutes:
        collect(study, spent)
    while spent.seconds < 0.9 * 60 * minutes:
        study = extended(study, spent, 60 * minutes)
        collect(study, spent)
    held = study.done(EVALUATION)
    return {
        "task": TASKS[name],
        "about": getattr(image_tasks, name).__doc__,
        "models": study.models_done(),
        "models_an_hour": round(3600 * rate(where, params, spent.rate, rate_seconds)),
        "accuracy": float((study.read("test_margins", held) > 0).mean()),
        "heldout": len(held) // REPLICATES,
        "replicates": REPLICATES,
        "curve": curve(study),
    }


def rate(where, params, about, seconds):
    """Models a second of a fresh study, starting its workers included, over about so many seconds."""
    with tempfile.TemporaryDirectory() as scratch:
        design = st.Design(0.5, models=max(8, int(about * seconds)), heldout=0, seed=1, kind="fixed")
        return st.Study.create(Path(scratch) / "rate", where, design, params=params, segment=4).collect().rate


class Spent:
    """Seconds spent so far, kept beside the study; rate: models a second of the last collection."""

    def __init__(self, path):
        self.path = path
        kept = json.loads(path.read_text()) if path.exists() else {"seconds": 0.0, "rate": 0.0}
        self.seconds, self.rate = kept["seconds"], kept["rate"]

    def add(self, done):
        self.seconds, self.rate = self.seconds + done.seconds, done.rate
        self.path.write_text(json.dumps({"seconds": self.seconds, "rate": self.rate}))


def collect(study, spent):
    if study.models_done() < study.models:
        spent.add(study.collect())


def extended(study, spent, budget):
    """The study with as many more models as fit the seconds that are left, a quarter of all of them held out."""
    left = max(PILOT, int((budget - spent.seconds) * spent.rate))
    there = sum(block.subsets for block in study.design.blocks if block.role == EVALUATION)
    wanted = max(3, min(MOST_HELDOUT, int((study.models + left) * HELDOUT_SHARE / REPLICATES)))
    heldout = max(0, min(wanted - there, left // REPLICATES))
    return study.extend(models=left - heldout * REPLICATES, heldout=heldout)


def curve(study):
    """Evaluations of the datamodels of the first m models, for growing m."""
    rows = study.done(FIT)
    sizes = [m for m in FEWEST * 2.0 ** np.arange(20) if m < 0.8 * rows.size]
    points = []
    for m in [*(int(size) for size in sizes), rows.size]:
        began = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)  # of few models some targets cannot be predicted; LDS tells
            lasso = st.Lasso().fit(study.masks(rows[:m]), study.read("test_margins", rows[:m]))
        meta = {"output": "test_margins", "models": m}
        found = st.evaluate(Datamodels(lasso.weight_.astype(np.float32), lasso.bias_, lasso.lam_, meta), study)
        points.append(
            {
                "models": m,
                "lds": [found.lds.value, found.lds.low, found.lds.high],
                "ceiling": found.lds_ceiling,
                "lds_one": [found.lds_one.value, found.lds_one.low, found.lds_one.high],
                "ceiling_one": found.lds_one_ceiling,
                "fit_seconds": round(time.monotonic() - began, 1),
            }
        )
        print(f"  {m:>6} models: LDS {found.lds.value:.3f} of at most {found.lds_ceiling:.3f}", flush=True)
    return points


def table(found):
    lines = [
        "# Real images: models an hour, and LDS against their number",
        "",
        f"{image_tasks.UNITS:,} units, alpha = 0.5, {image_tasks.TARGETS} targets, margins, shared initialization;",
        f"LASSO; `collect` on {found['workers']} cores of {found['cpu']}; {found['versions']}.",
        f"Load average {found['load_before']} before, {found['load_after']} after.",
        "LDS is against the mean of the replicates, with its 95 % interval; the ceiling, an upper bound, is what seed "
        "noise leaves.",
        "",
        "| task | models an hour | accuracy | trained | held out | models fitted | LDS | ceiling (upper bound) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        minutes = 60 * row["models"] / row["models_an_hour"]
        first = f"{row['task']} | {row['models_an_hour']:,} | {row['accuracy']:.3f} | "
        first += f"{row['models']:,} in {minutes:.0f} min | {row['heldout']} x {row['replicates']}"
        for point in row["curve"]:
            value, low, high = point["lds"]
            lines.append(
                f"| {first} | {point['models']:,} | {value:.3f} ({low:.3f}-{high:.3f}) | {point['ceiling']:.3f} |"
            )
            first = " | | | | "
    return "\n".join(lines) + "\n"


def figure(found, path):
    from matplotlib.figure import Figure

    picture = Figure(figsize=(6.5, 4), layout="constrained")
    axes = picture.add_subplot()
    for row in found["rows"]:
        m = [point["models"] for point in row["curve"]]
        value, low, high = np.array([point["lds"] for point in row["curve"]]).T
        (line,) = axes.plot(m, value, marker="o", label=row["task"])
        axes.fill_between(m, low, high, alpha=0.2, color=line.get_color())
        axes.plot(m, [point["ceiling"] for point in row["curve"]], linestyle=":", color=line.get_color())
    axes.set(xscale="log", xlabel="models fitted", ylabel="LDS on held-out subsets", ylim=(0, 1))
    axes.legend(frameon=False, title="dotted: noise ceiling (upper bound)")
    picture.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few models of one epoch, to see that it works")
    parser.add_argument(
        "--minutes",
        type=float,
        default=10,
        help="of training, for each task, earlier runs included; 0: fit what is there",
    )
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--task", action="append", choices=list(TASKS), help="all by default")
    parser.add_argument("--folder", type=Path, default=HERE.parent / "runs" / "images", help="where the studies are")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    given = parser.parse_args()
    before, rows = load(), []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if given.quick else given.folder
        folder.mkdir(parents=True, exist_ok=True)
        for name in given.task or TASKS:
            print(TASKS[name], flush=True)
            try:
                minutes, epochs, seconds = (0.2, 1, 5) if given.quick else (given.minutes, None, 60)
                rows.append(measured(name, given.data, folder, minutes, epochs, seconds))
            except InputError as error:
                print(f"  left out: {error}")
    if not rows:
        raise SystemExit("No task could be run.")
    about = {"workers": cores(), "cpu": cpu(), "versions": versions("numpy", "numba", "subtrain")}
    found = about | {"load_before": before, "load_after": load(), "rows": rows}
    print(table(found))
    if not given.quick:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "images.json").write_text(json.dumps(found, indent=1) + "\n")
        (given.out / "images.md").write_text(table(found))
        figure(found, given.out / "images.png")


if __name__ == "__main__":
    main()
