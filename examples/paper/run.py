"""Run a study of the paper's Table 1, whole or shrunk: collect, fit, evaluate.

    python examples/paper/run.py cifar 50 --data cifar-10-binary.tar.gz                        # says what it takes
    python examples/paper/run.py cifar 50 --data cifar-10-binary.tar.gz --scale 1e-4 --yes     # minutes, on a CPU
    python examples/paper/run.py cifar 50 --data cifar-10-batches-bin --yes --engine slurm -o partition=gpu
    python examples/paper/run.py fmow 20 --data wilds/fmow_v1.1 --yes --engine ray -o address=10.0.0.1:6379

Run again, it goes on where it was. A scale s below 1 shrinks the number of models with s, units and targets with the
square root of s, and the network's width with its fourth root: the same loop in minutes, another (and worse) learner.
"""

from __future__ import annotations

import argparse
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import subtrain as st
from subtrain.collection.check.report import duration
from subtrain.formatting import size
from subtrain.tasks.loading.load import parse_params

TABLE = tomllib.loads(Path(__file__).with_name("table1.toml").read_text())
EVALUATION = 10_000
FEWEST = {"models": 60, "heldout": 20, "units": 100, "targets": 20, "width": 8, "batch": 16}


@dataclass(frozen=True)
class Plan:
    """What one study takes: its design, its network, and the time and disk of all its models."""

    task: str
    alpha: float
    models: int
    heldout: int
    units: int
    targets: int
    width: int
    batch: int
    pflop: float
    gpu_seconds: float

    @property
    def bytes(self) -> int:
        """On disk: margins in float16; masks are not stored."""
        return 2 * self.targets * (self.models + self.heldout)

    def cost(self, dollars: float) -> str:
        """What it takes, at so many dollars an hour of an A100."""
        hours = self.gpu_seconds / 3600
        time = f"{hours:,.0f} hours" if hours >= 1 else duration(self.gpu_seconds)
        return (
            f"{self.models:,} fit models and {self.heldout:,} evaluation models, each {self.task} of width "
            f"{self.width} on {math.floor(self.alpha * self.units):,} of {self.units:,} units; {self.targets:,} "
            f"targets; {size(self.bytes)} of outputs.\n{self.pflop:,.3g} PFLOP in all: about {time} of one A100, "
            f"${hours * dollars:,.2f} at ${dollars:g} an hour."
        )


def plan(dataset: str, percent: int, scale: float) -> Plan:
    """The study of this row of the table at this scale; SystemExit if there is none."""
    row = TABLE[dataset]
    if str(percent) not in row["models"]:
        raise SystemExit(f"{dataset} was not run at {percent} %: choose from {', '.join(row['models'])}")
    if not 0 < scale <= 1:
        raise SystemExit(f"scale must be above 0 and at most 1, got {scale}")
    models = shrunk("models", row["models"][str(percent)], scale)
    heldout = shrunk("heldout", EVALUATION, scale)
    units, targets = (shrunk(name, row[name], math.sqrt(scale)) for name in ("units", "targets"))
    width = shrunk("width", 64, scale**0.25)
    # Operations grow with the examples seen and the square of the width; a GPU's time is taken to grow with them.
    share = percent / 50 * units / row["units"] * (width / 64) ** 2
    each = share * (models + heldout)
    return Plan(
        row["task"], percent / 100, models, heldout, units, targets, width, shrunk("batch", 512, math.sqrt(scale)),
        row["pflop"] * each, row["seconds"] * each,
    )  # fmt: skip


def shrunk(name: str, full: int, share: float) -> int:
    return max(min(full, FEWEST[name]), round(full * share))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", choices=list(TABLE))
    parser.add_argument("percent", type=int, help="alpha in percent, as in the table")
    parser.add_argument("--data", required=True, help="CIFAR-10's archive or folder, an .npz file, or WILDS' fmow_v1.1")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--folder", default="runs/paper", help="a folder, or s3://bucket/prefix")
    parser.add_argument("--engine", default="local", choices=["local", "slurm", "ray"])
    parser.add_argument("-o", "--option", action="append", default=[], metavar="NAME=VALUE", help="of the engine")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--dollars", type=float, default=2.0, help="an hour of an A100, for the estimate")
    parser.add_argument("--yes", action="store_true", help="do it, rather than only say what it takes")
    given = parser.parse_args()
    wanted = plan(given.dataset, given.percent, given.scale)
    print(wanted.cost(given.dollars))
    if not given.yes:
        print("Nothing was started: add --yes, and perhaps --scale 1e-4.")
        return
    run(wanted, given, f"{given.folder}/{given.dataset}-{given.percent}-{given.scale:g}")


def run(wanted: Plan, given: argparse.Namespace, where: str) -> None:
    params: dict[str, Any] = {"data": given.data, "n": wanted.units, "targets": wanted.targets, "width": wanted.width}
    params |= {"batch": wanted.batch} | ({"epochs": given.epochs} if given.epochs else {})
    design = st.Design(wanted.alpha, wanted.models, heldout=wanted.heldout, replicates=1)
    study = st.Study.create(where, wanted.task, design, params=params, exist_ok=True)
    study.collect(engine=given.engine, **parse_params(given.option))
    dm = st.fit(study, "test_margins")
    print(st.evaluate(dm, study))
    print(f"Look at it: subtrain report {where}")


if __name__ == "__main__":
    main()
