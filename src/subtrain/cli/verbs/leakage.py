"""`subtrain leakage`: which test examples are in the training set as well?"""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.question import Asked, question
from subtrain.uses.kit.result import Result


@question()
def leakage(
    asked: Asked,
    fdr: Annotated[float, typer.Option(help="Share of the suspect targets that may be clean.")] = 0.1,
    copies: Annotated[int, typer.Option(help="Largest number of duplicates of one target.")] = 1,
    train_fit: Annotated[
        str | None,
        typer.Option(help="Name of a fit of the training examples (train_margins): compare datamodels, not weights."),
    ] = None,
) -> Result:
    """Rank the training units that matter to one target far more than all others do, as duplicates of it would.

    --out review.csv writes all pairs, with an empty column `decision` for the reviewer.
    """
    from subtrain.fits import load_fit
    from subtrain.uses.leakage import leakage as find

    train = None if train_fit is None else load_fit(asked.study, train_fit)
    return find(asked.dm, asked.study, asked.targets, fdr, train, copies)
