"""`subtrain public cite`: what to cite."""

from __future__ import annotations

from subtrain.cli.verbs.public import group


@group.command()
def cite() -> None:
    """BibTeX of the paper and of its published data."""
    from subtrain.public.citation import bibtex

    print(bibtex(), end="")
