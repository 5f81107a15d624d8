"""Verifications while somebody watches: one after another, each in a process of its own, kept when it is done."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from subtrain.errors import InputError, SubtrainError
from subtrain.evaluation import Interval
from subtrain.explorer.data.leakage_review import REVIEWS
from subtrain.explorer.retraining import RetrainOrder
from subtrain.store.seal import put_sealed, read_sealed
from subtrain.studies.manifest import UNSEALED
from subtrain.study import Study
from subtrain.uses.counterfactual import ALPHA
from subtrain.uses.kit.intervals import difference_interval, mean_interval

WAITING = 8
RUNS = 100


@dataclass(eq=False)
class Verification:
    """state: queued, running, done, failed or cancelled; values: outputs of the retrained models by kind."""

    order: RetrainOrder
    state: str = "queued"
    why: str = ""
    values: Mapping[str, list[float]] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def total(self) -> int:
        return 2 * self.order.runs

    def to_json(self) -> dict[str, Any]:
        """What the study keeps of it, and the page shows."""
        order = self.order
        asked = {name: getattr(order, name) for name in ("output", "target", "runs", "base")}
        return {**asked, "removed": list(order.removed), "predicted": dict(order.predicted), "observed": self.values}

    def done(self) -> int:
        """Models that are trained."""
        if self.state == "done":
            return self.total
        with suppress(Exception):
            return min(self.total, Study.open(self.order.folder).models_done())
        return 0


@dataclass(eq=False)
class Desk:
    """Takes orders and has them done one after another. What is finished is kept in the study, below `reviews/`."""

    _held: dict[str, Verification] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def take(self, order: RetrainOrder) -> Verification:
        """The verification of this order, begun now unless it is under way or done; InputError if too many wait."""
        with self._lock:
            held = self._held.get(order.id)
            if held is not None and held.state in ("queued", "running", "done"):
                return held
            if sum(one.state in ("queued", "running") for one in self._held.values()) >= WAITING:
                raise InputError(f"{WAITING} verifications are waiting already: let one finish, or cancel one")
            made = self._held[order.id] = Verification(order)
        threading.Thread(target=self._do, args=(made,), name=f"verify-{order.id}", daemon=True).start()
        return made

    def find(self, number: str) -> Verification | None:
        return self._held.get(number)

    def cancel(self, one: Verification) -> None:
        """Stop it; models that are trained stay, for the next time."""
        with self._lock:
            if one.state in ("queued", "running"):
                one.state = "cancelled"
                if one.process is not None:
                    one.process.terminate()

    def stop(self) -> None:
        for one in list(self._held.values()):
            self.cancel(one)

    def _do(self, one: Verification) -> None:
        with self._turn:
            if one.state == "cancelled":
                return
            try:
                # A task that was made in Python may be none that can be sent.
                wanted = json.dumps(one.order.to_json()).encode()
                with self._lock:
                    if one.state == "cancelled":
                        return
                    one.state, one.process = "running", _start()
                answer, said = one.process.communicate(wanted)
                with self._lock:
                    if one.state == "cancelled":
                        return
                if one.process.returncode:
                    lines = said.decode(errors="replace").strip().splitlines() or ["the process ended without a word"]
                    raise InputError(lines[-1])
                one.values = json.loads(answer)
                put_sealed(one.order.study.store, f"{REVIEWS}/verified/{one.order.id}.json", one.to_json())
                one.state = "done"
            except Exception as error:  # the page must say that it failed, whatever it was
                one.why, one.state = str(error), "failed"


def kept(study: Study) -> list[Mapping[str, Any]]:
    """Finished verifications as they were written; what is damaged is left out."""
    found: list[Mapping[str, Any]] = []
    for name in study.store.names(f"{REVIEWS}/verified"):
        with suppress(SubtrainError, FileNotFoundError, TypeError):
            kept_by = read_sealed(study.store, name, required=study.format != UNSEALED)
            found.append({**kept_by, "job": name.rpartition("/")[2].removesuffix(".json")})
    return found


def _start() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "subtrain.explorer.retraining"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Mean of some runs with its 95 % interval (Student's t), null for fewer than two runs, and the values."""
    x = np.asarray(values, np.float64)
    return {**_told(mean_interval(x)), "runs": int(x.size), "values": x.tolist()}


def effect(values: Mapping[str, Sequence[float]], base: str) -> dict[str, Any] | None:
    """Output without the units minus output with them, with its 95 % interval: of pairs on the same subsets (alpha), or
    of two means (Welch's t); None before anything is there."""
    with_them, without = (np.asarray(values.get(kind, ()), np.float64) for kind in ("full", "removed"))
    if not with_them.size or not without.size:
        return None
    if base == ALPHA:
        return _told(mean_interval(without - with_them))
    return _told(difference_interval(without, with_them))


def _told(found: Interval) -> dict[str, Any]:
    mean, low, high = found.value, found.low, found.high
    return {"mean": mean, "low": None if math.isnan(low) else low, "high": None if math.isnan(high) else high}
