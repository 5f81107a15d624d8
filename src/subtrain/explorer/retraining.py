"""Retraining without some units while somebody watches: in a process of its own, so that it can be stopped."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.errors import InputError
from subtrain.explorer.leaks import REVIEWS
from subtrain.store.base import put_json, read_json
from subtrain.store.study import Study

WAITING = 8
RUNS = 100


@dataclass(frozen=True)
class Order:
    """What to retrain: the study, without which units, how often, and the target and output that are asked about."""

    study: Study = field(repr=False)
    output: str
    target: int
    removed: tuple[int, ...]
    runs: int
    predicted: Mapping[str, float]

    @property
    def label(self) -> str:
        """Of the folder of the retrained models, which serve every target."""
        return f"without-{_digest(self.removed)}"

    @property
    def id(self) -> str:
        return _digest([self.output, self.target, list(self.removed), self.runs])


@dataclass(eq=False)
class Verification:
    """state: queued, running, done, failed or cancelled; values: outputs of the retrained models by kind."""

    order: Order
    state: str = "queued"
    why: str = ""
    values: Mapping[str, list[float]] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def total(self) -> int:
        return 2 * self.order.runs

    def done(self) -> int:
        """Models that are trained."""
        if self.state == "done":
            return self.total
        with suppress(Exception):
            return min(self.total, _retrained(self.order).models_done())
        return 0


@dataclass(eq=False)
class Desk:
    """Takes orders and has them done one after another. What is finished is kept in the study, below `reviews/`."""

    _held: dict[str, Verification] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def take(self, order: Order) -> Verification:
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
            with self._lock:
                if one.state == "cancelled":
                    return
                one.state = "running"
                one.process = _start(one.order)
            _, said = one.process.communicate(json.dumps(_job(one.order)).encode())
            with self._lock:
                if one.state == "cancelled":
                    return
            try:
                if one.process.returncode:
                    lines = said.decode(errors="replace").strip().splitlines() or ["the process ended without a word"]
                    raise InputError(lines[-1])
                one.values = _values(one.order)
                keep(one)
                one.state = "done"
            except Exception as error:  # the page must say that it failed, whatever it was
                one.why, one.state = str(error), "failed"


def summary(values: list[float]) -> dict[str, Any]:
    """Mean of some runs with the 95 % interval of Student's t; low and high null for fewer than two runs."""
    from scipy.stats import t

    x = np.asarray(values, np.float64)
    mean = float(x.mean())
    half = float(t.ppf(0.975, x.size - 1) * x.std(ddof=1) / math.sqrt(x.size)) if x.size > 1 else None
    low, high = (None, None) if half is None else (mean - half, mean + half)
    return {"mean": mean, "low": low, "high": high, "runs": int(x.size), "values": x.tolist()}


def keep(one: Verification) -> None:
    """Write a finished verification into the study."""
    order = one.order
    data = {
        "output": order.output,
        "target": order.target,
        "removed": list(order.removed),
        "runs": order.runs,
        "predicted": dict(order.predicted),
        "observed": {kind: list(values) for kind, values in one.values.items()},
    }
    put_json(order.study.store, f"{REVIEWS}/verified/{order.id}.json", data)


def kept(study: Study, target: int | None = None) -> list[dict[str, Any]]:
    """Finished verifications of a target, or all, as they were written."""
    found = []
    for name in study.store.names(f"{REVIEWS}/verified"):
        with suppress(Exception):  # a file that another program spoiled is no reason to show none
            data = read_json(study.store, name)
            if target is None or data["target"] == target:
                found.append({"job": name.rpartition("/")[2].removesuffix(".json"), **data})
    return found


def _job(order: Order) -> dict[str, Any]:
    return {
        "study": order.study.store.address,
        "removed": list(order.removed),
        "runs": order.runs,
        "name": order.label,
    }


def _start(order: Order) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "subtrain.explorer.retraining"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=subprocess.DEVNULL, stderr=pipe)


def _values(order: Order) -> dict[str, list[float]]:
    found = _retrained(order)
    rows: NDArray[Any] = found.read(order.output, range(2 * order.runs)).reshape(2 * order.runs, -1)[:, order.target]
    return {"full": rows[0::2].astype(float).tolist(), "removed": rows[1::2].astype(float).tolist()}


def _retrained(order: Order) -> Study:
    return Study.open(f"{order.study.store.address.rstrip('/')}/retrained/{order.label}")


def _digest(what: Any) -> str:
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:12]


def main() -> None:
    """Retrain what the order on standard input says; on failure the last line on standard error says why."""
    from subtrain.uses.retrain import retrain

    order = json.load(sys.stdin)
    study = Study.open(order["study"])
    masks = np.ones((2, study.n), bool)
    masks[1, order["removed"]] = False
    try:
        retrain(study, masks, order["runs"], name=order["name"], progress=False)
    except Exception as error:
        print(f"{error}".replace("\n", " "), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
