"""Parts of other packages, found by their entry points, work from the command line to the explorer's page."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import worlds
from commands import ok
from subtrain import MeanDifference, Study, evaluate, load_fit, neighbors, retrain
from subtrain.collection.engines import ENGINES
from subtrain.designs import DESIGNS
from subtrain.errors import InputError
from subtrain.explorer.data.words import meaning
from subtrain.quantities import QUANTITIES, quantity_of
from subtrain.tasks import TASKS, Source, load_task
from subtrain.testing.engines import check_engine

SMALL = ("-p", "n=40", "-p", "targets=10", "-p", "epochs=1", "--models", "30", "--heldout", "6", "--replicates", "1")


QUANTITY = """
import numpy as np
from subtrain.designs import DESIGNS
from subtrain.errors import InputError
from subtrain.quantities import Quantity

def spread(logits, labels):
    logits = np.asarray(logits)
    return np.stack([logits.max(-1), logits.min(-1)], axis=-1)

SPREAD = Quantity("ends of the logits", "end", "how far apart the classes are", "lower", of=spread, tail=(2,))
"""


def test_a_quantity(other_package, tmp_path):
    other_package(QUANTITIES, "ends = spreads:SPREAD", QUANTITY)
    ok("create", "study", "--task", "digits", "-p", 'outputs=["test_ends"]', *SMALL, cwd=tmp_path)
    ok("collect", "study", "--workers", "1", cwd=tmp_path)
    study = Study.open(tmp_path / "study")
    assert study.outputs["test_ends"].shape == (10, 2)
    assert study.outputs["test_ends"].meaning == "ends"
    assert (np.diff(study.read("test_ends"), axis=-1) < 0).all()
    ok("fit", "study", "--output", "test_ends", cwd=tmp_path)
    dm = load_fit(study)
    assert dm.targets == 20
    assert np.isfinite(evaluate(dm, study).lds.value)
    assert neighbors(dm, study, targets=[3]).sides == ("helpful", "harmful")
    ok("explore", "study", "--export", "page.html", cwd=tmp_path)
    assert "ends of the logits" in (tmp_path / "page.html").read_text()
    assert study.outputs["test_ends"].better == "lower"
    words = meaning(quantity_of("test_ends", "lower"), "test_ends", "ends")
    assert (words["output"], words["helpful"]) == ("ends of the logits", "Most helpful (lower the end)")


DESIGN = """
from dataclasses import dataclass, replace
import numpy as np
from subtrain.designs.defaults import DesignDefaults
from subtrain.designs.model_rows import Block, row_numbers
from subtrain.masks import pack

@dataclass(frozen=True)
class LeaveOneOut(DesignDefaults):
    n: int
    runs: int = 1
    more: int = 0
    kind: str = "leave one out"
    groups = None
    alpha = 0.9

    @property
    def replicates(self):
        return self.runs + self.more

    @property
    def rows(self):
        return self.n * self.replicates

    @property
    def blocks(self):
        sizes = [runs for runs in (self.runs, self.more) if runs]
        return tuple(Block("fit", self.n, runs, self.n * sum(sizes[:k])) for k, runs in enumerate(sizes))

    def role_rows(self, role):
        return np.arange(self.rows if role == "fit" else 0)

    def subsets(self, rows=None):
        return row_numbers(rows, self.rows) % self.n

    def masks(self, rows=None):
        return pack(np.arange(self.n) != self.subsets(rows)[:, None])

    def alphas(self, rows=None):
        return np.full(row_numbers(rows, self.rows).size, 1 - 1 / self.n)

    def seeds(self, rows=None):
        return row_numbers(rows, self.rows).astype(np.uint32)

    def extend(self, models=0, heldout=0, replicates=None):
        return replace(self, more=self.more + replicates)

    def to_json(self):
        return {"kind": self.kind, "n": self.n, "runs": self.runs}

    @classmethod
    def from_manifest(cls, manifest, store):
        return cls(manifest["design"]["n"], manifest["design"]["runs"])
"""


def test_a_kind_of_design(other_package, tmp_path):
    other_package(DESIGNS, "leave one out = leave_one_out:LeaveOneOut", DESIGN)
    toy = importlib.import_module("leave_one_out").LeaveOneOut(12, runs=2)
    study = Study.create(tmp_path / "study", f"{worlds.__file__}:linear", toy, params={"n": 12})
    ok("collect", "study", "--workers", "1", cwd=tmp_path)
    assert Study.open(study.path, design=toy).design == toy
    assert study.extend(replicates=1).models == 36
    assert "24 of 36" in ok("status", "study", cwd=tmp_path)
    ok("collect", "study", "--workers", "1", cwd=tmp_path)
    assert retrain(study, ~np.eye(12, dtype=bool)[:1], progress=False).outputs().shape == (1, 1, 3)
    dm = study.again().fit("test_margins", MeanDifference())
    true = worlds.weights(12, 3)[0]
    np.testing.assert_allclose(dm.weight, true - (true.sum(axis=0) - true) / 11, atol=1e-4)


TASK = """
import numpy as np
import subtrain as st

@st.task_factory
def made(n: int = 12):
    \"\"\"Counts how many examples of its subset are even.\"\"\"
    def train(indices, seed):
        noise = np.random.default_rng(seed).normal(scale=0.5, size=2)
        return {"test_margins": (indices % 2 == 0).sum() + noise}
    return st.tasks.function(train, n, {"test_margins": st.Output((2,), "float32")})
"""


def test_a_task(other_package, tmp_path):
    other_package(TASKS, "even = evens:made", TASK)
    ok("create", "study", "--task", "even", "-p", "n=20", "--models", "60", "--heldout", "6", cwd=tmp_path)
    ok("collect", "study", "--workers", "1", cwd=tmp_path)
    study = Study.open(tmp_path / "study")
    assert study.source == Source("evens:made", {"n": 20}), "the study finds it without the entry point"
    dm = study.fit("test_margins")
    assert dm.weight[::2].mean() > 0.1 > dm.weight[1::2].mean()
    assert load_task("even")[0].n == 12
    with pytest.raises(InputError, match=r"is named module:name, file.py:name or .*, even; got 'evne'"):
        load_task("evne")


def test_a_task_that_cannot_be_loaded_is_one_sentence(other_package):
    other_package(TASKS, "broken = hollow:made", "")
    with pytest.raises(InputError, match="hollow has nothing named 'made'"):
        load_task("broken")


ENGINE = '''
from pathlib import Path
from subtrain.collection.retries import Ledger
from subtrain.collection.workers.train_segment import ModelsFailedError, train_segment

class Toy:
    """Trains in this process, segment after segment, and signs for it.

    Args:
        signature: Who signs.
    """

    in_process = True

    def __init__(self, study, segments, tally, *, signature: str = "nobody"):
        self.study, self.segments, self.tally, self.signature = study, segments, tally, signature
        tally.workers, tally.slots = 1, f"{signature} at work"

    def run(self, tick):
        ledger = Ledger(self.study, self.segments, self.tally)
        while ledger.waiting and not ledger.hopeless:
            span = next(iter(ledger.waiting))
            try:
                train_segment(self.study, span, lambda models: tick())
            except ModelsFailedError as error:
                ledger.failed(span, "; ".join(error.failed.values()))
            ledger.look()
            tick()
        Path("signed").write_text(self.signature)
        return ledger.over()
'''


def test_an_engine(other_package, make_study, tmp_path, monkeypatch):
    other_package(ENGINES, "toy = toy_engine:Toy", ENGINE)
    monkeypatch.chdir(tmp_path)
    check_engine("toy", tmp_path / "checks")
    study = make_study(done=False)
    done = study.collect(engine="toy", signature="me", progress=False)
    assert (done.done, done.trained, done.slots) == (study.models, study.models, "me at work")
    kept = retrain(study, np.ones((1, study.n), dtype=bool), engine="toy", signature="again", progress=False)
    assert kept.outputs("test_margins").shape[:2] == (1, 1)
    assert (tmp_path / "signed").read_text() == "again"
    with pytest.raises(InputError, match="did you mean 'signature'"):
        study.collect(engine="toy", sign="me")
    ok("create", "other", "--task", "digits", *SMALL, cwd=tmp_path)
    assert "Who signs." in ok("collect", "--help", cwd=tmp_path)
    ok("collect", "other", "--engine", "toy", "--signature", "the command line", cwd=tmp_path)
    assert (tmp_path / "signed").read_text() == "the command line"
    assert Study.open(tmp_path / "other").models_done() == 36
