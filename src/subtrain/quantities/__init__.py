"""What a model's outputs measure: margins, losses and others by their formulas, which way is better, and their words.

A new quantity is a file here and a line in registry.py: tasks, the command line, every question and the explorer read
it there. Another package adds one with an entry point of the group `subtrain.quantities`.
"""

from subtrain.quantities.correct import correctness
from subtrain.quantities.loss import cross_entropy
from subtrain.quantities.margin import MARGIN, MARGINS, margins
from subtrain.quantities.names import SPLITS, parse_name, quantity_of, split_of
from subtrain.quantities.quantity import HIGHER, LOWER, NEITHER, Float, Quantity, check_better
from subtrain.quantities.registry import QUANTITIES

__all__ = [
    "HIGHER",
    "LOWER",
    "MARGIN",
    "MARGINS",
    "NEITHER",
    "QUANTITIES",
    "SPLITS",
    "Float",
    "Quantity",
    "check_better",
    "correctness",
    "cross_entropy",
    "margins",
    "parse_name",
    "quantity_of",
    "split_of",
]
