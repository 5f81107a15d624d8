"""The networks: shapes, numbers of parameters, floating-point operations, and what is fixed in them."""

import pytest

torch = pytest.importorskip("torch")
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from subtrain.trainers.torch.models.airbench import airbench, parameter_groups, whiten  # noqa: E402
from subtrain.trainers.torch.models.resnet9 import resnet9  # noqa: E402
from subtrain.trainers.torch.models.resnet18 import resnet18  # noqa: E402


def flop(model, size, backward=False):
    """Floating-point operations for one image: two a multiply-add of convolutions and products."""
    with FlopCounterMode(display=False) as counter:
        answers = model(torch.zeros(2, 3, size, size))
        if backward:
            answers.sum().backward()
    return counter.get_total_flops() / 2


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
    """25,000 images for 24 epochs, by hand from its layers and by PyTorch's counter."""
    layers = [
        27 * 64 * 32**2,
        64 * 128 * 25 * 16**2,
        *[128 * 128 * 9 * 16**2] * 2,
        128 * 256 * 9 * 16**2,
        *[256 * 256 * 9 * 8**2] * 2,
        256 * 128 * 9 * 6**2,
        128 * 10,
    ]
    images = 25_000 * 24
    assert flop(resnet9(), 32) == 2 * sum(layers) == 582_617_600
    assert 3 * flop(resnet9(), 32) * images == pytest.approx(1.0487e15, rel=1e-4)
    # The backward pass is twice the forward but for the gradient of the images, which nobody needs.
    trained = flop(resnet9(), 32, backward=True)
    assert trained == 2 * (3 * sum(layers) - layers[0])
    assert trained * images == pytest.approx(1.047e15, rel=1e-3)


def test_resnet18_is_the_standard_one():
    model = resnet18(1000).eval()
    assert parameters(model) == 11_689_512
    assert flop(model, 224) == pytest.approx(2 * 1.814e9, rel=1e-3)
    assert resnet18(62, width=4)(torch.randn(2, 3, 64, 64)).shape == (2, 62)


def test_airbench_costs_a_fraction_of_resnet9():
    assert airbench()(torch.randn(2, 3, 32, 32)).shape == (2, 10)
    cost = flop(airbench(), 32, backward=True)
    assert cost * 50_000 * 9.9 == pytest.approx(0.36e15, rel=0.05)  # what its author counts for airbench94
    assert cost * 10 < 0.2 * flop(resnet9(), 32, backward=True) * 24


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
