"""What the verbs that ask a question share: they open the study and its fit, ask, verify, and show the answer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from subtrain.cli.shared.app import app, out
from subtrain.cli.shared.options import (
    AsJson,
    FitName,
    OutFile,
    Params,
    Runs,
    StudyPath,
    Targets,
    TaskName,
    Trust,
    Verify,
    Workers,
    named_after,
    numbers,
)
from subtrain.cli.shared.results import show
from subtrain.cli.shared.trusted_study import open_to_train
from subtrain.uses.kit.result import Result

if TYPE_CHECKING:
    from subtrain.datamodels import Datamodels
    from subtrain.study import Study

PANEL = "Use datamodels"
RUNS = 10


@dataclass
class Asked:
    """What a question is about.

    Args:
        study: the study.
        fit: name of its fit; None where the verb takes none, or none was named.
        targets: numbers of the targets; None for all.
        runs: number of models to train on each training set.
        training: options of what trains: workers, progress.
        verify: whether to retrain.
        trust: whether training code of somebody else may run.
        verify_with: what the answer's `verify` takes besides; a verb adds to it.
        rows: how many rows of the table are printed; a verb may change it.
        notes: lines below the table; a verb adds to them.
    """

    study: Study
    fit: str | None
    targets: list[int] | None
    runs: int
    training: dict[str, Any]
    verify: bool
    trust: bool = False
    verify_with: dict[str, Any] = field(default_factory=dict)
    rows: int = 20
    notes: list[str] = field(default_factory=list)

    @property
    def dm(self) -> Datamodels:
        """The datamodels of the fit."""
        from subtrain.fits import load_fit

        return load_fit(self.study, self.fit or "default")


def question(
    *, fit: bool = True, targets: bool = True, verify: bool = True, trains: bool | None = None
) -> Callable[[Callable[..., Result]], Callable[..., None]]:
    """Make a verb of a function (asked, options of its own) -> Result, with the options that such verbs share.

    fit, targets, verify: whether the verb has --fit, --targets, and --verify with --runs; trains: whether it has the
    options of training, by default where it has --verify.
    """
    shared: list[tuple[str, Any, Any]] = [("study", StudyPath, inspect.Parameter.empty)]
    shared += [("fit", FitName, "default")] if fit else []
    shared += [("targets", Targets, None)] if targets else []
    after: list[tuple[str, Any, Any]] = [("verify", Verify, False), ("runs", Runs, RUNS)] if verify else []
    if verify if trains is None else trains:
        after += [
            ("task", TaskName, None),
            ("param", Params, None),
            ("trust", Trust, False),
            ("workers", Workers, None),
        ]
    after += [("to", OutFile, None), ("as_json", AsJson, False)]

    def decorate(function: Callable[..., Result]) -> Callable[..., None]:
        declared = inspect.signature(function, eval_str=True).parameters.values()
        own = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in declared if one.name != "asked"]
        names = {one.name for one in own}
        before_own, after_own = ([one for one in some if one[0] not in names] for some in (shared, after))

        def verb(**given: Any) -> None:
            to, as_json = given.pop("to"), given.pop("as_json")
            options = {name: given.pop(name) for name, *_ in [*before_own, *after_own[:-2]]}
            asked = _asked(options, as_json)
            found = function(asked, **given)
            if asked.verify:
                found = found.verify(asked.runs, **asked.verify_with, **asked.training)
            show(found, to, as_json, asked.rows)
            for note in () if as_json else asked.notes:
                out.print(note, soft_wrap=True, markup=False)

        parameters = [*map(_parameter, before_own), *own, *map(_parameter, after_own)]
        return app.command(rich_help_panel=PANEL)(named_after(function, verb, parameters))

    return decorate


def _asked(options: dict[str, Any], as_json: bool) -> Asked:
    workers = options.get("workers")
    return Asked(
        study=open_to_train(options["study"], options.get("task"), options.get("param"), options.get("trust", False)),
        fit=options.get("fit"),
        targets=numbers(options.get("targets")),
        runs=options.get("runs", RUNS),
        training={"progress": not as_json} | ({} if workers is None else {"workers": workers}),
        verify=options.get("verify", False),
        trust=options.get("trust", False),
    )


def _parameter(declared: tuple[str, Any, Any]) -> inspect.Parameter:
    name, kind, default = declared
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
