"""Designs: which units each model is trained on. Adding a kind is a file that keeps `AnyDesign`, and a line here."""

from subtrain.system.registry import Registry

# By the kind that study.json names: the class whose `from_manifest` reads the design back.
DESIGNS = Registry(
    "kind of design",
    "subtrain.designs",
    {
        "fixed": "subtrain.designs.drawn:Design",
        "bernoulli": "subtrain.designs.drawn:Design",
        "stratified": "subtrain.designs.drawn:Design",
        "paley": "subtrain.designs.drawn:Design",
        "cyclotomic": "subtrain.designs.drawn:Design",
        "listed": "subtrain.designs.listed:ListedDesign",
        "given": "subtrain.designs.imported:ImportedDesign",
    },
)
