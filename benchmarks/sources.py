"""What are sources of data worth? Twenty-six blocks of consecutive digits as units, their data Shapley values, and the
check by retraining: values must sum to the accuracy of everything, and sources must help in their order.

python benchmarks/sources.py [FOLDER] [--quick]
"""

import sys
import tempfile

import numpy as np
from sklearn.datasets import load_digits

import subtrain as st

pixels, labels = load_digits(return_X_y=True)
pixels = (pixels / 16).astype(np.float32)
# The file keeps the order in which forms were scanned, so neighbors were often written by the same hand.
sources = np.arange(1300) // 50
test = np.arange(1300, len(labels))


def train(indices, seed):
    """Ridge regression on one-hot labels; no data at all is always wrong."""
    if indices.size == 0:
        return {"test_margins": np.full(test.size, -1.0)}
    x, y = pixels[indices], np.eye(10)[labels[indices]]
    centered, wanted = x - x.mean(axis=0), y - y.mean(axis=0)
    weights = np.linalg.solve(centered.T @ centered + 5 * np.eye(64), centered.T @ wanted)
    return {"test_margins": st.margins((pixels[test] - x.mean(axis=0)) @ weights + y.mean(axis=0), labels[test])}


task = st.tasks.function(train, n=1300, outputs={"test_margins": [test.size]}, data=[pixels, labels])


def main(folder: str, models: int) -> None:
    design = st.Design.for_shapley(5, models=models, heldout=0, groups=tuple(sources.tolist()))
    study = st.Study.create(f"{folder}/sources", task, design, exist_ok=True)
    study.collect(progress=False)
    values = st.shapley(study)
    print(values)
    everything = st.retrain(study, np.ones((1, study.n), bool), progress=False)
    accuracy = float((everything.outputs() > 0).mean())
    print(f"values sum to {values.value.sum():.3f} +- {np.sqrt(np.sum(values.error**2)):.3f}; accuracy {accuracy:.3f}")
    best_first = values.table()["unit"]
    for name, units in (("most", best_first[:3]), ("least", best_first[-3:])):
        found = st.compare_training_sets(study, without=units, runs=1, randoms=20, progress=False)
        print(f"without the three {name} valuable: {found}")
    values.figure().savefig(f"{folder}/sources.png", dpi=110)


if __name__ == "__main__":
    given = [argument for argument in sys.argv[1:] if argument != "--quick"]
    with tempfile.TemporaryDirectory() as scratch:
        main(given[0] if given else scratch, 300 if "--quick" in sys.argv else 5000)
