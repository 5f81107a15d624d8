"""`subtrain clusters`: targets that were learned from the same units."""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.question import Asked, question
from subtrain.uses.kit.result import Result


@question(targets=False, verify=False)
def clusters(
    asked: Asked,
    k: Annotated[int, typer.Option("--k", "-k", help="Number of clusters.")] = 10,
    of: Annotated[str, typer.Option(help="What to cluster: targets or units.")] = "targets",
    affinity: Annotated[str, typer.Option(help="What links two datamodels: knn or cosine.")] = "knn",
    neighbors: Annotated[int, typer.Option(help="Number of nearest neighbors that knn links.")] = 10,
    method: Annotated[str, typer.Option("--map", help="How --out FILE.png draws: pca, spectral or tsne.")] = "pca",
) -> Result:
    """Group the datamodels, and show the training units that each group has in common."""
    from subtrain.uses.clusters import clusters as cut
    from subtrain.uses.kit.unit_names import labels_of

    dm = asked.dm
    labels = labels_of(asked.study, of, dm.meta["output"])
    return cut(dm, asked.study, k, of, affinity, neighbors, method, labels)
