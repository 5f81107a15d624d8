"""Public names of version 0.1: for one release they still work, and say what replaces them."""

from __future__ import annotations

from importlib import import_module

from subtrain.system.user_warning import warn_user

# Name: where what it was is found today, and what to write instead.
OLD = {
    "compare_without": ("_old_functions:compare_without", "compare_training_sets(study, without=units, …)"),
    "export": ("studies.export:export", "study.export(folder)"),
    "import_arrays": ("study:Study.from_arrays", "Study.from_arrays(…)"),
    "import_folder": ("study:Study.from_folder", "Study.from_folder(…)"),
    "import_reference": ("study:Study.from_reference", "Study.from_reference(…)"),
    "pairs_of": ("regression.estimators.kit.pairs:Pairs.of", "Pairs.of(…)"),
    "removals": ("_old_functions:removals", "counterfactuals(dm, study, targets, sizes).removals"),
    "remove_tails": ("_old_functions:remove_tails", "embedding(dm, study, …).verify(…)"),
    "retrain_mislabeled": (
        "uses.brittleness:retrain_mislabeled",
        "brittleness(dm, study, …).verify(…), or import it from subtrain.uses.brittleness",
    ),
    "shapley_alphas": ("designs.samplers:shapley_alphas", "Design.for_shapley(…)"),
    "status": ("collection.status:status", "study.status()"),
    "verify_difference": ("_old_functions:verify_difference", "compare(dm, study, other, other_study).verify(…)"),
    "verify_selection": ("_old_functions:verify_selection", "select(dm, study, …).verify(…)"),
    "write_report": ("explorer.single_file:write_report", "save_fit(study, dm) and subtrain report"),
}
# Classes of results and of their parts, by module.
CLASSES = {
    "evaluation": ("Evaluation",),
    "uses.alphas": ("Alphas",),
    "uses.audit": ("Audit",),
    "uses.brittleness": ("Brittleness", "Mislabeling"),
    "uses.budget": ("Budget",),
    "uses.clusters": ("Clusters",),
    "uses.compare": ("Comparison",),
    "uses.counterfactual": ("Counterfactuals",),
    "uses.embedding": ("Embedding",),
    "uses.leakage": ("Leakage",),
    "uses.learning_curve": ("LearningCurve",),
    "uses.memorization": ("Influences", "Memorization"),
    "uses.mislabeled": ("Mislabeled",),
    "uses.neighbors": ("Neighbors",),
    "uses.poison": ("Poison",),
    "uses.retrain": ("Retrained",),
    "uses.select": ("Selection",),
    "uses.significance": ("Significance",),
    "uses.support": ("Support",),
    "uses.training_sets": ("TrainingSets",),
    "uses.valuation": ("Values",),
}
OLD |= {
    name: (f"{module}:{name}", f"from subtrain.{module} import {name}")
    for module, names in CLASSES.items()
    for name in names
}


def old_name(name: str) -> object:
    """What the old name stands for, with a FutureWarning; AttributeError if it was never there."""
    if name not in OLD:
        raise AttributeError(f"module 'subtrain' has no attribute {name!r}")
    place, instead = OLD[name]
    module, _, path = place.partition(":")
    found: object = import_module(f"subtrain.{module}")
    for part in path.split("."):
        found = getattr(found, part)
    warn_user(f"subtrain.{name} is removed in the next release: write {instead}", FutureWarning)
    return found
