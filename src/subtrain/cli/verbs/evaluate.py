"""`subtrain evaluate`: how well the datamodels predict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from subtrain.cli.shared.app import app, out, print_json
from subtrain.cli.shared.options import AsJson, FitName, OutputName, StudyPath
from subtrain.formatting import number

if TYPE_CHECKING:
    from subtrain.evaluation import Evaluation


@app.command()
def evaluate(
    study: StudyPath,
    fit: FitName = "default",
    table: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Evaluate a table of influence [n, T] in a .npy file instead of a fit."),
    ] = None,
    output: OutputName = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a fit on held-out subsets that it never saw: the LDS beside its noise ceiling (an upper bound).

    A table by any method of attribution is evaluated in the same way, in the scale that it has.
    """
    from subtrain.evaluation import evaluate as judge
    from subtrain.fits import EVALUATION, OF, digest_of, fit_prefix, load_fit, models_said
    from subtrain.store.seal import put_sealed
    from subtrain.study import Study

    opened = Study.open(study)
    if table is not None:
        found = judge(table, opened, output)
        print_json(found.to_json()) if as_json else show(found, f"a table, {table.name}")
        return
    of = digest_of(opened, fit)
    datamodels = load_fit(opened, fit)
    found = judge(datamodels, opened, output)
    name = f"{fit_prefix(fit)}/{EVALUATION}"
    put_sealed(opened.store, name, {**found.to_json(), OF: of})
    if as_json:
        print_json(found.to_json())
        return
    show(found, f"fitted on {models_said(datamodels.meta)}" if found.models_fitted else "")
    if found.weak:
        out.print(found.weak, style="yellow", soft_wrap=True, markup=False)
    for text in datamodels.meta.get("notes", []):
        out.print(f"Warning of the fit: {text}", soft_wrap=True, markup=False)
    out.print(f"Written to {opened.store.location(name)}", soft_wrap=True)
    out.print(f"Next: subtrain report {study}")


def show(found: Evaluation, what: str = "") -> None:
    """Print an evaluation as a table; figures that do not exist, as errors of what has no scale, are left out.

    what: what was evaluated, in words.
    """
    fitted = f"fitted on {found.models_fitted:,} models" if found.models_fitted else "fitted elsewhere"
    out.print(
        f"[bold]{found.output}[/bold]: {found.over}, {found.subsets:,} held-out subsets x {found.replicates} runs, "
        f"alpha {found.alpha}; {what or fitted}",
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False)
    for column in ("", "score", "95 % interval", "upper bound (noise)"):
        table.add_column(column, justify="left" if not column else "right")
    runs = f"the mean of {found.replicates} runs" if found.replicates > 1 else "one run"
    table.add_row(f"[bold]LDS[/bold] against {runs}", *_row(found.lds, found.lds_ceiling))
    if found.replicates > 1:
        table.add_row("LDS against one run", *_row(found.lds_one, found.lds_one_ceiling))
    table.add_row("Pearson", number(found.pearson))
    scaled = found.mse == found.mse
    if scaled:
        table.add_row("R²", number(found.r2))
        floor = "" if found.mse_floor != found.mse_floor else f"floor {found.mse_floor:.4g}"
        table.add_row("MSE", f"{found.mse:.4g}", "", floor)
        table.add_row("Spearman, [italic]pooled[/italic]", number(found.pooled_spearman))
    for name, baseline in found.baselines.items():
        error = f"MSE {baseline['mse']:.4g}" if scaled else ""
        table.add_row(f"[dim]baseline: {name}[/dim]", f"LDS {number(baseline['lds'])}", error)
    out.print(table)
    pooled = " A pooled score is one number over all (subset, target) pairs." if scaled else ""
    out.print(f"Scores are means over {found.over}.{pooled}", style="dim", soft_wrap=True)


def _row(interval: object, ceiling: float) -> tuple[str, str, str]:
    value, low, high = (getattr(interval, name) for name in ("value", "low", "high"))
    between = f"{number(low)} … {number(high)}" if low == low else "unknown"
    return f"[bold]{number(value)}[/bold]", between, number(ceiling)
