"""The main job on real data in a minute: train, fit, judge, show."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from subtrain.datamodels import Datamodels
from subtrain.designs.drawn import Design
from subtrain.designs.model_rows import EVALUATION
from subtrain.errors import InputError
from subtrain.evaluation import Evaluation, evaluate
from subtrain.study import Study
from subtrain.system.paths import local_path
from subtrain.tasks.digits import digits

INITS = {"shared": "shared initialization", "own": "own initializations"}


@dataclass(frozen=True, eq=False)
class DemoPart:
    """One study of the demo, from collecting to judging. accuracy: of the held-out models on the targets."""

    init: str
    study: Study
    datamodels: Datamodels
    evaluation: Evaluation
    accuracy: float
    trained: int
    seconds: float

    @property
    def label(self) -> str:
        """The initialization in words."""
        return INITS[self.init]


@dataclass(frozen=True, eq=False)
class Demo:
    """What the demo made: its studies, the first of which is the one reported on."""

    parts: tuple[DemoPart, ...]
    report: Path
    seconds: float


def run_demo(
    folder: str | Path,
    models: int = 100,
    heldout: int = 100,
    replicates: int = 5,
    init: str = "both",
    guess: int = 50,
    workers: int | None = None,
    say: Callable[[str], None] = print,
) -> Demo:
    """Train MLPs on halves of 500 handwritten digits, fit and judge a datamodel for each of 300 test digits.

    init: "shared" starts every network from the same weights, "own" each from its own; "both" does one after the other,
    to show what seed noise does to the scores. guess: of how many networks the influence tables are made that the fit
    begins from; 0 fits the LASSO, which takes some 2,000 networks for the same scores. Running it again on the same
    folder goes on where it stopped.
    """
    from subtrain.explorer.open_studies import Library
    from subtrain.explorer.single_file import write_page

    if init not in (*INITS, "both"):
        raise InputError(f"init must be {', '.join(INITS)} or both, got {init!r}")
    began = time.monotonic()
    design = Design(0.5, models, heldout=heldout, replicates=replicates)
    inits = tuple(INITS) if init == "both" else (init,)
    parts = tuple(_part(local_path(folder) / one, one, design, guess, workers, say) for one in inits)
    first = parts[0]
    say("Writing the page")
    report = local_path(folder) / "report.html"
    write_page(Library({"": first.study}), report)
    return Demo(parts, report, time.monotonic() - began)


def _part(
    folder: Path, init: str, design: Design, guess: int, workers: int | None, say: Callable[[str], None]
) -> DemoPart:
    from subtrain.fits import save_fit
    from subtrain.regression import Lasso, SharedPrior, fit
    from subtrain.regression.estimators.kit.contract import Estimator

    study = Study.create(folder, digits(init=init), design, exist_ok=True)
    say(f"{study.models:,} networks, most on a half of {study.n} digits of their own, {INITS[init]}")
    done = study.collect(workers=workers, guess=guess or None)
    estimator: Estimator = Lasso()
    if guess:
        say(f"Fitting a datamodel for every target, from a guess: the influence tables of {guess} networks")
        estimator = SharedPrior(guess="default")
    else:
        say("Fitting a datamodel for every target")
    datamodels = fit(study, output="test_margins", estimator=estimator)
    save_fit(study, datamodels)
    evaluation = evaluate(datamodels, study)
    accuracy = float(np.mean(study.read("test_margins", study.done(EVALUATION)) > 0))
    return DemoPart(init, study, datamodels, evaluation, accuracy, done.trained, done.seconds)
