"""Questions about a study and its datamodels: one function a file, each listed in USES.

A new question is one file and one line here. Another package adds one with an entry point of the group
`subtrain.uses`, "name = module:function". Its function takes (dm, study, …), or (study, …) where it needs no
datamodels, and returns a `uses.kit.result.Result`; the decorator `uses.kit.question.question` gives it the rest.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass

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


def _use(place: str, words: str, verb: str = "ask", needs: tuple[str, ...] = (DM, STUDY)) -> Use:
    return Use(f"subtrain.uses.{place}", words, needs, verb)


OURS = {
    "counterfactuals": _use(
        "counterfactual:counterfactuals", "What would the output be without these units?", "counterfactual"
    ),
    "support": _use("support:support", "How few units does a prediction hang on?", "support"),
    "brittleness": _use("brittleness:brittleness", "How few wrong labels flip a prediction?", "support"),
    "neighbors": _use("neighbors:neighbors", "Which units help and harm a target most?", "neighbors"),
    "leakage": _use("leakage:leakage", "Which training units are probably copies of a target?", "leakage"),
    "significance": _use("significance:significance", "Which weights are real?", "significance"),
    "embedding": _use("embedding:embedding", "Along which directions do targets differ?", "embed"),
    "clusters": _use("clusters:clusters", "Which targets were learned from the same units?", "clusters"),
    "compare": _use("compare:compare", "Which units move one algorithm and not another?", "compare"),
    "select": _use("select:select", "Which units should be trained on for these targets?", "select"),
    "debias_group": _use("group_debias:debias_group", "Which units hurt the worst group of targets?", "select"),
    "poison": _use("poison:poison", "Which units hold one another up, as a backdoor does?", "poison"),
    "mislabeled": _use("mislabeled:mislabeled", "Which labels are probably wrong?", "mislabeled", (STUDY,)),
    "banzhaf": _use("valuation:banzhaf", "What is a unit worth, by Banzhaf's value?", "value", (STUDY,)),
    "shapley": _use("valuation:shapley", "What is a unit worth, by Shapley's value?", "value", (STUDY,)),
    "ame": _use("valuation:ame", "What is a unit worth, by its average marginal effect?", "value", (STUDY,)),
    "empirical_influence": _use(
        "memorization:empirical_influence", "Which units make models right about which targets?", "value", (STUDY,)
    ),
    "memorization": _use(
        "memorization:memorization",
        "Which examples does a model know only by heart?",
        "value",
        (STUDY,),
    ),
    "compare_training_sets": _use(
        "training_sets:compare_training_sets", "Which of these training sets is best?", needs=(STUDY,)
    ),
    "audit": _use("audit:audit", "How much of the output is noise, how much is linear?", "audit", (STUDY,)),
    "budget": _use("budget:budget", "How many models does a score take?", "budget", (STUDY,)),
    "compare_alphas": _use("alphas:compare_alphas", "Which alpha should a design have?", "budget", (STUDY,)),
    "learning_curve": _use("learning_curve:learning_curve", "How good are fits of fewer models?", "status", (STUDY,)),
}
USES = Registry("question", "subtrain.uses", {name: use.place for name, use in OURS.items()})


def use_of(name: str) -> Use:
    """The entry of a question; of another package's, as its function tells it. InputError for an unknown name."""
    if name in OURS:
        return OURS[name]
    place, function = USES.place(name), USES[name]
    needs = tuple(part for part in inspect.signature(function).parameters if part in (DM, STUDY))
    return Use(place, (inspect.getdoc(function) or "").partition("\n")[0], needs)
