"""Which way is better, of what datamodels predict: as the study declares it, else as its output's name says."""

from __future__ import annotations

from dataclasses import replace

from subtrain.datamodels import Datamodels
from subtrain.errors import InputError
from subtrain.quantities import LOWER, NEITHER, Quantity, quantity_of
from subtrain.studies.stored_study import StoredStudy


def quantity(study: StoredStudy, output: str) -> Quantity:
    """What an output of a study measures."""
    return quantity_of(output, study.outputs[output].better if output in study.outputs else None)


def quantity_fitted(dm: Datamodels, study: StoredStudy | None = None) -> Quantity:
    """What these datamodels predict; without a study, as their metadata say."""
    output = dm.meta.get("output")
    if study is not None and (output is None or output in study.outputs):
        return quantity(study, output or next(iter(study.outputs)))
    return quantity_of(str(output or ""), dm.meta.get("better"))


def directed(found: Quantity, output: str, better: str | None, purpose: str) -> Quantity:
    """The quantity, with the direction that was asked for, if one was; InputError where neither way is better."""
    if better is not None and better != NEITHER:
        return replace(quantity_of(output, better), called=found.called, short=found.short)
    if found.better is None or better == NEITHER:
        raise InputError(
            f"{purpose} needs to know which way is better, and of {output or 'these datamodels'} neither more nor less "
            "is known to be: say better='higher' or 'lower' (--better), or declare it: "
            "st.Output(…, better=…), subtrain import --better"
        )
    return found


def direction_note(found: Quantity, output: str) -> str:
    """A clause for results that turn signs or name sides: "" where more is better, as people expect."""
    if found.better == LOWER:
        return f"; less of {output} is better"
    return f"; of {output} neither more nor less is known to be better" if found.better is None else ""
