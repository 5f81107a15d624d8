"""`subtrain budget`: how many models an LDS needs, and which alpha is best."""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.options import OutputName, shares
from subtrain.cli.shared.question import Asked, question
from subtrain.errors import InputError
from subtrain.uses.kit.result import Result


@question(fit=False, targets=False, verify=False, trains=True)
def budget(
    asked: Asked,
    lds: Annotated[float | None, typer.Option(help="The LDS to reach.", show_default=False)] = None,
    output: OutputName = None,
    alphas: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="Compare these alphas instead, as in 0.1,0.2,0.5; this trains models."),
    ] = None,
    pilot: Annotated[int, typer.Option(help="With --alphas: number of models of each pilot study.")] = 500,
) -> Result:
    """Estimate how many models, and how much time, the LASSO needs to reach an LDS.

    The estimate continues the study's learning curve. --alphas compares alphas in pilot studies instead.
    """
    if (lds is None) == (alphas is None):
        raise InputError("give either --lds, the score to reach, or --alphas, those to compare")
    if alphas is not None:
        from subtrain.uses.alphas import compare_alphas

        return compare_alphas(asked.study, shares(alphas, "alphas"), pilot, output, **asked.training)
    from subtrain.uses.budget import budget as plan

    assert lds is not None
    return plan(asked.study, lds, output)
