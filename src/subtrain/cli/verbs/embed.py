"""`subtrain embed`: principal components of datamodels."""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.question import Asked, question
from subtrain.uses.kit.result import Result


@question(targets=False)
def embed(
    asked: Asked,
    components: Annotated[
        int | None, typer.Option(help="Number of components. (default: 10, or as many as there are)")
    ] = None,
    of: Annotated[str, typer.Option(help="What to embed: targets or units.")] = "targets",
    component: Annotated[int, typer.Option(help="With --verify: number of the component.")] = 0,
    units: Annotated[int, typer.Option(help="With --verify: number of units to remove at each end.")] = 20,
) -> Result:
    """Find the principal components of the datamodels, and the targets and units at their ends.

    --verify retrains without the units at each end of a component, and shows whether the component is a cause.
    """
    from subtrain.uses.embedding import embedding
    from subtrain.uses.kit.unit_names import labels_of

    dm = asked.dm
    asked.verify_with = {"component": component, "units": units}
    return embedding(dm, asked.study, components, of, labels_of(asked.study, of, dm.meta["output"]))
