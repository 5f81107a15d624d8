"""Tables of native networks against Jacobians that PyTorch writes out, solved in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import subtrain as st
from subtrain.errors import InputError
from subtrain.influence import native_networks
from subtrain.influence.gauss_newton import EXACT, Precision, influence_table
from subtrain.influence.losses import output_slopes
from subtrain.outputs import from_logits
from subtrain.quantities import QUANTITIES
from subtrain.trainers.cnn import train_cnn
from subtrain.trainers.kit.many_models import descend, writable
from subtrain.trainers.kit.sgd import Sgd
from subtrain.trainers.mlp import train_mlp

torch = pytest.importorskip("torch")

RECIPE = Sgd(epochs=6, batch=8, lr=0.05)
N, TARGETS, SEED = 24, 6, 5
MLPS = [(), (6,), (7, 5)]
# Images, channels, kernel, pool, hidden widths.
CNNS = [
    ((8, 8), (4,), 3, 2, ()),
    ((8, 8, 3), (4, 5), 3, 2, (6,)),
    ((7, 9, 2), (3, 4), 5, 1, ()),
    ((6, 5), (3,), 1, 1, (4,)),
]
NETWORKS = [("mlp", {"widths": widths}, (5,)) for widths in MLPS] + [
    ("cnn", dict(zip(("channels", "kernel", "pool", "widths"), layers, strict=True)), shape) for shape, *layers in CNNS
]


def data_of(shape: tuple[int, ...], classes: int = 3, n: int = N) -> dict[str, Any]:
    random = np.random.default_rng(len(shape))
    made = {}
    for split, count in (("train", n), ("test", TARGETS)):
        y = np.arange(count) % classes
        x = random.normal(size=(count, *shape)) + random.normal(size=(classes, *shape))[y]
        made[split] = (x.astype(np.float32), y)
    return made


def subset(n: int = N) -> np.ndarray:
    return np.random.default_rng(2).random(n) < 0.7


def dense(p: Any, at: int, sizes: list[int], z: Any) -> Any:
    for j, (u, v) in enumerate(pairwise(sizes)):
        z = z @ p[at : at + u * v].reshape(u, v) + p[at + u * v : at + u * v + v]
        at += u * v + v
        z = torch.relu(z) if j < len(sizes) - 2 else z
    return z


def forward(network: str, net: Any, layers: dict[str, Any]) -> Callable[[Any, Any], Any]:
    """logits(parameters, one example) of a network whose parameters lie as ours do."""
    if network == "mlp":
        return lambda p, x: dense(p, 0, net.tolist(), x)

    def logits(p: Any, image: Any) -> Any:
        z, at, k = torch.atleast_3d(image).permute(2, 0, 1)[None], 0, layers["kernel"]
        for outputs in layers["channels"]:
            inputs = z.shape[1]
            weight = p[at : at + outputs * k * k * inputs].reshape(outputs, k, k, inputs).permute(0, 3, 1, 2)
            at += outputs * k * k * inputs
            z = torch.nn.functional.conv2d(z, weight, p[at : at + outputs], padding=k // 2)
            z, at = torch.relu(torch.nn.functional.max_pool2d(z, layers["pool"])), at + outputs
        return dense(p, at, net.sizes.tolist(), z.permute(0, 2, 3, 1).reshape(-1))

    return logits


def solved(logits: Any, parameters: np.ndarray, data: Any, mask: np.ndarray, margin: str, damping: float) -> np.ndarray:
    """The definition of the table, of the test margins, in float64."""
    p = torch.tensor(parameters, dtype=torch.float64)
    z, jacobian = {}, {}
    for split, (x, _) in data.items():
        inputs = torch.tensor(x, dtype=torch.float64)
        z[split] = torch.func.vmap(logits, (None, 0))(p, inputs)
        jacobian[split] = torch.func.vmap(torch.func.jacrev(logits), (None, 0))(p, inputs)
    shares = torch.softmax(z["train"], 1)
    fisher = torch.diag_embed(shares) - shares[:, :, None] * shares[:, None, :]
    inside = jacobian["train"][mask]
    curvature = torch.einsum("nap,nab,nbq->pq", inside, fisher[mask], inside) + damping * torch.eye(len(p)).double()
    left = torch.eye(z["train"].shape[1]).double()[data["train"][1]] - shares
    pushes = torch.einsum("ncp,nc->np", jacobian["train"], left)
    y = torch.tensor(data["test"][1])

    def margins(z: Any) -> Any:
        own = z.gather(1, y[:, None])[:, 0]
        others = z.scatter(1, y[:, None], -torch.inf)
        return own - (others.logsumexp(1) if margin == "logsumexp" else others.max(1).values)

    slopes = torch.autograd.functional.jacobian(lambda z: margins(z).sum(), z["test"])
    targets = torch.einsum("ncp,nc->np", jacobian["test"], slopes)
    return (pushes @ torch.linalg.solve(curvature, targets.T)).numpy()


def trained(network: str, layers: dict[str, Any], data: Any, mask: np.ndarray) -> tuple[np.ndarray, Any, Any, Any]:
    x, y = data["train"]
    net, start, loops, seen, linearized = native_networks.KINDS[network](x, 3, layers)
    parameters = start(SEED)
    descend(loops, net, parameters, (writable(seen(x)), y), mask, SEED, RECIPE)
    return parameters, net, seen, linearized


def table_of(network: str, data: Any, layers: dict[str, Any], mask: np.ndarray, margin: str = "max") -> np.ndarray:
    settings = {**layers, "recipe": RECIPE, "init": "own"}
    return native_networks.network_table(network, data, settings, 3, margin, mask, SEED, "test_margins")


def at_precision(monkeypatch: pytest.MonkeyPatch, precision: Precision) -> None:
    monkeypatch.setattr(native_networks, "influence_table", lambda *a, seed: influence_table(*a, precision, seed))


@pytest.mark.parametrize(("k", "network", "layers", "shape"), [(k, *each) for k, each in enumerate(NETWORKS)])
def test_exact_tables_are_those_of_the_definition(k, network, layers, shape, monkeypatch) -> None:
    data, mask, margin = data_of(shape), subset(), ("max", "logsumexp")[k % 2]
    parameters, net, *_ = trained(network, layers, data, mask)
    truth = solved(forward(network, net, layers), parameters, data, mask, margin, RECIPE.damping(int(mask.sum())))
    at_precision(monkeypatch, EXACT)
    found = table_of(network, data, layers, mask, margin)
    assert found.shape == truth.shape
    assert np.linalg.norm(found - truth) <= 1e-3 * np.linalg.norm(truth)


@pytest.mark.parametrize(("network", "layers", "shape"), NETWORKS)
def test_tables_are_close_to_exact_ones(network, layers, shape, monkeypatch) -> None:
    data, mask = data_of(shape, n=100), subset(100)
    found = table_of(network, data, layers, mask)
    at_precision(monkeypatch, EXACT)
    exact = table_of(network, data, layers, mask)
    # Large kernels that hardly learned have the most curvature that is left out.
    most = 0.35 if layers.get("kernel") == 5 else 0.06
    assert np.linalg.norm(found - exact) <= most * np.linalg.norm(exact)
    assert np.corrcoef(found.ravel(), exact.ravel())[0, 1] > (0.95 if most > 0.06 else 0.995)


def test_few_sampled_labels_give_nearly_the_same_table() -> None:
    data, mask = data_of((5,), n=200), subset(200)
    parameters, _, seen, linearized = trained("mlp", {"widths": (6,)}, data, mask)
    around = {split: linearized(seen(x), parameters) for split, (x, _) in data.items()}
    slopes = output_slopes("test_margins", around["test"].logits, data["test"][1], "max")
    arguments = (around["train"], around["test"], data["train"][1], mask, slopes, RECIPE.damping(int(mask.sum())))
    exact, one = influence_table(*arguments, EXACT), influence_table(*arguments, Precision(0.0, 1 << 30, 1))
    assert not np.allclose(exact, one, rtol=1e-3)
    assert np.corrcoef(exact.ravel(), one.ravel())[0, 1] > 0.85
    again = influence_table(*arguments, Precision(0.0, 1 << 30, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, influence_table(*arguments, Precision(0.0, 1 << 30, 1), 9))


@pytest.mark.parametrize(("init", "order"), [("own", "unit"), ("own", "position"), ("shared", "unit")])
@pytest.mark.parametrize(("network", "layers", "shape"), [NETWORKS[1], NETWORKS[4]])
def test_tables_are_of_the_models_of_the_study(network, layers, shape, init, order, monkeypatch) -> None:
    recipe = replace(RECIPE, order=order)
    data, seen = data_of(shape), []
    (x, y), (x_test, y_test) = data["train"], data["test"]
    images = {"standardize": False} if network == "cnn" else {}
    make = getattr(st.tasks, network)
    task = make(x, y, x_test, y_test, **layers, recipe=recipe, init=init, **images)
    study = st.Study.create(":memory:", task, st.Design(models=4))
    study.collect(progress=False)

    def spy(train: Any, targets: Any, *rest: Any, **options: Any) -> np.ndarray:
        seen.append((train.logits, targets.logits))
        return influence_table(train, targets, *rest, **options)

    monkeypatch.setattr(native_networks, "influence_table", spy)
    row = int(study.done()[0])
    mask, seed = study.masks([row]).unpack()[0], int(study.design.seeds([row])[0])
    task.influence(mask, seed, "test_margins")
    ours, theirs = seen[0]
    train = {"mlp": train_mlp, "cnn": train_cnn}[network]
    exact = train(x, y, mask[None], np.array([seed]), [x, x_test], classes=3, recipe=recipe, init=init, **layers)
    # The compiled loops and numpy round differently in the last places.
    assert np.abs(ours - exact[0][0]).max() < 1e-4
    assert np.abs(theirs - exact[1][0]).max() < 1e-4
    said = from_logits(["test_margins"], {"test": theirs[None]}, {"test": y_test}, "max")["test_margins"][0]
    assert np.allclose(said, study.read("test_margins", [row])[0], rtol=2e-3, atol=2e-3)


def test_targets_can_be_the_training_examples() -> None:
    data, mask = data_of((5,)), subset()
    settings = {"widths": (6,), "recipe": RECIPE, "init": "own"}
    found = native_networks.network_table("mlp", data, settings, 3, "max", mask, SEED, "train_margins")
    assert found.shape == (N, N)
    assert (np.diagonal(found) > 0).all(), "to train on an example raises its own margin"
    swapped = {"train": data["train"], "test": data["train"]}
    other = native_networks.network_table("mlp", swapped, settings, 3, "max", mask, SEED, "test_margins")
    assert np.array_equal(found, other)


def test_slopes_of_every_quantity_are_those_of_its_formula() -> None:
    z = np.random.default_rng(0).normal(size=(5, 4))
    y = np.array([0, 1, 2, 3, 1])
    onehot, p = np.eye(4)[y], np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    others = np.where(onehot > 0, -np.inf, z)
    soft = np.exp(others) / np.exp(others).sum(axis=1, keepdims=True)
    expected = {
        ("margins", "max"): (onehot - np.eye(4)[others.argmax(axis=1)])[:, None],
        ("margins", "logsumexp"): (onehot - soft)[:, None],
        ("losses", "max"): (p - onehot)[:, None],
        ("logits", "max"): np.broadcast_to(np.eye(4), (5, 4, 4)),
        # A prediction of a regression is one number an example.
        ("predictions", "max"): np.broadcast_to(np.eye(4), (5, 4, 4)),
    }
    refused = {"correctness"}
    assert {name for name, _ in expected} | refused == {name for name in QUANTITIES if QUANTITIES[name].of}
    for (name, margin), slopes in expected.items():
        assert np.allclose(output_slopes(f"test_{name}", z, y, margin), slopes, atol=1e-7), name
    with pytest.raises(InputError, match="test_correctness does not change with small changes"):
        output_slopes("test_correctness", z, y, "max")


def test_a_diverged_model_is_refused_in_a_sentence() -> None:
    data, mask = data_of((5,)), subset()
    settings = {"widths": (6,), "recipe": Sgd(epochs=20, batch=8, lr=1e6), "init": "own"}
    with pytest.raises(InputError, match="training diverged, so that it has no influence table"):
        native_networks.network_table("mlp", data, settings, 3, "max", mask, SEED, "test_margins")
