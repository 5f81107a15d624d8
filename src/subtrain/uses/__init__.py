"""Questions about a study and its datamodels: one function a file, each listed in USES.

A new question is one file and one line here. Another package adds one with an entry point of the group
`subtrain.uses`, "name = module:function". Its function takes (dm, study, …), or (study, …) where it needs no
datamodels, and returns a `uses.kit.result.Result`; the decorator `uses.kit.question.question` gives it the rest.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from subtrain.system.registry import Registry

DM, STUDY = "dm", "study"


@dataclass(frozen=True)
class Use:
    """A question.

    place: "module:function"; words: what it answers, in a line; needs: the parameters that come first; verb: the
    command that asks it, "ask" for one without a verb of its own.
    """

    place: str
    words: str
    needs: tuple[str, ...]
    verb: str = "ask"


# Question, which is the name of its function: its module here, the verb that asks it ("ask" without one of its own),
# the parameters that come first, what it answers.
STUDY_ALONE, BOTH = (STUDY,), (DM, STUDY)
_OURS: dict[str, Any] = {
    "counterfactuals": ("counterfactual", "counterfactual", BOTH, "What would the output be without these units?"),
    "support": ("support", "support", BOTH, "How few units does a prediction need?"),
    "brittleness": ("brittleness", "support", BOTH, "How few wrong labels flip a prediction?"),
    "neighbors": ("neighbors", "neighbors", BOTH, "Which units help and harm a target most?"),
    "leakage": ("leakage", "leakage", BOTH, "Which training units are probably copies of a target?"),
    "significance": ("significance", "significance", BOTH, "Which weights are real?"),
    "embedding": ("embedding", "embed", BOTH, "Along which directions do targets differ?"),
    "clusters": ("clusters", "clusters", BOTH, "Which targets were learned from the same units?"),
    "compare": ("compare", "compare", BOTH, "Which units move one algorithm and not another?"),
    "select": ("select", "select", BOTH, "Which units should be trained on for these targets?"),
    "debias_group": ("group_debias", "select", BOTH, "Which units hurt the worst group of targets?"),
    "poison": ("poison", "poison", BOTH, "Which units depend on one another, as in a backdoor?"),
    "mislabeled": ("mislabeled", "mislabeled", STUDY_ALONE, "Which labels are probably wrong?"),
    "banzhaf": ("valuation", "value", STUDY_ALONE, "How much is a unit worth, by its Banzhaf value?"),
    "shapley": ("valuation", "value", STUDY_ALONE, "How much is a unit worth, by its Shapley value?"),
    "ame": ("valuation", "value", STUDY_ALONE, "How much is a unit worth, by its average marginal effect?"),
    "empirical_influence": ("memorization", "value", STUDY_ALONE, "Which units make models right about which targets?"),
    "memorization": ("memorization", "value", STUDY_ALONE, "Which examples does a model only memorize?"),
    "compare_training_sets": ("training_sets", "ask", STUDY_ALONE, "Which of these training sets is best?"),
    "audit": ("audit", "audit", STUDY_ALONE, "How much of the output is noise, how much is linear?"),
    "pilot": ("pilot", "audit", STUDY_ALONE, "Which design suits the task?"),
    "budget": ("budget", "budget", STUDY_ALONE, "How many models does a score need?"),
    "compare_alphas": ("alphas", "budget", STUDY_ALONE, "Which alpha should a design have?"),
    "learning_curve": ("learning_curve", "status", STUDY_ALONE, "How good are fits on fewer models?"),
}


def _use(name: str, row: Any) -> Use | None:
    """The question of a row; None of one that has another form."""
    if not isinstance(row, tuple) or len(row) != 4 or row[2] not in (STUDY_ALONE, BOTH):
        return None
    module, verb, needs, words = row
    return Use(f"subtrain.uses.{module}:{name}", words, needs, verb)


OURS = {name: use for name, row in _OURS.items() if (use := _use(name, row))}
# Other questions must not suffer from a row of another form: this one alone cannot be loaded.
_WRONG = {name: f"a row that is not (module, verb, needs, words) but {row!r}" for name, row in _OURS.items()}
USES = Registry("question", "subtrain.uses", _WRONG | {name: use.place for name, use in OURS.items()})


def use_of(name: str) -> Use:
    """The entry of a question; of another package's, as its function tells it. InputError for an unknown name."""
    if name in OURS:
        return OURS[name]
    place, function = USES.place(name), USES[name]
    needs = tuple(part for part in inspect.signature(function).parameters if part in (DM, STUDY))
    return Use(place, (inspect.getdoc(function) or "").partition("\n")[0], needs)
