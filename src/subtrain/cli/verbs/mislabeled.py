"""`subtrain mislabeled`: which training examples have a wrong label."""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.options import Known, numbers
from subtrain.cli.shared.question import Asked, question
from subtrain.uses.kit.result import Result


@question(fit=False, targets=False)
def mislabeled(
    asked: Asked,
    fit: Annotated[
        str | None, typer.Option("--fit", help="Name of a fit of the same output, for two more scores.")
    ] = None,
    output: Annotated[str, typer.Option(help="Margins of the training examples.")] = "train_margins",
    by: Annotated[str, typer.Option(help="The score that ranks the examples.")] = "without",
    known: Known = None,
    drop: Annotated[
        int | None,
        typer.Option(help="With --verify: number of suspicious examples to leave out. (default: all suspects)"),
    ] = None,
) -> Result:
    """Rank the training examples by how much the models that were not trained on them contradict their labels.

    --verify retrains without the most suspicious examples, and without as many random ones.
    """
    from subtrain.fits import load_fit
    from subtrain.uses.mislabeled import mislabeled as rank

    asked.verify_with = {"drop": drop}
    dm = None if fit is None else load_fit(asked.study, fit)
    return rank(asked.study, output, by, numbers(known, "known"), dm=dm)
