"""Entry point: registers one verb a module, in the order in which they are used."""

from subtrain.cli import demo, check, create, collect, status  # noqa: F401, I001
from subtrain.cli import worker, cancel  # noqa: F401
from subtrain.cli import fit, evaluate, report, extend, export, importing, reference  # noqa: F401
from subtrain.cli import counterfactual, support, neighbors, leakage  # noqa: F401
from subtrain.cli import import_fit  # noqa: F401
from subtrain.cli import significance  # noqa: F401
from subtrain.cli import embed, clusters, compare  # noqa: F401
from subtrain.cli import audit, budget  # noqa: F401
from subtrain.cli import select, mislabeled, poison, value  # noqa: F401
from subtrain.cli import public, public_download, public_cite  # noqa: F401
from subtrain.cli import explore  # noqa: F401
from subtrain.cli.app import run as main

__all__ = ["main"]

if __name__ == "__main__":
    main()
