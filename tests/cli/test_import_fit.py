"""A folder as published, from the command line: import, check, take the datamodels in, judge them."""

import json

import numpy as np
import pytest

from commands import ok, run

torch = pytest.importorskip("torch")


def folder(root):
    random = np.random.default_rng(0)
    masks = random.random((300, 20)) < 0.5
    logits = random.normal(0, 1, (300, 8, 3))
    labels = random.integers(0, 3, 8)
    weight = random.normal(0, 2, (20, 8))
    logits[:, np.arange(8), labels] += masks @ weight
    logits = logits.astype(np.float16)
    others = logits.astype(np.float64)
    correct = others[:, np.arange(8), labels].copy()
    others[:, np.arange(8), labels] = -np.inf
    (root / "data").mkdir(parents=True)
    np.save(root / "data/train_masks_50pct.npy", masks)
    np.save(root / "data/test_logits_50pct.npy", logits)
    np.save(root / "data/test_margins_50pct.npy", (correct - others.max(axis=-1)).astype(np.float16))
    np.save(root / "labels.npy", labels)
    mean = (correct - others.max(axis=-1)).mean(axis=0)
    arrays = {"weight": weight / 2, "bias": mean, "lam": np.zeros(8)}
    torch.save({k: torch.tensor(v, dtype=torch.float32) for k, v in arrays.items()}, root / "test_50pct.pt")


def test_from_a_folder_to_a_score(tmp_path):
    folder(tmp_path / "cifar")
    study = tmp_path / "study"
    said = ok("import", study, tmp_path / "cifar", "--heldout", 100, "--labels", tmp_path / "cifar/labels.npy")
    assert "the last 100 rows, as asked" in said
    assert "minus the largest other logit" in said
    assert "standardized masks" in ok("import-fit", study, tmp_path / "cifar/test_50pct.pt", "--output", "test_margins")
    found = json.loads(ok("evaluate", study, "--fit", "published", "--json"))
    assert found["lds"]["value"] > 0.9


def test_by_default_it_says_what_it_took_the_held_out_models_from(tmp_path):
    folder(tmp_path / "cifar")
    assert "the last tenth of the rows" in ok("import", tmp_path / "study", tmp_path / "cifar")
    wrong = run("import-fit", tmp_path / "study", tmp_path / "cifar/labels.npy")
    assert wrong.returncode == 2
    assert "neither a folder of datamodels nor a .pt file" in wrong.stderr
