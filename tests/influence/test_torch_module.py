"""Influence tables of PyTorch modules: against the native networks', and against matrices written out."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from sklearn.datasets import load_digits

import subtrain as st
from subtrain.errors import InputError
from subtrain.influence import conv_network, dense_network
from subtrain.influence.gauss_newton import EXACT, Precision, influence_table
from subtrain.influence.losses import output_slopes
from subtrain.tasks import torch_module
from subtrain.tasks.torch import TorchRecipe
from subtrain.trainers import cnn

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_torch_thread")
nn = torch.nn

RANDOM = np.random.default_rng(0)
X, X_TEST = (RANDOM.normal(size=(n, 4)).astype(np.float32) for n in (60, 20))
Y, Y_TEST = (np.argmax(x[:, :3], axis=1) for x in (X, X_TEST))
MASK = RANDOM.random(60) < 0.5
IMAGES, LABELS = load_digits(return_X_y=True)
IMAGES = (IMAGES / 16).astype(np.float32).reshape(-1, 8, 8)
RECIPE = TorchRecipe(epochs=4, batch=16, lr=0.2, schedule="cosine")
ALL = 1 << 20


def dense(widths=(8,), inputs=4, outputs=3):
    sizes = [inputs, *widths, outputs]
    layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.Tanh())]
    return nn.Sequential(*layers[:-1])


def task(make=dense, recipe=RECIPE, train=(X, Y), test=(X_TEST, Y_TEST), **options):
    return torch_module(make, train, test, recipe, **options)


def table(of, output="test_margins", precision=EXACT, samples=ALL, seed=3):
    from subtrain.influence.torch_module import module_table

    kept, labels, margin = of.influence.args
    return module_table(kept.made(), labels, margin, MASK, seed, output, precision, samples)


def trainer_of(of):
    """The trainer that a table was computed with, whose module is there still."""
    return of.influence.args[0].made()


def damping_of(of, mask=MASK):
    from subtrain.influence.torch_module import parameter_dampings

    (found,) = set(parameter_dampings(trainer_of(of), int(mask.sum())).values())
    return found


def close(found, expected, share=1e-3):
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < share * np.abs(expected).max()
    assert np.abs(expected).max() > 0


# Against matrices written out.


def jacobian(model, parameters, x):
    """[N, k, parameters]"""

    def outputs(changed):
        return torch.func.functional_call(model, changed, x if isinstance(x, tuple) else (x,)).reshape(-1)

    found = torch.func.jacrev(outputs)(parameters)
    count = len(x[0]) if isinstance(x, tuple) else len(x)
    return (
        torch.cat([found[name].flatten(1) for name in parameters], 1)
        .double()
        .numpy()
        .reshape(count, -1, sum(p.numel() for p in parameters.values()))
    )


def written_out(of, x, x_test, residuals, curvatures, slopes, damping=None):
    """The table in float64, of residuals(z) [n, k], curvatures(z) [n, k, k] and slopes(z_test) [T, k]."""
    model = trainer_of(of).step.model.eval()
    parameters = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    ours, theirs = (jacobian(model, parameters, part) for part in (x, x_test))
    z, z_test = (
        model(*(part if isinstance(part, tuple) else (part,))).detach().double().numpy().reshape(len(j), -1)
        for part, j in ((x, ours), (x_test, theirs))
    )
    h = np.einsum("nkp,nkl,nlq->pq", ours[MASK], curvatures(z)[MASK], ours[MASK])
    h += np.diag(np.broadcast_to(damping_of(of) if damping is None else damping, len(h)))
    gradients = np.einsum("nk,nkp->np", residuals(z), ours)
    return gradients @ np.linalg.solve(h, np.einsum("nk,nkp->np", slopes(z_test), theirs).T)


def softmax(z):
    found = np.exp(z - z.max(1, keepdims=True))
    return found / found.sum(1, keepdims=True)


def fisher(z):
    p = softmax(z)
    return p[:, :, None] * (np.eye(p.shape[1]) - p[:, None, :])


def margin_slopes(z):
    return output_slopes("test_margins", z, Y_TEST, "max")[:, 0]


def expected(of, x=X, x_test=X_TEST, smoothing=0.0, damping=None):
    def residuals(z):
        classes = z.shape[1]
        return (1 - smoothing) * np.eye(classes)[Y] + smoothing / classes - softmax(z)

    given = [tuple(map(torch.as_tensor, x)) if isinstance(x, tuple) else torch.as_tensor(x) for x in (x, x_test)]
    return written_out(of, *given, residuals, fisher, margin_slopes, damping)


def test_exact_tables_are_those_written_out():
    one = task()
    close(table(one), expected(one))


def test_the_model_is_the_one_of_its_mask_and_seed_bit_by_bit():
    one = task(dtype="float32")
    recorded = one.train(MASK[None], np.array([3], np.uint32))["test_margins"][0]
    assert np.array_equal(one.influence(MASK, 3, "test_margins"), one.influence(MASK, 3, "test_margins"))
    assert np.array_equal(one.train(MASK[None], np.array([3], np.uint32))["test_margins"][0], recorded)
    kept, labels, _ = one.influence.args
    logits = kept.made().logits("test")
    assert np.array_equal(st.margins(logits, labels["test"]), recorded)


def test_tables_of_every_output():
    one = task(outputs=["test_margins", "test_logits", "train_losses"])
    logits, losses = table(one, "test_logits"), table(one, "train_losses")
    assert logits.shape == (60, 60)
    assert losses.shape == (60, 60)
    largest = output_slopes("test_logits", np.zeros((20, 3)), Y_TEST, "max")
    assert np.allclose(largest.reshape(60, 3), np.tile(np.eye(3), (20, 1)), atol=1e-6)
    assert (np.diag(losses)[MASK] < 0).all()  # training on an example lowers its own loss
    z = trainer_of(one).logits("test")
    rows = margin_slopes(z.astype(float))
    close(np.einsum("ntk,tk->nt", logits.reshape(60, 20, 3), rows).astype(np.float32), table(one))


def test_label_smoothing_and_dropped_minibatches():
    smooth = task(recipe=TorchRecipe(epochs=4, batch=16, label_smoothing=0.2, drop_last=True))
    close(table(smooth), expected(smooth, smoothing=0.2))
    recipe = TorchRecipe(
        epochs=1, batch=20, lr=0.5, momentum=0.0, weight_decay=0.1, schedule="constant", drop_last=True
    )
    dropped = task(recipe=recipe)
    table(dropped)
    steps = int(MASK.sum()) // 20
    assert damping_of(dropped) == pytest.approx(MASK.sum() * (0.1 + 1 / (0.5 * steps)))


def test_parameters_have_their_own_damping():
    spared = task(recipe=TorchRecipe(epochs=4, batch=16, weight_decay=0.05, decay_vectors=False))
    found = table(spared)
    from subtrain.influence.torch_module import parameter_dampings

    own = parameter_dampings(trainer_of(spared), int(MASK.sum()))
    assert own["0.weight"] - own["0.bias"] == pytest.approx(0.05 * MASK.sum())
    sizes = [p.numel() for p in trainer_of(spared).step.model.parameters()]
    close(found, expected(spared, damping=np.repeat(list(own.values()), sizes)))


@pytest.mark.parametrize("optimizer", ["adamw", lambda p: torch.optim.Adam(p, 0.01)], ids=["adamw", "own"])
def test_other_optimizers_are_damped_by_the_mean_curvature(optimizer):
    one = task(recipe=TorchRecipe(epochs=8, batch=16, lr=0.02, optimizer=optimizer))
    found = table(one)
    trained, own = trainer_of(one).step.model, task(recipe=RECIPE)
    close_to_trace = expected(one, damping=0.1 * trace(trained) / sum(p.numel() for p in trained.parameters()))
    assert np.corrcoef(found.ravel(), close_to_trace.ravel())[0, 1] > 0.999  # its trace is estimated
    assert not np.allclose(found, table(own))


def trace(model):
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    j, z = jacobian(model, parameters, torch.as_tensor(X)), model(torch.as_tensor(X)).detach().double().numpy()
    return np.einsum("nkp,nkl,nlp->", j[MASK], fisher(z)[MASK], j[MASK])


# Against the native networks.


def test_a_dense_module_has_the_table_of_the_native_network():
    x, x_test = IMAGES[:60].reshape(60, -1), IMAGES[60:80].reshape(20, -1)

    def make():
        return nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 10))

    one = task(make, train=(x, LABELS[:60]), test=(x_test, LABELS[60:80]), classes=10)
    found = table(one)
    layers = [layer for layer in trainer_of(one).step.model if isinstance(layer, nn.Linear)]
    parameters = np.concatenate([part for layer in layers for part in (flat(layer.weight.T), flat(layer.bias))])
    sizes = np.array([64, 16, 12, 10])
    ours, theirs = (dense_network.linearized(part, sizes, parameters) for part in (x, x_test))
    slopes = output_slopes("test_margins", theirs.logits, LABELS[60:80], "max")
    close(found, influence_table(ours, theirs, LABELS[:60], MASK, slopes, damping_of(one), EXACT))


def test_a_convolution_has_the_table_of_the_native_network():
    class Flatten(nn.Module):
        def forward(self, maps):
            return maps.permute(0, 2, 3, 1).flatten(1)

    def make():
        first = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
        return nn.Sequential(
            *first, nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), Flatten(), nn.Linear(24, 10)
        )

    x, x_test = IMAGES[:60], IMAGES[60:80]
    one = task(make, train=(x[:, None], LABELS[:60]), test=(x_test[:, None], LABELS[60:80]), classes=10)
    found = table(one)
    convolutions = [layer for layer in trainer_of(one).step.model if isinstance(layer, nn.Conv2d)]
    last = trainer_of(one).step.model[-1]
    parts = [part for c in convolutions for part in (flat(c.weight.permute(0, 2, 3, 1)), flat(c.bias))]
    parameters = np.concatenate([*parts, flat(last.weight.T), flat(last.bias)])
    net = cnn.network(x.shape, (4, 6), kernel=3, pool=2, widths=(), classes=10)
    ours, theirs = (conv_network.linearized(cnn.with_frame(part, net.kernel), net, parameters) for part in (x, x_test))
    slopes = output_slopes("test_margins", theirs.logits, LABELS[60:80], "max")
    close(found, influence_table(ours, theirs, LABELS[:60], MASK, slopes, damping_of(one), EXACT))


def flat(tensor):
    return tensor.detach().numpy().ravel()


# Close to exact.


def correlation(found, exact):
    return np.corrcoef(found.ravel(), exact.ravel())[0, 1]


def test_tables_come_to_the_exact_one_as_directions_and_samples_grow():
    one = task(lambda: dense((16,)))
    exact = table(one)
    errors = [np.abs(table(one, precision=Precision(1e-9, d, ALL)) - exact).max() for d in (1, 8, 32, ALL)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-3 * np.abs(exact).max()
    by_samples = [correlation(table(one, samples=s), exact) for s in (1, 2, 3)]
    assert by_samples == sorted(by_samples)
    assert by_samples[0] > 0.9


def test_small_chunks_and_little_memory(monkeypatch):
    from subtrain.influence import torch_table

    one = task(lambda: dense((16,)))
    exact = table(one)
    monkeypatch.setattr(torch_table, "CHUNK", 4 * 7 * 131)
    monkeypatch.setattr(torch_table, "LARGE", 1)
    close(table(one), exact)
    monkeypatch.setattr(torch_table, "share_of_memory", lambda device: 0)
    close(table(one), exact)  # every direction is there, so that nothing was left out


def test_wide_sides_get_their_largest_eigenvectors_alone(monkeypatch):
    from subtrain.influence import torch_table

    one = task(lambda: dense((64,)))
    exact = table(one)
    monkeypatch.setattr(torch_table, "WIDE", 32)
    monkeypatch.setattr(torch_table, "LARGEST", 24)
    found = table(one, precision=Precision(0.0, ALL, ALL))
    assert correlation(found, exact) > 0.99
    assert not np.array_equal(found, exact)


# Modules of every kind.


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(2, 5), nn.Linear(2, 5)
        self.last = nn.Linear(5, 3)

    def forward(self, a, b):
        return {"logits": self.last(torch.tanh(self.left(a) + self.right(b)))}


def test_several_inputs_by_name_and_in_order():
    named = [{"a": x[:, :2], "b": x[:, 2:]} for x in (X, X_TEST)]
    by_name = task(TwoInputs, train=(named[0], Y), test=(named[1], Y_TEST))
    ordered = [tuple(x.values()) for x in named]
    in_order = task(TwoInputs, train=(ordered[0], Y), test=(ordered[1], Y_TEST))
    found = table(by_name)
    assert np.array_equal(found, table(in_order))
    first = TwoInputs.forward
    TwoInputs.forward = lambda self, a, b: first(self, a, b)["logits"]
    try:
        close(found, expected(in_order, ordered[0], ordered[1]))
    finally:
        TwoInputs.forward = first


def test_one_logit_for_two_classes_and_an_own_loss():
    y, y_test = Y > 0, Y_TEST > 0
    data = {"train": (X, y.astype(int)), "test": (X_TEST, y_test.astype(int))}
    one = task(lambda: dense(outputs=1), **data)
    found = table(one)

    def half(z):
        return 1 / (1 + np.exp(-z))

    def curvatures(z):
        return (half(z) * (1 - half(z)))[:, :, None]

    inputs = torch.as_tensor(X), torch.as_tensor(X_TEST)
    signs = np.where(y_test, 1.0, -1.0)[:, None]
    close(found, written_out(one, *inputs, lambda z: y[:, None] - half(z), curvatures, lambda z: signs))
    given = TorchRecipe(epochs=4, batch=16, lr=0.2, schedule="cosine", loss=nn.BCEWithLogitsLoss())
    close(table(task(lambda: dense(outputs=1), given, **data)), found)


def test_own_losses_have_their_own_curvature():
    usual = table(task())

    def loss(z, y):
        return -torch.log_softmax(z, 1).gather(1, y[:, None]).mean()

    own = TorchRecipe(epochs=4, batch=16, lr=0.2, schedule="cosine", loss=loss)
    close(table(task(recipe=own)), usual)

    def branching(z, y):
        return loss(z, y) if float(z.detach().sum()) > -1e9 else loss(-z, y)

    own = TorchRecipe(epochs=4, batch=16, lr=0.2, schedule="cosine", loss=branching)
    close(table(task(recipe=own)), usual)


def test_regression():
    y, y_test = (x[:, :2].sum(axis=1) for x in (X, X_TEST))
    recipe = TorchRecipe(epochs=10, batch=16, lr=0.05)
    one = task(lambda: dense(outputs=1), recipe, (X, y), (X_TEST, y_test), outputs=["test_predictions"])
    found = table(one, "test_predictions")

    def residuals(z):
        return 2 * (y[:, None] - z)

    inputs = torch.as_tensor(X), torch.as_tensor(X_TEST)
    close(found, written_out(one, *inputs, residuals, lambda z: np.full((60, 1, 1), 2.0), np.ones_like))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.last(torch.tanh(self.second(torch.tanh(self.first(x)))))


def test_tied_weights_are_one_parameter():
    one = task(Tied)
    close(table(one), expected(one))


def normed():
    layers = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(inplace=True), nn.Dropout(0.3), nn.Linear(6, 3)
    layers[0].weight.requires_grad_(False)
    return nn.Sequential(*layers)


def test_batch_norm_dropout_in_place_and_frozen_parameters():
    one = task(normed, TorchRecipe(epochs=4, batch=10, drop_last=True))
    close(table(one), expected(one))


class Branching(nn.Module):
    """What vmap refuses: a way that depends on the numbers."""

    def __init__(self):
        super().__init__()
        self.net = dense()

    def forward(self, x):
        return self.net(x) if float(x.detach().sum()) > -1e9 else self.net(-x)


def test_a_module_that_vmap_refuses_has_the_same_table():
    one = task(Branching)
    found = table(one)
    from subtrain.influence.torch_gradients import ModuleGradients

    model = trainer_of(one).step.model
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    gradients = ModuleGradients(model, parameters, {}, lambda rows: torch.as_tensor(X[rows]), 60)
    assert gradients._way == gradients._one_by_one
    close(found, table(task()))


def test_images_are_normalized_and_averaged_with_their_mirror_image():
    images = (IMAGES * 255).astype(np.uint8)
    data = {"train": (images[:60], LABELS[:60] % 3), "test": (images[60:80], LABELS[60:80] % 3)}

    def make():
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))

    recipe = TorchRecipe(epochs=4, batch=16, mean=[0.3], std=[0.4], flip_test=True, augment={"flip": True})
    one = task(make, recipe, outputs=["test_logits"], **data)
    found = table(one, "test_logits")
    seen, seen_test = (((images[a:b] / 255 - 0.3) / 0.4).astype(np.float32) for a, b in ((0, 60), (60, 80)))
    both = (seen_test + seen_test[:, :, ::-1]) / 2  # the module is linear
    plain = written_out(
        one,
        torch.as_tensor(seen),
        torch.as_tensor(both),
        lambda z: np.eye(3)[LABELS[:60] % 3] - softmax(z),
        fisher,
        lambda z: np.tile(np.eye(3)[0], (20, 1)),
    )
    close(found.reshape(60, 20, 3)[:, :, 0], plain)


def test_mixed_precision_is_computed_in_float32():
    one = task(recipe=TorchRecipe(epochs=4, batch=16, dtype="bfloat16"))
    close(table(one), expected(one))


def test_an_own_training_function():
    def train(model, data, indices, seed, device):
        x, y = data
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(20):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[indices]), y[indices]).backward()
            optimizer.step()

    found = task(recipe=train).influence(MASK, 3, "test_margins")
    assert np.isfinite(found).all()
    assert found.std() > 0


# In a study.


def test_a_guess_helps_a_fit_of_few_models():
    one = task(lambda: dense((16,)), TorchRecipe(epochs=12, batch=16, lr=0.2), test=(X_TEST[:10], Y_TEST[:10]))
    study = st.Study.create(":memory:", one, st.Design(models=60, heldout=20, replicates=2))
    study.collect(progress=False, engine="inline")
    made = st.guess(study, models=6, progress=False, engine="inline")
    assert made.models == 6
    with_guess, without = (study.fit(estimator=st.SharedPrior(**options)) for options in ({"guess": made}, {}))
    assert with_guess.evaluate(study).lds.value > without.evaluate(study).lds.value


def test_what_has_no_table_is_refused_in_a_sentence():
    def loss(z, y):
        return nn.functional.cross_entropy(z - z.mean(0), y)

    with pytest.raises(InputError, match="couples them"):
        task(recipe=TorchRecipe(epochs=1, loss=loss)).influence(MASK, 3, "test_margins")
    with pytest.raises(InputError, match="loss of logits and labels"):
        task(
            recipe=TorchRecipe(epochs=1, loss=lambda z, y: nn.functional.cross_entropy(z["logits"], y)), make=Named
        ).influence(MASK, 3, "test_margins")
    with pytest.raises(InputError, match="must keep running means"):
        task(lambda: nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 3))).influence(
            MASK, 3, "test_margins"
        )
    with pytest.raises(InputError, match="diverged"):
        task(recipe=TorchRecipe(epochs=9, lr=1e30)).influence(MASK, 3, "test_margins")
    with pytest.raises(InputError, match="choose another output"):
        task(outputs=["test_correctness"]).influence(MASK, 3, "test_correctness")
    study = st.Study.create(":memory:", task().relabelled([0, 1], [1, 2]), st.Design(models=4, heldout=0))
    with pytest.raises(InputError, match="knows no influence"):
        st.guess(study, models=1)


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = dense()

    def forward(self, x):
        return {"logits": self.net(x)}
