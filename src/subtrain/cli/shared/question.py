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
    Runs,
    StudyPath,
    Targets,
    Verify,
    named_after,
    numbers,
    parameter,
)
from subtrain.cli.shared.question_options import LIST, question_options
from subtrain.cli.shared.results import show
from subtrain.cli.shared.training import Training, with_training
from subtrain.errors import InputError
from subtrain.uses import DM, USES, use_of
from subtrain.uses.kit.result import Result

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from subtrain.datamodels import Datamodels
    from subtrain.study import Study

PANEL = "Use datamodels"
RUNS = 10
# Whoever retrains waits for the models.
WAITS = ("detach",)


@dataclass
class Asked:
    """What a question is about.

    Args:
        question: its name in the registry.
        given: its keywords, as the options give them.
        study: the study.
        fit: name of its fit; None where the verb takes none, or none was named.
        targets: numbers of the targets; None for all.
        runs: number of models to train on each training set.
        training: options of what trains: progress, engine, workers and the engine's own.
        verify: whether to retrain.
        trust: whether training code of somebody else may run.
        verify_with: what the answer's `verify` takes besides; a verb adds to it.
        rows: how many rows of the table are printed; a verb may change it.
        notes: lines below the table; a verb adds to them.
    """

    question: str
    given: dict[str, Any]
    study: Study
    fit: str | None
    targets: list[int] | None = None
    runs: int = RUNS
    training: dict[str, Any] = field(default_factory=dict)
    verify: bool = False
    trust: bool = False
    verify_with: dict[str, Any] = field(default_factory=dict)
    rows: int = 20
    notes: list[str] = field(default_factory=list)

    @property
    def dm(self) -> Datamodels:
        """The datamodels of the fit."""
        return self.fit_named(self.fit or "default")

    def fit_named(self, name: str) -> Datamodels:
        """The datamodels of another fit of the study."""
        from subtrain.fits import load_fit

        return load_fit(self.study, name)

    def target_labels(self) -> NDArray[Any]:
        """The label of each target as text; InputError where the study stores none."""
        from subtrain.uses.kit.unit_names import target_labels

        labels = target_labels(self.study, str(self.dm.meta.get("output")))
        if labels is None:
            raise InputError(f"{self.study.location} stores no labels of its targets")
        return labels

    def labels(self) -> NDArray[Any] | None:
        """The label of each target, or of each unit with `--of units`; None where the study stores none."""
        from subtrain.uses.kit.unit_names import labels_of

        return labels_of(self.study, self.given.get("of", "targets"), self.dm.meta["output"])

    def answer(self, **more: Any) -> Result:
        """What the question answers with its keywords and these."""
        first = {name: self.dm if name == DM else self.study for name in use_of(self.question).needs}
        found: Result = USES[self.question](**first, **{**self.given, **more})
        return found


def question(
    asks: str,
    keywords: str = "",
    *,
    fit: bool = True,
    targets: bool = True,
    verify: bool = True,
    trains: bool | None = None,
    spelled: dict[str, str] | None = None,
) -> Callable[[Callable[..., Result]], Callable[..., None]]:
    """Make a verb of a function (asked, options of its own) -> Result, with the options that such verbs share.

    asks: name of the question; keywords: those of its keywords that are options, with a space between; spelled: those
    whose option has another name. fit, targets, verify: whether the verb has --fit, --targets, and --verify with
    --runs; trains: whether it has the options of training, by default where it has --verify.
    """
    before = [parameter("study", StudyPath, inspect.Parameter.empty)]
    before += [parameter("fit", FitName, "default")] if fit else []
    before += [parameter("targets", Targets, None)] if targets else []
    after = [parameter("verify", Verify, False), parameter("runs", Runs, RUNS)] if verify else []
    trains = verify if trains is None else trains
    after += [parameter("training", Training, None)] if trains else []
    shown = [parameter("to", OutFile, None), parameter("as_json", AsJson, False)]
    try:
        generated, broken = question_options(asks, keywords.split(), spelled), None
    except InputError as error:  # this verb says so when it is used, and no other verb nor the help suffers
        generated, broken = [], error
    lists = [one.name for one in generated if one.annotation.__metadata__[0].metavar == LIST]

    def decorate(function: Callable[..., Result]) -> Callable[..., None]:
        declared = inspect.signature(function, eval_str=True).parameters.values()
        own = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in declared if one.name != "asked"]

        def verb(**given: Any) -> None:
            if broken is not None:
                raise broken
            to, as_json = given.pop("to"), given.pop("as_json")
            options = {one.name: given.pop(one.name) for one in [*before, *after]}
            chosen = {one.name: given.pop(one.name) for one in generated}
            asked = _asked(options, as_json, asks)
            asked.given = chosen | {name: numbers(chosen[name], name) for name in lists}
            asked.given |= {"targets": asked.targets} if targets else {}
            found = function(asked, **given)
            if asked.verify:
                found = found.verify(asked.runs, **asked.verify_with, **asked.training)
            show(found, to, as_json, asked.rows)
            for note in () if as_json else asked.notes:
                out.print(note, soft_wrap=True, markup=False)

        named = named_after(function, verb, [*before, *generated, *own, *after, *shown])
        return app.command(rich_help_panel=PANEL)(with_training(named, without=WAITS) if trains else named)

    return decorate


def _asked(options: dict[str, Any], as_json: bool, question: str) -> Asked:
    training = options.get("training") or Training()
    return Asked(
        question=question,
        given={},
        study=training.open(options["study"]),
        fit=options.get("fit"),
        targets=numbers(options.get("targets")),
        runs=options.get("runs", RUNS),
        training={"progress": not as_json, **training.options},
        verify=options.get("verify", False),
        trust=training.trust,
    )
