"""Which source classes help a downstream task? Class-level transfer influence (Jain et al. 2022), in the small.

Source: scanned digits 0 to 4, upright and turned by 90, 180 and 270 degrees: 20 source classes, the units. A model
learns a representation of the source classes in its subset, their first principal components, and then a linear head on
a hundred upright digits 5 to 9. Its outputs are margins on 300 more of those.

python examples/class_transfer.py
"""

import tempfile

import numpy as np
from sklearn.datasets import load_digits

import subtrain as st

TURNS = ("upright", "turned left", "upside down", "turned right")
COMPONENTS = 8

pixels, labels = load_digits(return_X_y=True)
pixels = pixels / 16
low = np.flatnonzero(labels < 5)[:300]
square = pixels[low].reshape(-1, 8, 8)
source = np.concatenate([np.rot90(square, turn, axes=(1, 2)).reshape(len(low), -1) for turn in range(4)])
source_class = np.concatenate([4 * labels[low] + turn for turn in range(4)])
high = np.flatnonzero(labels >= 5)
head, test = high[:100], high[100:400]


def train(indices, seed):
    kept = source[indices]
    directions = np.linalg.eigh(np.cov(kept.T))[1][:, -COMPONENTS:]
    features = (pixels - kept.mean(axis=0)) @ directions
    inputs = np.column_stack([features / features[head].std(axis=0), np.ones(len(pixels))])
    known, wanted = inputs[head], np.eye(5)[labels[head] - 5]
    weights = np.linalg.solve(known.T @ known + np.eye(COMPONENTS + 1), known.T @ wanted)
    return {"test_margins": st.margins(inputs[test] @ weights, labels[test] - 5)}


names = [f"{unit // 4} {TURNS[unit % 4]}" for unit in source_class]
task = st.tasks.function(
    train,
    n=len(source),
    outputs={"test_margins": st.Output((300,), "float32")},
    data=[pixels, source, source_class],
    view=st.tasks.View(labels={"train": names}),
)

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        design = st.Design(models=600, heldout=60, replicates=1, groups=tuple(source_class.tolist()))
        study = st.Study.create(folder, task, design)
        study.collect()
        dm = st.fit(study)
        score = st.evaluate(dm, study).lds.value
        print(f"datamodels over {dm.n} source classes predict margins with an LDS of {score:.2f}")
        values = st.banzhaf(study).value.reshape(5, 4).mean(axis=0)
        for turn, value in zip(TURNS, values, strict=True):
            print(f"a class of digits {turn} changes accuracy by {100 * value:+.1f} points, on average over the five")
        chosen = st.select(dm, study, keep=15)
        found = chosen.verify(runs=1, randoms=20)
        for arm in found.arms:
            print(f"{arm}: {found.sizes[arm]} source classes, accuracy {found.mean(arm, 'others').value:.2f}")
