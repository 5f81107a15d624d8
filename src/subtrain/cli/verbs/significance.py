"""`subtrain significance`: which weights are real."""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.progress import stages
from subtrain.cli.shared.question import Asked, question
from subtrain.uses.kit.result import Result


@question(verify=False)
def significance(
    asked: Asked,
    fdr: Annotated[float, typer.Option(help="Share of the listed pairs that may be false.")] = 0.05,
    method: Annotated[
        str, typer.Option(help="debiased (for a LASSO fit), or exact (for more models than units).")
    ] = "debiased",
    per_target: Annotated[
        bool, typer.Option("--per-target", help="Keep the share for each target, not over all pairs.")
    ] = False,
) -> Result:
    """List the pairs of unit and target whose weight is real, with unbiased weight, standard error, p- and q-value."""
    from subtrain.uses.significance import significance as test

    with stages() as progress:
        return test(asked.dm, asked.study, asked.targets, fdr, method=method, per_target=per_target, progress=progress)
