"""What any engine must do. Each of `CHECKS` gets the engine's name, an empty folder, and the engine's options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from subtrain.designs.drawn import Design
from subtrain.errors import CollectError, InputError
from subtrain.study import Study
from subtrain.testing.expect import expect
from subtrain.testing.world import NAME, linear


def check_engine(engine: str, folder: Path, **options: Any) -> None:
    """Run every check of `CHECKS`, each in a folder of its own.

    Args:
        engine: Name of the engine, as it is registered.
        folder: An empty folder for the studies.
        **options: The engine's options.

    Raises:
        AssertionError: For the first thing that is not as the contract says.

    Example:
        >>> import pathlib
        >>> check_engine("inline", pathlib.Path("checks"))
    """
    for check in CHECKS:
        check(engine, folder / check.__name__, **options)


def study_in(folder: Path, **params: Any) -> Study:
    """A study of 14 models in segments of 4, none of them trained."""
    return Study.create(folder / "study", NAME, Design(models=10, heldout=2), params=params, segment=4)


def every_model_is_as_its_mask_and_seed_say(engine: str, folder: Path, **options: Any) -> None:
    study = study_in(folder, size=3)
    done = study.collect(progress=False, engine=engine, **options)
    assert (done.done, done.total, done.trained) == (14, 14, 14)
    true = linear().train(study.masks().unpack(), study.design.seeds())["test_margins"]
    assert np.array_equal(study.read("test_margins"), np.asarray(true))
    assert study.status().runners == ()


def what_is_committed_is_not_trained_again(engine: str, folder: Path, **options: Any) -> None:
    study = study_in(folder)
    study.collect(progress=False, engine=engine, **options)
    before = sorted(study.store.entries("segments"), key=lambda entry: entry.name)
    assert study.collect(progress=False, engine=engine, **options).trained == 0
    assert sorted(study.store.entries("segments"), key=lambda entry: entry.name) == before
    longer = study.extend(models=3)
    assert longer.collect(progress=False, engine=engine, **options).trained == 3


def only_the_segments_asked_for_are_trained(engine: str, folder: Path, **options: Any) -> None:
    study = study_in(folder)
    study.collect(progress=False, engine=engine, segments=[1], **options)
    assert study.done().tolist() == [4, 5, 6, 7]


def a_failing_model_takes_none_of_the_finished_with_it(engine: str, folder: Path, **options: Any) -> None:
    study = study_in(folder)
    bad = study_in(folder / "bad", fails=int(study.design.seeds([9])[0]))
    expect(
        (CollectError, ValueError),
        lambda: bad.collect(progress=False, engine=engine, **options),
        "told to fail",
    )
    assert {0, 1, 2, 3, 4, 5, 6, 7} <= set(bad.done().tolist())
    assert 9 not in bad.done()


def an_option_that_it_does_not_have_is_refused(engine: str, folder: Path, **options: Any) -> None:
    study = study_in(folder)
    expect(InputError, lambda: study.collect(progress=False, engine=engine, no_such_option=1))
    assert not study.done().size


CHECKS = [
    every_model_is_as_its_mask_and_seed_say,
    what_is_committed_is_not_trained_again,
    only_the_segments_asked_for_are_trained,
    a_failing_model_takes_none_of_the_finished_with_it,
    an_option_that_it_does_not_have_is_refused,
]
