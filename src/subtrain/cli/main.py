"""Entry point of the command line: every verb is in a module of `verbs/` and has its name here."""

from __future__ import annotations

import sys
from importlib import import_module

QUESTIONS = (
    *("counterfactual", "support", "neighbors", "leakage", "significance", "embed", "clusters", "compare"),
    *("audit", "budget", "select", "mislabeled", "poison", "value"),
)
# In the order in which verbs are used, which is that of the help.
VERBS = (
    *("demo", "check", "create", "collect", "status", "worker", "cancel"),
    *("guess", "fit", "evaluate", "report", "explore"),
    *("extend", "export", "import", "import-reference", "import-fit", *QUESTIONS, "ask", "public"),
)
# Modules whose name is not the verb's.
MODULES = {
    "import": "importing",
    "import-reference": "importing",
    "import-fit": "importing",
    **dict.fromkeys(QUESTIONS, "questions"),
}


def load(*verbs: str) -> None:
    """Import the modules of these verbs, by default of all."""
    for verb in verbs or VERBS:
        import_module(f"subtrain.cli.verbs.{MODULES.get(verb, verb)}")


def main() -> None:
    """Run the verb that the command line names. Others are imported only where their help is shown."""
    from subtrain.cli.shared.app import run

    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    load(*[asked] if asked in VERBS else [])
    run()


if __name__ == "__main__":
    main()
