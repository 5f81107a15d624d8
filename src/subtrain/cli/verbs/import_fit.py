"""`subtrain import-fit`: datamodels made elsewhere, as a fit of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from subtrain.cli.shared.app import StudyPath, app, out


@app.command(name="import-fit")
def import_fit(
    study: StudyPath,
    file: Annotated[Path, typer.Argument(metavar="FILE.pt", help="A dict of weight, bias and lam.")],
    name: Annotated[str, typer.Option(help="Name of the fit, a folder below STUDY/fits.")] = "published",
    output: Annotated[
        str | None, typer.Option(help="Which output they predict, if several have as many targets.", show_default=False)
    ] = None,
    units: Annotated[
        str | None,
        typer.Option(help="raw or standardized masks; by default found out from the mean outputs.", show_default=False),
    ] = None,
) -> None:
    """Take published datamodels, or others of the reference code, into a study, in raw-mask units.

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
    out.print(f"{dm!r}: its weights are of {dm.meta['published_units']} masks; written to {where}", soft_wrap=True)
    out.print(f"Next: subtrain evaluate {study} --fit {name}")
