from dataclasses import dataclass


@dataclass(frozen=True)
class Sgd:
    epochs: int = 20
