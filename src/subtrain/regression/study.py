"""Datamodels of a study: its finished models, minus the held-out ones, into an estimator."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from subtrain._version import __version__
from subtrain.datamodels import Datamodels
from subtrain.design import FIT
from subtrain.errors import InputError
from subtrain.masks import Masks
from subtrain.store import segment
from subtrain.store.study import Study

MIN_MODELS = 10


class Estimator(Protocol):
    """What `fit` needs of an estimator: scikit-learn's shape, weights in raw-mask units."""

    weight_: NDArray[np.floating[Any]]
    bias_: NDArray[np.floating[Any]]
    lam_: NDArray[np.floating[Any]]
    gap_: NDArray[np.floating[Any]]

    def fit(self, masks: Masks, outputs: NDArray[Any]) -> Any: ...

    def get_params(self) -> dict[str, Any]: ...


def fit(study: Study, outputs: str | None = None, estimator: Estimator | None = None) -> Datamodels:
    """A datamodel for every target of an output, from the study's finished models; held-out models stay unseen.

    outputs: name of the output, by default the study's first. estimator: by default `Lasso()`. Raises InputError when
    there is no such output or fewer than ten finished models.
    """
    from subtrain.regression.lasso import Lasso

    output = outputs or next(iter(study.outputs))
    if output not in study.outputs:
        raise InputError(f"{study.path} records no output {output!r}; it has {', '.join(study.outputs)}")
    rows = study.done(FIT)
    if rows.size < MIN_MODELS:
        raise InputError(f"{study.path} has {rows.size} finished models to fit on; collect at least {MIN_MODELS}")
    began = time.monotonic()
    model = estimator if estimator is not None else Lasso()
    model.fit(study.masks(rows), study.read(output, rows).reshape(rows.size, -1))
    meta = {
        "output": output,
        "meaning": study.outputs[output].meaning,
        "scale": "raw masks",
        "sign": "a positive weight means that training on the unit raises the output",
        "alpha": study.design.alpha,
        "estimator": type(model).__name__,
        "params": {k: _plain(v) for k, v in model.get_params().items()},
        "gap_max": float(np.max(model.gap_)),
        "models": int(rows.size),
        "models_used": [list(span) for span in segment.runs(rows.tolist())],
        "study": str(study.path),
        "study_id": study.identity,
        "subtrain": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - began, 3),
    }
    return Datamodels(model.weight_.astype(np.float32), model.bias_, model.lam_, meta)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
