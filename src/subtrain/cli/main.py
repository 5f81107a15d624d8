"""Entry point: registers one verb a module, in the order in which they are used."""

from subtrain.cli.verbs import demo, check, create, collect, status  # noqa: F401, I001
from subtrain.cli.verbs import worker, cancel  # noqa: F401
from subtrain.cli.verbs import fit, evaluate, report, extend, export, importing, reference  # noqa: F401
from subtrain.cli.verbs import counterfactual, support, neighbors, leakage  # noqa: F401
from subtrain.cli.verbs import import_fit  # noqa: F401
from subtrain.cli.verbs import significance  # noqa: F401
from subtrain.cli.verbs import embed, clusters, compare  # noqa: F401
from subtrain.cli.verbs import audit, budget  # noqa: F401
from subtrain.cli.verbs import select, mislabeled, poison, value  # noqa: F401
from subtrain.cli.verbs import public, public_download, public_cite  # noqa: F401
from subtrain.cli.verbs import ask, explore  # noqa: F401
from subtrain.cli.shared.app import run as main

__all__ = ["main"]

if __name__ == "__main__":
    main()
