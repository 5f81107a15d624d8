"""Where a model is trained: what the executor says comes first."""

import pytest

from subtrain.errors import InputError

torch = pytest.importorskip("torch")
from subtrain.trainers.torch.devices import VARIABLE, chosen_device  # noqa: E402


def test_the_environment_then_the_recipe_then_what_is_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv(VARIABLE, "cpu")
    assert chosen_device("cuda:0") == torch.device("cpu")
    monkeypatch.delenv(VARIABLE)
    assert chosen_device("cpu") == torch.device("cpu")
    assert chosen_device(None) == torch.device("cpu")


def test_devices_that_are_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv(VARIABLE, "cuda:3")
    with pytest.raises(InputError, match="no device cuda:3"):
        chosen_device(None)
    monkeypatch.setenv(VARIABLE, "gpu")
    with pytest.raises(InputError, match="unknown device 'gpu'"):
        chosen_device(None)


def test_the_first_graphics_card_where_there_is_one(monkeypatch):
    taken = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.delenv(VARIABLE, raising=False)
    assert chosen_device(None).type == "cuda"
    monkeypatch.setenv(VARIABLE, "cuda:1")
    assert chosen_device("cuda:0") == torch.device("cuda:1")
    assert taken[1:] == [torch.device("cuda:1")]
