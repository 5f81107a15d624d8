"""Studies that worker processes train, by a task they load from a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

import worlds
from subtrain import Study

UNRULY = f"{worlds.__file__}:unruly"


@pytest.fixture
def unruly_study(make_study, tmp_path) -> Callable[..., Study]:
    """unruly_study({5: "raise"}, **options): a study nobody has trained yet, whose model 5 will fail."""

    def make(orders: Mapping[int, str] | None = None, pause: float = 0.0, size: int = 4, **options) -> Study:
        control = tmp_path / "control"
        control.mkdir(exist_ok=True)
        params = {"control": str(control), "pause": pause, "size": size}
        study = make_study(done=False, task=UNRULY, params=params, **options)
        for model, order in (orders or {}).items():
            (control / str(study.design.seeds([model])[0])).write_text(order)
        return study

    return make


@pytest.fixture
def expected():
    """expected(study): its outputs as they must be, trained here without segments, workers or files."""

    def outputs(study: Study) -> dict[str, np.ndarray]:
        plain = worlds.linear(noise=0.5)
        found = plain.train(study.masks().unpack(), study.design.seeds())
        return {name: np.asarray(array) for name, array in found.items()}

    return outputs


@pytest.fixture
def obedient(tmp_path):
    """obedient(): take all orders back."""

    def remove() -> None:
        for order in (tmp_path / "control").iterdir():
            order.unlink()

    return remove
