"""`subtrain demo`: the main job on real data in a minute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from subtrain.cli.app import Workers, app, err, out
from subtrain.errors import InputError


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--out", help="Where to write the studies and the report.")] = Path(
        "runs/demo"
    ),
    models: Annotated[int, typer.Option(help="Networks to fit on.")] = 2000,
    heldout: Annotated[int, typer.Option(help="Held-out subsets to judge on.")] = 300,
    replicates: Annotated[int, typer.Option(help="Networks for each held-out subset.")] = 5,
    init: Annotated[str, typer.Option(help="Initialisation: shared, own, or both.")] = "both",
    workers: Workers = None,
) -> None:
    """Train thousands of networks on random halves of real handwritten digits, and see which digits matter to which.

    Ends with how good the datamodels are and a page to open. Run it again and it goes on where it stopped.
    """
    from subtrain.demo import INITS, run_demo

    if init != "both" and init not in INITS:
        raise InputError(f"--init must be shared, own or both, got {init!r}")
    inits = tuple(INITS) if init == "both" else (init,)
    made = run_demo(
        folder, models, heldout, replicates, inits, workers, say=lambda text: err.print(f"[bold]»[/bold] {text}")
    )
    table = Table(title="Datamodels on held-out subsets", title_justify="left", pad_edge=False, box=None)
    for column in ("networks start from", "accuracy", "LDS, 95 % interval", "noise ceiling", "LDS, one run", "ceiling"):
        table.add_column(column, justify="left" if column.startswith("net") else "right")
    for part in made.parts:
        e = part.evaluation
        table.add_row(
            INITS[part.init],
            f"{part.accuracy:.1%}",
            f"[bold]{e.lds.value:.3f}[/bold]  {e.lds.low:.3f}…{e.lds.high:.3f}",
            f"{e.lds_ceiling:.3f}",
            f"{e.lds_one.value:.3f}",
            f"{e.lds_one_ceiling:.3f}",
        )
    out.print()
    out.print(table)
    e = made.parts[0].evaluation
    out.print(
        f"LDS: how well the datamodel of each of {e.targets} test digits ranks {e.subsets} subsets it never saw "
        f"(Spearman, per target, mean over targets); outputs are means of {e.replicates} runs, or one run.\n"
        "Ceiling: what a perfect predictor would score, seed noise being what it is.\n",
        style="dim",
    )
    trained = sum(part.trained for part in made.parts)
    out.print(f"{trained:,} networks trained, everything in {made.seconds:.0f} s. Written:")
    for part in made.parts:
        out.print(f"  {part.study.path}  the study, with its datamodels in fits/default", soft_wrap=True)
    out.print(f"  [bold]{made.report}[/bold]  open this in a browser", soft_wrap=True)
    out.print(
        f"Next: subtrain status {made.parts[0].study.path}, or your own task: subtrain create --help", soft_wrap=True
    )
