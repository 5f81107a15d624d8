"""`subtrain clusters`: targets that were learned from the same units."""

from __future__ import annotations

from typing import Annotated

import typer

from subtrain.cli.shared.app import AsJson, FitName, StudyPath, app
from subtrain.cli.shared.results import PANEL, OutFile, show


@app.command(rich_help_panel=PANEL)
def clusters(
    study: StudyPath,
    fit: FitName = "default",
    k: Annotated[int, typer.Option("--k", "-k", help="How many clusters.")] = 10,
    of: Annotated[str, typer.Option(help="What to cluster: targets or units.")] = "targets",
    affinity: Annotated[str, typer.Option(help="knn or cosine.")] = "knn",
    neighbors: Annotated[int, typer.Option(help="Nearest neighbors that knn links.")] = 10,
    method: Annotated[str, typer.Option("--map", help="How --out FILE.png draws: pca, spectral or tsne.")] = "pca",
    to: OutFile = None,
    as_json: AsJson = False,
) -> None:
    """Clusters of the datamodels, and the training units that each has in common."""
    from subtrain.fits import load_fit
    from subtrain.study import Study
    from subtrain.uses.clusters import clusters as cut
    from subtrain.uses.kit.unit_names import labels_of

    opened = Study.open(study)
    dm = load_fit(opened, fit)
    labels = labels_of(opened, of, dm.meta["output"])
    show(cut(dm, opened, k, of, affinity, neighbors, method, labels), to, as_json)
