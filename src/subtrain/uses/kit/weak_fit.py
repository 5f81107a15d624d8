"""One line under every result of a fit that predicts badly: what it found hangs on datamodels that hardly hold."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from subtrain.datamodels import Datamodels
from subtrain.designs.drawn import EVALUATION
from subtrain.errors import SubtrainError
from subtrain.evaluation import score, weakness
from subtrain.evaluation_models import even_replicates, held_out, refuse_seen
from subtrain.study import Study

SUBSETS, TARGETS = 200, 200
_known: WeakKeyDictionary[Datamodels, dict[str, str]] = WeakKeyDictionary()


def weak_fit(dm: Datamodels, study: Study) -> str:
    """The line; "" where the fit is not weak, or nothing held out tells. Of many subsets and targets some judge."""
    known = _known.setdefault(dm, {})
    key = f"{study.identity} {study.models}"
    if key not in known:
        try:
            known[key] = _judged(dm, study)
        except SubtrainError:
            known[key] = ""
    return known[key]


def _judged(dm: Datamodels, study: Study) -> str:
    output = str(dm.meta.get("output") or next(iter(study.outputs)))
    index = study.done(EVALUATION)
    if output not in study.outputs or dm.n != study.n or not index.size:
        return ""
    refuse_seen(dm, study, index)
    index, subsets, runs = even_replicates(study, index)
    heldout = held_out(dm, study, index[: min(subsets, SUBSETS) * runs], output)
    targets = np.setdiff1d(np.linspace(0, dm.targets - 1, min(TARGETS, dm.targets)).astype(np.int64), heldout.left_out)
    predicted = dm.predict(study.masks(heldout.rows[:: heldout.replicates]), targets.tolist())
    found = score(predicted, heldout.outputs[..., targets], bootstrap=0)
    return weakness(found.lds.value, found.lds_ceiling, study.location)
