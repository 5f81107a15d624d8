"""`subtrain demo`: the main job on real data in a minute."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from subtrain.cli.shared.app import app, err, out
from subtrain.cli.shared.options import Workers

if TYPE_CHECKING:
    from subtrain.demo import Demo


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--out", help="Folder for the studies and the page.")] = Path("runs/demo"),
    models: Annotated[int, typer.Option(help="Number of networks to fit on.")] = 100,
    heldout: Annotated[int, typer.Option(help="Number of held-out subsets to evaluate on.")] = 100,
    replicates: Annotated[int, typer.Option(help="Number of networks for each held-out subset.")] = 5,
    init: Annotated[str, typer.Option(help="Initialization: shared, own, or both.")] = "both",
    guess: Annotated[
        int, typer.Option(help="Number of networks whose influence tables the fit begins from; 0 fits the LASSO.")
    ] = 50,
    workers: Workers = None,
) -> None:
    """Train networks on halves of a set of handwritten digits, and see which digits matter to which.

    The demo ends with the scores of the datamodels and a page to open. Run it again to continue where it stopped.
    """
    from subtrain.demo import run_demo

    made = run_demo(
        folder, models, heldout, replicates, init, guess, workers, say=lambda text: err.print(f"[bold]»[/bold] {text}")
    )
    _show(made)


def _show(made: Demo) -> None:
    """The summary: how good, what it means, what was written, what to do next."""
    first = made.parts[0].evaluation
    runs = f"mean of {first.replicates} runs"
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("", "accuracy", f"LDS, {runs}", "95 % interval", "upper bound", "LDS, one run", "upper bound"):
        table.add_column(column, justify="right" if column else "left", max_width=14 if column else None)
    for part in made.parts:
        e = part.evaluation
        table.add_row(
            f"{part.init} init",
            f"{part.accuracy:.1%}",
            f"[bold]{e.lds.value:.3f}[/bold]",
            f"{e.lds.low:.3f}–{e.lds.high:.3f}",
            f"{e.lds_ceiling:.3f}",
            f"{e.lds_one.value:.3f}",
            f"{e.lds_one_ceiling:.3f}",
        )
    out.print()
    out.print(table)
    out.print(
        f"\nThe LDS measures how well the datamodels of {first.targets} test digits rank {first.subsets} new subsets "
        "(Spearman per target, mean over targets). A perfect predictor would score at most the upper bound: two "
        "networks that are trained on the same subset differ, and more so from their own initializations.\n",
        style="dim",
    )
    trained = sum(part.trained for part in made.parts)
    rate = trained / max(1e-9, sum(part.seconds for part in made.parts))
    if "guess" in made.parts[0].datamodels.meta:
        used = made.parts[0].datamodels.meta["models"]
        out.print(
            f"The datamodels are fitted on {used:,} networks and begin from influence tables; the LASSO takes many "
            "times as many for such scores (to see it: --models 2000 --guess 0 --out runs/lasso)."
        )
    out.print(f"{trained:,} networks trained at {rate:,.0f} a second, everything in {made.seconds:.0f} s.")
    for part in made.parts:
        out.print(f"  {part.study.location}  study and datamodels, {part.label}", soft_wrap=True)
    out.print(f"  [bold]{made.report}[/bold]  open it in a browser", soft_wrap=True)
    out.print(
        f"Next: subtrain status {made.parts[0].study.location}, then your own task: subtrain create --help",
        soft_wrap=True,
    )
