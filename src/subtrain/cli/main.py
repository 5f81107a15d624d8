"""Entry point of the command line: every verb is one module in `verbs/` and one line here."""

from __future__ import annotations

import sys
from importlib import import_module

# Verb: its module, in the order in which verbs are used, which is that of the help.
VERBS = {
    "demo": "demo",
    "check": "check",
    "create": "create",
    "collect": "collect",
    "status": "status",
    "worker": "worker",
    "cancel": "cancel",
    "fit": "fit",
    "evaluate": "evaluate",
    "report": "report",
    "explore": "explore",
    "extend": "extend",
    "export": "export",
    "import": "importing",
    "import-reference": "reference",
    "import-fit": "import_fit",
    "counterfactual": "counterfactual",
    "support": "support",
    "neighbors": "neighbors",
    "leakage": "leakage",
    "significance": "significance",
    "embed": "embed",
    "clusters": "clusters",
    "compare": "compare",
    "audit": "audit",
    "budget": "budget",
    "select": "select",
    "mislabeled": "mislabeled",
    "poison": "poison",
    "value": "value",
    "ask": "ask",
    "public": "public_download",  # which imports the other verbs of the group
}


def load(*verbs: str) -> None:
    """Import the modules of these verbs, by default of all."""
    for verb in verbs or VERBS:
        import_module(f"subtrain.cli.verbs.{VERBS[verb]}")


def main() -> None:
    """Run the verb that the command line names. Others are imported only where their help is shown."""
    from subtrain.cli.shared.app import run

    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    load(*[asked] if asked in VERBS else [])
    run()


if __name__ == "__main__":
    main()
