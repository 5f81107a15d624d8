"""How one PyTorch module is trained, as data; nothing here needs torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from subtrain.designs.model_rows import whole
from subtrain.errors import InputError
from subtrain.trainers.kit.sgd import SCHEDULES, check_order

OPTIMIZERS = ("sgd", "adamw")
DTYPES = ("float32", "bfloat16", "float16")
PADS = ("zero", "reflect")

HOW = ("device", "channels_last", "compile", "cuda_graph", "reuse")
"""Fields that say how the numbers are computed, not what is computed: no part of a task's fingerprint."""


@dataclass(frozen=True)
class Augment:
    """Random changes of training images [N, C, H, W], drawn anew for every example and epoch.

    flip: left-right with probability 1/2; alternate: only the first epoch's flips are drawn, and each epoch flips what
    the one before did not. translate: move by up to so many pixels along each axis; pad: what comes in at the edge,
    "zero" (the mean color, after normalization) or "reflect". cutout: side of a square set to zero.
    """

    flip: bool = False
    alternate: bool = False
    translate: int = 0
    pad: str = "zero"
    cutout: int = 0

    def __post_init__(self) -> None:
        for name in ("translate", "cutout"):
            if getattr(self, name) < 0:
                raise InputError(f"augment.{name} must be 0 or more pixels, got {getattr(self, name)}")
        if self.pad not in PADS:
            raise InputError(f"unknown augment.pad {self.pad!r}; choose from {', '.join(PADS)}")
        if self.alternate and not self.flip:
            raise InputError("augment.alternate needs augment.flip; set it too")

    @property
    def any(self) -> bool:
        return self.flip or self.translate > 0 or self.cutout > 0


@dataclass(frozen=True)
class TorchRecipe:
    """How one module is trained.

    optimizer: "sgd", "adamw" or `optimizer(parameters)`, which returns a torch optimizer. lr, momentum, nesterov and
    weight_decay are those of the named ones (momentum is AdamW's first beta); decay_vectors=False spares biases and
    the scales of normalization layers. groups(model): the optimizer's parameter groups instead, as torch.optim takes
    them. The rate of every group follows `schedule`, read at the beginning of each step as PyTorch's schedulers do:
    "constant", "linear" or "cosine" down to zero, "triangular" up until the fraction `peak` of the steps and down.

    loss(output, y) defaults to cross-entropy with label_smoothing. drop_last leaves out the last, smaller minibatch of
    an epoch, unless it is the only one. augment: an Augment, or its fields as a dict. order: of the examples in an
    epoch, "unit" or "position", as `Sgd` tells; what augmentation draws is an example's own in the same way. mean, std:
    numbers a channel, in units of 0..1; uint8 images become (x / 255 - mean) / std. flip_test: average the logits with
    those of the image flipped left-right. start(model, examples): sets initial weights from up to 5,000 of the model's
    own training examples, normalized float32, after re-initialization.

    train(model, data, indices, seed, device): a whole training function in the place of optimizer, schedule,
    minibatches, their order and augmentation. `data` is the pair (x, y) of training tensors resident on the device,
    indices int64 on the device; the module is trained in place.

    dtype: "float32", or "bfloat16" or "float16" autocast (float16 with a GradScaler). channels_last: the memory layout
    of 4-D tensors. compile: torch.compile the module, True or the name of a backend. cuda_graph: capture a step of a
    full minibatch once and replay it for all models (a smaller last one runs uncaptured); no effect on the CPU but for
    the fused optimizer it needs. reuse: keep one module and copy fresh weights into it; False makes every model anew.
    device: where to train unless the environment names SUBTRAIN_DEVICE; None takes cuda if there is one, else cpu.
    """

    epochs: int = 10
    batch: int = 64
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    optimizer: str | Callable[[Any], Any] | None = "sgd"
    loss: Callable[[Any, Any], Any] | None = None
    device: str | None = None
    nesterov: bool = False
    decay_vectors: bool = True
    groups: Callable[[Any], list[dict[str, Any]]] | None = None
    schedule: str = "linear"
    peak: float = 0.2
    label_smoothing: float = 0.0
    drop_last: bool = False
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    augment: Augment = field(default_factory=Augment)
    flip_test: bool = False
    start: Callable[[Any, Any], None] | None = None
    train: Callable[..., Any] | None = None
    dtype: str = "float32"
    channels_last: bool = False
    compile: bool | str = False
    cuda_graph: bool = False
    reuse: bool = True
    order: str | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch"):
            whole(name, getattr(self, name), 1)
        _one_of("schedule", self.schedule, SCHEDULES)
        _one_of("dtype", self.dtype, DTYPES)
        settings: Any = self.augment
        if isinstance(settings, Mapping):
            object.__setattr__(self, "augment", Augment(**settings))
        check_order(self.order)
        if self.order is not None and self.train is not None:
            raise InputError("order is of the minibatches of the own loop; a training function (train) draws its own")
        if self.optimizer is None:
            object.__setattr__(self, "optimizer", "sgd")
        if not callable(self.optimizer):
            _one_of("optimizer", self.optimizer, OPTIMIZERS)
        elif self.cuda_graph or self.groups:
            raise InputError('cuda_graph and groups need optimizer "sgd" or "adamw", not a function')
        if self.loss is not None and self.label_smoothing:
            raise InputError("label_smoothing belongs to the default loss; an own loss must do it itself")
        if self.nesterov and self.momentum == 0:
            raise InputError("nesterov needs a momentum above 0")
        if self.schedule == "triangular" and not 0 <= self.peak < 1:
            raise InputError(f"peak must be at least 0 and below 1, got {self.peak}")

    def factors(self, examples: int) -> list[float]:
        """What the rates of every step are multiplied with, for a subset of this size."""
        steps = self.epochs * self.steps(examples)
        factors: list[float] = SCHEDULES[self.schedule](np.arange(steps) / steps, self.peak).tolist()
        return factors

    def steps(self, examples: int) -> int:
        """Steps an epoch. A subset smaller than a minibatch is one step, dropped or not."""
        whole, rest = divmod(examples, self.batch)
        return whole + (rest > 0 and not (self.drop_last and whole))


def _one_of(name: str, value: object, known: Any) -> None:
    if value not in known:
        raise InputError(f"unknown {name} {value!r}; choose from {', '.join(known)}")
