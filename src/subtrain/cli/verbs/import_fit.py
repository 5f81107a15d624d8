"""`subtrain import-fit`: datamodels made elsewhere, as a fit of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from subtrain.cli.shared.app import app, out
from subtrain.cli.shared.options import StudyPath


@app.command(name="import-fit")
def import_fit(
    study: StudyPath,
    file: Annotated[Path, typer.Argument(metavar="FILE.pt", help="A file with a dict of weight, bias and lam.")],
    name: Annotated[str, typer.Option(help="Name of the fit, a folder below STUDY/fits.")] = "published",
    output: Annotated[
        str | None, typer.Option(help="Name of the output that they predict, if several have that number of targets.")
    ] = None,
    units: Annotated[
        str | None,
        typer.Option(help="Masks of the weights: raw or standardized. (default: estimated from the mean outputs)"),
    ] = None,
) -> None:
    """Add published datamodels, or others of the reference code, to a study, in units of raw masks.

    subtrain import runs/cifar cifar/ --pct 50
    subtrain import-fit runs/cifar cifar/datamodels/test_50pct.pt
    subtrain evaluate runs/cifar --fit published
    """
    from subtrain.fits import save_fit
    from subtrain.public.published import load_published
    from subtrain.study import Study

    opened = Study.open(study)
    dm = load_published(file, opened, output, units)
    where = save_fit(opened, dm, name)
    out.print(
        f"{dm!r}: the file's weights were for {dm.meta['published_units']} masks; written to {where}", soft_wrap=True
    )
    out.print(f"Next: subtrain evaluate {study} --fit {name}")
