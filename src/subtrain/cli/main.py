"""Entry point: registers one verb a module."""

from subtrain.cli import collect, create, demo, evaluate, export, extend, fit, importing, report, status  # noqa: F401
from subtrain.cli.app import run as main

__all__ = ["main"]

if __name__ == "__main__":
    main()
