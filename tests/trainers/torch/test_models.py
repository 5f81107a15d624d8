"""The networks: shapes, numbers of parameters, floating-point operations, and what is fixed in them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from subtrain.trainers.torch.models.airbench import airbench, parameter_groups, whiten  # noqa: E402
from subtrain.trainers.torch.models.resnet9 import resnet9  # noqa: E402
from subtrain.trainers.torch.models.resnet18 import resnet18  # noqa: E402

pytestmark = pytest.mark.xdist_group("torch")


def multiplications(model, size):
    """Multiply-adds of each convolution and linear layer for one image, from the shapes that pass through it."""
    found = []

    def count(layer, inputs, output):
        found.append(layer.weight.numel() * int(np.prod(output.shape[2:])))

    hooks = [
        layer.register_forward_hook(count)
        for layer in model.modules()
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear))
    ]
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    return found


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def test_resnet9_is_the_papers():
    model = resnet9()
    logits = model(torch.randn(2, 3, 32, 32))
    assert logits.shape == (2, 10)
    assert parameters(model) == (
        27 * 64 + 64 * 128 * 25 + 2 * 128 * 128 * 9 + 128 * 256 * 9 + 2 * 256 * 256 * 9 + 256 * 128 * 9  # convolutions
        + 1280  # linear
        + 2 * (64 + 3 * 128 + 3 * 256 + 128)  # scales and shifts
    )  # fmt: skip


def test_resnet9_costs_a_petaflop_a_model():
    """25,000 images for 24 epochs, backward twice the forward; the first layer needs no gradient of its input."""
    layers = multiplications(resnet9(), 32)
    images = 25_000 * 24
    assert sum(layers) == 291_308_800
    assert 3 * 2 * sum(layers) * images == pytest.approx(1.0487e15, rel=1e-4)
    assert (3 * sum(layers) - layers[0]) * 2 * images == pytest.approx(1.047e15, rel=1e-3)


def test_resnet18_is_the_standard_one():
    model = resnet18(1000)
    assert parameters(model) == 11_689_512
    assert sum(multiplications(model, 224)) == pytest.approx(1.814e9, rel=1e-3)
    assert resnet18(62, width=4)(torch.randn(2, 3, 64, 64)).shape == (2, 62)


def test_airbench_costs_a_fraction_of_resnet9():
    assert airbench()(torch.randn(2, 3, 32, 32)).shape == (2, 10)
    cost = sum(multiplications(airbench(), 32)) * 10
    assert cost < 0.4 * sum(multiplications(resnet9(), 32)) * 24


def test_whitening_makes_patches_uncorrelated():
    torch.manual_seed(0)
    images = torch.randn(200, 3, 12, 12)
    images = images + 2 * images.roll(1, 3) + images.mean(dim=1, keepdim=True)
    model = airbench(width=8)
    with torch.no_grad():
        whiten(model, images)
        model[0].bias.zero_()
        out = model[0](images)[:, :12].permute(1, 0, 2, 3).flatten(1)
    covariance = out @ out.T / out.shape[1]
    assert torch.allclose(covariance, torch.eye(12), atol=0.02)
    assert torch.equal(model[0].weight[:12], -model[0].weight[12:])


def test_airbench_trains_what_it_should():
    model = airbench(width=8)
    groups = parameter_groups(model, 1.5, 1e-3)
    chosen = [p for group in groups for p in group["params"]]
    assert {id(p) for p in chosen} == {id(p) for p in model.parameters() if p.requires_grad}
    assert len(groups[1]["params"]) == 6
    assert groups[0]["lr"] * groups[0]["weight_decay"] == pytest.approx(groups[1]["lr"] * groups[1]["weight_decay"])
    assert not model[0].weight.requires_grad
    kernel = model[3][0].weight
    assert torch.equal(kernel[:8, :8, 1, 1], torch.eye(8))
    assert not kernel[:8, :, 0].any()
    assert kernel[8:].any()
