"""Attribution methods of other packages on the trained networks of a study, each called as its documentation says.

A method gets the parameters of the K models, the subset of each, all training examples and the targets; it returns a
table [n, T] of how far training on i raises the margin of t. `PEERS` names the settings that are tried.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import Any

import numpy as np

# Before any of them is imported: they all show progress.
os.environ["TQDM_DISABLE"] = "1"
Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Networks:
    """K trained MLPs with ReLU. train, test: inputs and labels; masks: bool [K, n]; sizes: widths of all layers;
    passed: of each model its parameters after some epochs, and the learning rate there; the last are the final ones."""

    train: Pair
    test: Pair
    masks: np.ndarray
    sizes: tuple[int, ...]
    passed: tuple[tuple[Pair, ...], ...]

    def first(self, k: int) -> Networks:
        return replace(self, masks=self.masks[:k], passed=self.passed[:k])

    def final(self) -> list[np.ndarray]:
        return [steps[-1][0] for steps in self.passed]


def tensors(pair: Pair, rows: np.ndarray | slice = slice(None)) -> tuple[Any, Any]:
    import torch

    return torch.as_tensor(pair[0][rows]), torch.as_tensor(pair[1][rows])


def loader(pair: Pair, rows: np.ndarray | slice = slice(None)) -> Any:
    """Everything in one batch, in order: the most exact that dattri and captum know."""
    from torch.utils.data import DataLoader, TensorDataset

    data = TensorDataset(*tensors(pair, rows))
    return DataLoader(data, batch_size=len(data), shuffle=False)


def state(sizes: tuple[int, ...], parameters: np.ndarray) -> dict[str, Any]:
    """Weights as `network` names them: PyTorch keeps a layer's matrix transposed."""
    import torch

    found, at = {}, 0
    for layer, (inputs, outputs) in enumerate(pairwise(sizes)):
        end = at + inputs * outputs
        found[f"{2 * layer}.weight"] = torch.tensor(parameters[at:end].reshape(inputs, outputs).T.copy())
        found[f"{2 * layer}.bias"] = torch.tensor(parameters[end : end + outputs])
        at = end + outputs
    return found


def network(sizes: tuple[int, ...], parameters: np.ndarray) -> Any:
    from torch import nn

    parts = [part for i, o in pairwise(sizes) for part in (nn.Linear(i, o), nn.ReLU())]
    made = nn.Sequential(*parts[:-1])
    made.load_state_dict(state(sizes, parameters))
    return made.eval()


def margins(logits: Any, labels: Any) -> Any:
    """The right logit less the largest other one, as the study records it."""
    import torch

    right = torch.arange(logits.shape[-1]) == labels[..., None]
    return (logits * right).sum(-1) - logits.masked_fill(right, -torch.inf).amax(-1)


def odds(logits: Any, labels: Any) -> Any:
    """log p / (1 - p) of the right class: TRAK's output function."""
    import torch

    right = torch.arange(logits.shape[-1]) == labels[..., None]
    return (logits * right).sum(-1) - logits.masked_fill(right, -torch.inf).logsumexp(-1)


def minus_loss(logits: Any, labels: Any) -> Any:
    """Of each example."""
    import torch

    return -torch.nn.functional.cross_entropy(logits, labels, reduction="none")


# What of a target a table is about: the recorded margin, or a smooth stand-in for it.
TARGETS = {"margin": margins, "odds": odds, "loss": minus_loss}


def trak(models: Networks, dimension: int, ridge: float) -> np.ndarray:
    """TRAK, by traker, with its own output function, the log odds of the right class."""
    from trak import TRAKer

    made = network(models.sizes, models.final()[0])
    (x, y), (x_test, y_test) = tensors(models.train), tensors(models.test)
    with tempfile.TemporaryDirectory() as folder:
        traker = TRAKer(
            model=made,
            task="image_classification",
            train_set_size=len(y),
            save_dir=folder,
            device="cpu",
            proj_dim=dimension,
            use_half_precision=False,
            lambda_reg=ridge,
            logging_level=logging.ERROR,
        )
        checkpoints = [state(models.sizes, parameters) for parameters in models.final()]
        for number, checkpoint in enumerate(checkpoints):
            traker.load_checkpoint(checkpoint, model_id=number)
            traker.featurize(batch=(x, y), num_samples=len(y))
        traker.finalize_features()
        for number, checkpoint in enumerate(checkpoints):
            traker.start_scoring_checkpoint("test", checkpoint, number, len(y_test))
            traker.score(batch=(x_test, y_test), num_samples=len(y_test))
        return np.array(traker.finalize_scores("test"))


def dattri_task(models: Networks, loss: Callable, target: str, checkpoints: list[np.ndarray]) -> Any:
    """What is trained on, and the target, in sums over a batch."""
    from dattri.task import AttributionTask
    from torch.func import functional_call

    made = network(models.sizes, checkpoints[0])

    def trained(parameters: Any, data: Any) -> Any:
        return loss(functional_call(made, parameters, data[0]), data[1])

    def asked(parameters: Any, data: Any) -> Any:
        return TARGETS[target](functional_call(made, parameters, data[0]), data[1]).sum()

    states = [state(models.sizes, parameters) for parameters in checkpoints]
    return AttributionTask(loss_func=trained, model=made, checkpoints=states, target_func=asked)


def dattri_trak(models: Networks, dimension: int, ridge: float, target: str) -> np.ndarray:
    """dattri's TRAK: like its examples, the log odds stand in the place of the loss."""
    from dattri.algorithm.trak import TRAKAttributor

    task = dattri_task(models, lambda logits, labels: odds(logits, labels).sum(), target, models.final())

    def probability(parameters: Any, data: Any) -> Any:
        from torch.func import functional_call

        logits = functional_call(task.model, parameters, data[0][None])
        return logits.softmax(-1)[0].gather(0, data[1][None])[0]

    settings = {"proj_dim": dimension, "proj_max_batch_size": 32, "proj_seed": 0, "device": "cpu"}
    attributor = TRAKAttributor(task, probability, projector_kwargs=settings, regularization=ridge)
    attributor.cache(loader(models.train))
    return attributor.attribute(loader(models.test)).detach().numpy()


def dattri_influence(models: Networks, damping: float, iterations: int, target: str) -> np.ndarray:
    """dattri's influence functions by conjugate gradients, with the Hessian of each model's own subset."""
    import torch
    from dattri.algorithm.influence_function import IFAttributorCG

    total = np.zeros((len(models.train[1]), len(models.test[1])))
    for mask, parameters in zip(models.masks, models.final(), strict=True):
        task = dattri_task(models, torch.nn.functional.cross_entropy, target, [parameters])
        attributor = IFAttributorCG(task, max_iter=iterations, regularization=damping)
        attributor.cache(loader(models.train, np.flatnonzero(mask)))
        # A training gradient goes down the loss.
        total -= attributor.attribute(loader(models.train), loader(models.test)).detach().numpy()
    return total / len(models.masks)


def tracin(models: Networks, steps: int, layers: str, target: str, cosine: bool) -> np.ndarray:
    """captum's TracInCP of the last `steps` checkpoints of every model, each with its learning rate.

    layers: "all", or "last" with TracInCPFast; cosine: divided by the lengths of training gradients, which captum's
    self-influence gives.
    """
    import torch
    from captum.influence import TracInCP, TracInCPFast

    def loaded(model: Any, checkpoint: Any) -> float:
        model.load_state_dict(state(models.sizes, checkpoint[0]))
        return float(checkpoint[1]) if steps > 1 else 1.0

    def of_target(logits: Any, labels: Any) -> Any:
        return -TARGETS[target](logits, labels).sum()

    of_target.reduction = "sum"  # type: ignore[attr-defined]
    losses = {"loss_fn": torch.nn.CrossEntropyLoss(reduction="sum"), "test_loss_fn": of_target}
    made = network(models.sizes, models.final()[0])
    total = np.zeros((len(models.train[1]), len(models.test[1])))
    for passed in models.passed:
        given = loader(models.train), list(passed[-steps:]), loaded
        if layers == "last":
            method = TracInCPFast(made, made[-1], *given, **losses)
        else:
            method = TracInCP(made, *given, **losses, sample_wise_grads_per_batch=True)
        table = method.influence(tensors(models.test)).detach().numpy().T
        lengths = method.self_influence().detach().numpy()[:, None] ** 0.5 if cosine else 1.0
        total += table / np.maximum(lengths, 1e-12)
    return total / len(models.passed)


def kronfluence(models: Networks, damping: float | None, repeats: int, target: str) -> np.ndarray:
    """EK-FAC of each model's own subset, by kronfluence, with labels drawn `repeats` times for each example.

    damping: None for a tenth of the mean eigenvalue of each layer, its heuristic.
    """
    import gc

    import torch
    from kronfluence.analyzer import Analyzer, prepare_model
    from kronfluence.arguments import FactorArguments, ScoreArguments
    from kronfluence.task import Task
    from torch.utils.data import TensorDataset

    class Margins(Task):
        def compute_train_loss(self, batch: Any, model: Any, sample: bool = False) -> Any:
            logits = model(batch[0])
            labels = torch.distributions.Categorical(logits=logits.detach()).sample() if sample else batch[1]
            return torch.nn.functional.cross_entropy(logits, labels, reduction="sum")

        def compute_measurement(self, batch: Any, model: Any) -> Any:
            return -TARGETS[target](model(batch[0]), batch[1]).sum()

    # It collects garbage ten times a model: what is there already would take most of its time.
    gc.freeze()
    total = np.zeros((len(models.train[1]), len(models.test[1])))
    train, test = (TensorDataset(*tensors(pair)) for pair in (models.train, models.test))
    for mask, parameters in zip(models.masks, models.final(), strict=True):
        torch.manual_seed(0)
        subset = TensorDataset(*tensors(models.train, np.tile(np.flatnonzero(mask), repeats)))
        made = prepare_model(network(models.sizes, parameters), Margins())
        with tempfile.TemporaryDirectory() as folder:
            analyzer = Analyzer("study", made, Margins(), cpu=True, disable_tqdm=True, output_dir=folder)
            analyzer.fit_all_factors("factors", subset, len(subset), factor_args=FactorArguments())
            arguments = ScoreArguments(damping_factor=damping)
            analyzer.compute_pairwise_scores(
                "scores", "factors", test, train, len(test), len(train), score_args=arguments
            )
            total += analyzer.load_pairwise_scores("scores")["all_modules"].numpy().T
    return total / len(models.masks)


def grid(**choices: tuple) -> list[dict[str, Any]]:
    """Every combination of these settings."""
    return [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]


@dataclass(frozen=True)
class Peer:
    """name: of the method and its package; module: what is imported; settings: those that are tried."""

    name: str
    module: str
    table: Callable[..., np.ndarray]
    settings: list[dict[str, Any]]


PEERS = [
    Peer("TRAK (traker)", "trak", trak, grid(dimension=(256, 1024, 4096), ridge=(0.0, 10.0, 30.0, 100.0))),
    Peer(
        "TRAK (dattri)",
        "dattri",
        dattri_trak,
        grid(dimension=(512, 1024, 4096), ridge=(0.0, 0.01, 0.02, 0.05), target=("margin", "odds")),
    ),
    Peer(
        "influence functions by conjugate gradients (dattri)",
        "dattri",
        dattri_influence,
        grid(damping=(0.01, 0.02, 0.03, 0.05), iterations=(10, 20), target=("margin", "odds")),
    ),
    Peer(
        "EK-FAC (kronfluence)",
        "kronfluence",
        kronfluence,
        grid(damping=(1e-8, None, 0.001, 0.003, 0.01), repeats=(1, 10), target=("margin", "odds")),
    ),
    Peer(
        "TracInCP (captum)",
        "captum",
        tracin,
        grid(steps=(1, 5), layers=("all", "last"), target=("margin", "odds", "loss"), cosine=(False, True)),
    ),
]
