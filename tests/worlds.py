"""A world whose datamodels are known: outputs are linear in the mask, plus noise that depends on the seed alone."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from subtrain import Output
from subtrain.tasks import BatchTask, batch


def weights(n: int, targets: int) -> tuple[np.ndarray, np.ndarray]:
    """The true weight [n, T] and bias [T]; a third of the weights are not zero."""
    random = np.random.default_rng(0)
    weight = random.normal(size=(n, targets)) * (random.random((n, targets)) < 1 / 3)
    return weight, random.normal(size=targets)


def linear(
    n: int = 20, targets: int = 3, noise: float = 0.0, dtype: str = "float32", size: int = 4, pause: float = 0.0
) -> BatchTask:
    """A task that answers mask @ weight + bias + noise; `pause` seconds a model make it slow."""
    weight, bias = weights(n, targets)

    def train(masks: np.ndarray, seeds: np.ndarray) -> dict[str, Any]:
        time.sleep(pause * len(masks))
        exact = (masks[:, :, None] * weight).sum(axis=1) + bias
        if noise:
            exact += noise * np.stack([np.random.default_rng(int(s)).normal(size=targets) for s in seeds])
        return {"test_margins": exact.astype(dtype), "train_margins": masks.astype(dtype)}

    outputs = {"test_margins": Output((targets,), dtype), "train_margins": Output((n,), dtype)}
    return batch(train, n, outputs, size)


def unruly(control: str, size: int = 4, pause: float = 0.0, noise: float = 0.5) -> BatchTask:
    """The same world, but a model with an order in folder `control`, in a file named by its seed, obeys that first.

    A number in the file `pause` there makes every model take so many seconds more. While there is a file `hold`, no
    training ends. A process that trains says so by an empty file `began.PID`.
    """
    plain = linear(noise=noise, pause=pause)

    def train(masks: np.ndarray, seeds: np.ndarray) -> dict[str, Any]:
        Path(control, f"began.{os.getpid()}").touch()
        found = plain.train(masks, seeds)
        while Path(control, "hold").exists():
            time.sleep(0.02)
        with suppress(FileNotFoundError):
            time.sleep(float(Path(control, "pause").read_text()) * len(masks))
        for k, seed in enumerate(seeds):
            order = Path(control, str(seed))
            if order.exists():
                found = obey(order.read_text(), found, k)
        return found

    return batch(train, plain.n, plain.outputs, size)


def guessable(control: str = "", noise: float = 0.5, targets: int = 3, n: int = 20) -> BatchTask:
    """The linear world, whose tables are its weights and a little that the seed draws.

    An order in folder `control`, in a file named by the seed of a model, is for the table of that model.
    """
    weight = weights(n, targets)[0]

    def influence(mask: np.ndarray, seed: int, output: str) -> np.ndarray:
        order = Path(control, str(seed))
        if control and order.exists():
            return obey_table(order.read_text(), weight)
        near = weight if output == "test_margins" else np.eye(n)
        return (near + 0.01 * np.random.default_rng(seed).normal(size=near.shape)).astype(np.float32)

    return replace(linear(n, targets, noise), influence=influence)


def obey_table(order: str, table: np.ndarray) -> np.ndarray:
    """What a function of influence does that the order tells to do something else."""
    if order == "raise":
        raise ValueError("told to fail")
    if order == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    changed = {"nan": np.where(np.arange(len(table))[:, None] == 1, np.nan, table), "turn": table.T, "whole": table > 0}
    return changed[order]


def obey(order: str, found: dict[str, Any], k: int) -> dict[str, Any]:
    """Do to model k of a batch what the order says."""
    if order == "raise":
        raise ValueError("told to fail\nin two lines")
    if order == "nan":
        found["test_margins"][k, 1] = np.nan
    if order == "sleep":
        time.sleep(1000)
    if order == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "quit":
        sys.exit("told to quit")
    if order == "exit":
        os.write(2, b"last words\n")
        os._exit(3)
    if order == "shape":
        return {"test_margins": found["test_margins"][:, :2], "train_margins": found["train_margins"]}
    return found
