"""Real handwritten digits and a model that trains in a millisecond: enough to see every view of the explorer."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

import subtrain as st

TRAIN, TEST = 120, 40
DIGITS = load_digits()
IMAGES = DIGITS.images[: TRAIN + TEST].astype(np.uint8) * 15
# The first target is also the first training image: a leak to be found.
IMAGES[TRAIN] = IMAGES[0]
LABELS = DIGITS.target[: TRAIN + TEST].copy()
LABELS[TRAIN] = LABELS[0]
SEEN = (255 - IMAGES[:TRAIN], 255 - IMAGES[TRAIN:])
X = IMAGES.reshape(len(IMAGES), -1) / 255.0


def train(indices: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Ridge regression onto classes, with a little noise on the inputs that only the seed decides."""
    random = np.random.default_rng(seed)
    x = X[indices] + 0.05 * random.normal(size=(len(indices), X.shape[1]))
    onto = np.eye(10)[LABELS[indices]]
    weight = np.linalg.solve(x.T @ x + 2.0 * np.eye(x.shape[1]), x.T @ onto)
    return {"test_margins": st.margins(X[TRAIN:] @ weight, LABELS[TRAIN:])}


task = st.tasks.function(
    train,
    n=TRAIN,
    outputs={"test_margins": st.Output((TEST,), "float32")},
    data=[X, LABELS],
    view=st.tasks.View(
        images=dict(zip(("train", "test"), SEEN, strict=True)),
        labels={"train": LABELS[:TRAIN].astype(str).tolist(), "test": LABELS[TRAIN:].astype(str).tolist()},
    ),
)
