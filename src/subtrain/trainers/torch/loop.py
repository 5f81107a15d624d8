"""Training one model after another: what costs time to set up is kept from model to model, what counts is made anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.trainers.kit.many_models import minibatch_order
from subtrain.trainers.kit.sgd import BY_UNIT
from subtrain.trainers.torch.answers import answer
from subtrain.trainers.torch.augment import augmented, draw, first_flips, laid_out, normalized
from subtrain.trainers.torch.data import Pair, classes_of
from subtrain.trainers.torch.devices import autocast, chosen_device, sent
from subtrain.trainers.torch.inputs import called, each, parts, pieces, taken
from subtrain.trainers.torch.recipe import TorchRecipe
from subtrain.trainers.torch.reinit import is_lazy
from subtrain.trainers.torch.step import Step

EVALUATED_AT_ONCE = 1024
CHUNK_BYTES = 2**28
STARTING = 5000


class Trainer:
    """Keeps the data and one module on the device, for all models of a process.

    Model i is a function of its subset and seed: fresh weights (`make_model()` after torch.manual_seed(seed), on the
    CPU) are copied into the kept module, the optimizer starts from zero, and the order of the minibatches and the
    augmentation come from generators of their own, seeded by the model's seed.
    """

    def __init__(self, make_model: Callable[[], Any], data: Mapping[str, Pair], recipe: TorchRecipe) -> None:
        self.make_model, self.recipe = make_model, recipe
        self.device = chosen_device(recipe.device)
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True  # sizes repeat for hours: trying algorithms once pays
        self.data = {split: (each(self._sent, x), self._sent(y)) for split, (x, y) in data.items()}
        self.classes = classes_of(data)
        self._suited = False
        self.step: Step | None = None

    def train(self, indices: NDArray[np.int64], seed: int, splits: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Train one model on the training examples `indices`; its logits float32 [N, C] on each of the splits.

        Errors pass through, that of exhausted device memory too; what was kept besides the data is dropped first, so
        that a model that failed half-way leaves nothing to the next.
        """
        try:
            self._descend(indices, seed)
            return {split: self.logits(split) for split in splits}
        except Exception as error:
            self.step = None
            if "more than 1 value per channel" in str(error):
                raise InputError(
                    "a minibatch of one example is left over, which a BatchNorm cannot be trained on: say "
                    f"drop_last=True, or another batch than {self.recipe.batch}"
                ) from error
            raise

    def _sent(self, array: Any) -> Any:
        return sent(array, self.device)

    def logits(self, split: str) -> NDArray[Any]:
        """Logits of the present model on a split, float32 [N, C]."""
        model, x = self._ready.model, self.data[split][0]
        model.eval()
        with torch.inference_mode(), autocast(self.recipe, self.device):
            at_once = min(EVALUATED_AT_ONCE, max(1, CHUNK_BYTES // self._example_bytes))
            answers = [self._answers(model, piece) for piece in pieces(x, at_once)]
            found: NDArray[Any] = torch.cat(answers).cpu().numpy()
        return found

    def _answers(self, model: Any, x: Any) -> Any:
        x = each(self._shown, x)
        logits = answer(called(model, x)).float()
        if self.recipe.flip_test:
            logits = (logits + answer(model(laid_out(x.flip(-1), self.recipe))).float()) / 2
        return logits

    def _shown(self, x: Any) -> Any:
        return laid_out(normalized(x, self.recipe), self.recipe)

    @property
    def _ready(self) -> Step:
        assert self.step is not None
        return self.step

    def _descend(self, indices: NDArray[np.int64], seed: int) -> None:
        rows = sent(indices, self.device)
        self._begin(rows, seed)
        step, recipe = self._ready, self.recipe
        if recipe.train is not None:
            recipe.train(step.model, self.data["train"], rows, seed, self.device)
            return
        factors = iter(recipe.factors(len(indices)))
        for x, y in self._minibatches(rows, seed):
            step(x, y, next(factors))

    def _begin(self, rows: Any, seed: int) -> None:
        fresh = self._fresh(seed)
        if not self.recipe.reuse:
            self.step = self._step(fresh)
        elif self.step is None or not self.step.begin(fresh):
            self.step = self._prepared(rows, seed)
        if self.recipe.start is not None:
            with torch.no_grad():
                self.recipe.start(self.step.model, self.seen("train", rows[:STARTING]))

    def seen(self, split: str, rows: Any) -> Any:
        """Examples of a split as a module sees them without augmentation, in full precision."""

        def shown(x: Any) -> Any:
            x = normalized(x[rows], self.recipe)
            return x.float() if x.is_floating_point() and x.dtype != torch.float64 else x

        return each(shown, self.data[split][0])

    def _fresh(self, seed: int) -> Any:
        torch.manual_seed(seed)
        model = self.make_model()
        self._suit(model)
        if is_lazy(model):
            with torch.no_grad():
                called(model.eval(), each(lambda x: x.cpu(), self.seen("train", slice(2))))
        return model

    def _suit(self, model: Any) -> None:
        """float64 data, as numpy makes them, in the module's own precision; all else stays as it is."""
        if self._suited:
            return
        own = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)

        def suited(x: Any) -> Any:
            return x.to(own) if x.dtype == torch.float64 else x

        self.data = {split: (each(suited, x), suited(y)) for split, (x, y) in self.data.items()}
        self._suited = True

    def _step(self, model: Any) -> Step:
        return Step(model, self.recipe, self.device, self.classes)

    def _prepared(self, rows: Any, seed: int) -> Step:
        """A step that has been tried, compiled and captured, and is as new again."""
        self.step = None
        step = self._step(self._fresh(seed))
        if self.recipe.train is None:
            step.prepare(*next(self._minibatches(rows, seed)))
        fresh = self._fresh(seed)
        return step if step.begin(fresh) else self._step(fresh)

    def _minibatches(self, rows: Any, seed: int) -> Iterator[tuple[Any, Any]]:
        """All minibatches (x, y) of a training, made in chunks of several."""
        recipe, (x, y) = self.recipe, self.data["train"]
        generator = torch.Generator().manual_seed(seed + 2**32)
        by_unit = recipe.order == BY_UNIT
        flips = first_flips(recipe.augment, len(y) if by_unit else len(rows), generator)
        used = min(recipe.steps(len(rows)) * recipe.batch, len(rows))
        chunk = self._chunk()
        for epoch, order in enumerate(self._orders(rows, seed)):
            order = order[:used]
            chosen = sent(order, self.device)
            if not by_unit:
                chosen = rows[chosen]
            draws = None
            if recipe.augment.any:
                flipped = (flips if by_unit else flips[order]) ^ (epoch % 2 == 1)
                draws = draw(recipe.augment, flipped, x.shape[-2:], generator)
                draws = (draws.part(order) if by_unit else draws).to(self.device)
            for start in range(0, used, chunk):
                where = slice(start, start + chunk)
                some = chosen[where]
                if draws is None:
                    inputs = each(self._shown, taken(x, some))
                else:
                    inputs = augmented(x, some, draws.part(where), recipe)
                yield from zip(pieces(inputs, recipe.batch), y[some].split(recipe.batch), strict=True)

    def _orders(self, rows: Any, seed: int) -> Iterator[Any]:
        """The order of each epoch, on the CPU: by unit the numbers of the examples, else places in `rows`."""
        if self.recipe.order == BY_UNIT:
            for order in minibatch_order(rows.cpu().numpy(), seed, self.recipe.epochs, BY_UNIT):
                yield torch.from_numpy(order).long()
            return
        generator = torch.Generator().manual_seed(seed)
        for _ in range(self.recipe.epochs):
            yield torch.randperm(len(rows), generator=generator)

    def _chunk(self) -> int:
        """Examples prepared at once: whole minibatches, some hundred megabytes of float32 at most."""
        return max(1, CHUNK_BYTES // (self._example_bytes * self.recipe.batch)) * self.recipe.batch

    @property
    def _example_bytes(self) -> int:
        return sum(int(part[0].numel()) for part in parts(self.data["train"][0])) * 4
