"""A learning algorithm that trains many models in one call: the fastest form.

    python examples/many_at_once.py

Ridge regression on one-hot labels: the Gram matrix of every subset is one matrix product, all solved together.
"""

import tempfile

import numpy as np
from sklearn.datasets import load_digits

import subtrain as st

images, labels = load_digits(return_X_y=True)
x = np.hstack([images / 16, np.ones((len(images), 1))])
onehot = np.eye(10)[labels]
n, targets = 400, slice(400, 500)
products = (x[:n, :, None] * x[:n, None, :]).reshape(n, -1)
moments = (x[:n, :, None] * onehot[:n, None, :]).reshape(n, -1)


def ridge(masks, seeds):
    """masks bool [k, n] -> margins [k, targets]; models must not depend on their neighbors in the call."""
    logits = []
    for mask in masks:
        gram = products[mask].sum(axis=0).reshape(65, 65) + np.eye(65)
        logits.append(x[targets] @ np.linalg.solve(gram, moments[mask].sum(axis=0).reshape(65, 10)))
    return {"test_margins": st.margins(np.stack(logits), labels[targets])}


task = st.tasks.batch(ridge, n=n, outputs={"test_margins": [100]}, size=32, data=[x, labels])

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        study = st.Study.create(folder, task, st.Design(alpha=0.5, models=1000, heldout=50, replicates=1))
        print("trained", study.collect().trained)
        dm = st.fit(study, output="test_margins")
        print("LDS", st.evaluate(dm, study).lds)
