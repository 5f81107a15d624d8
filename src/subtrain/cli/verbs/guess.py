"""`subtrain guess`: influence tables of some of a study's models, for `fit --guess`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from subtrain.cli.shared.app import app, out
from subtrain.cli.shared.options import OutputName, StudyPath
from subtrain.cli.shared.training import Training, with_training


def guess(
    study: StudyPath,
    training: Training,
    models: Annotated[int, typer.Option(min=1, help="Number of finished fit models to compute tables of.")] = 50,
    output: OutputName = None,
    name: Annotated[str, typer.Option(help="Name of the guess, a folder below STUDY/guesses.")] = "default",
) -> None:
    """Guess every weight from the influence tables of a few of the study's own models.

    Each of these models is trained once more, from its mask and seed. You can kill it at any time: the same command
    continues. Held-out models stay unseen.
    """
    from subtrain.guess_models import guess as make
    from subtrain.guesses import guess_names, guess_prefix, load_guess

    began = time.monotonic()
    opened = training.open(study)
    before = load_guess(opened, name).meta["models"] if name in guess_names(opened.store) else None
    made = make(opened, models, output, name=name, **training.options)
    where = opened.store.location(guess_prefix(name))
    out.print(f"{made!r} in {time.monotonic() - began:.1f} s; written to {where}", soft_wrap=True, markup=False)
    if before is not None and made.meta["models"] != before:
        out.print(
            f"Note: it replaces the guess {name} of {len(before)} models; fits that began from that keep their weights",
            soft_wrap=True,
            markup=False,
        )
    out.print(f"Next: subtrain fit {study} --guess {name}", soft_wrap=True, markup=False)


app.command()(with_training(guess))
