"""Any training code: a function that gets the indices to train on and a seed, and returns arrays.

    python examples/plain_function.py

Here the learning algorithm is nearest neighbors in plain numpy, on scikit-learn's wine data.
"""

import tempfile

import numpy as np
from sklearn.datasets import load_wine

import subtrain as st

x, y = load_wine(return_X_y=True)
x = (x - x.mean(axis=0)) / x.std(axis=0)
order = np.random.RandomState(0).permutation(len(x))
train, test = order[:120], order[120:]


def nearest(indices, seed):
    """How much closer is the nearest example of the right class than the nearest of any other?"""
    mine = train[indices]
    distances = np.linalg.norm(x[test][:, None] - x[mine][None], axis=2)
    same = y[test][:, None] == y[mine][None]
    right = np.where(same, distances, 99).min(axis=1)
    wrong = np.where(same, 99, distances).min(axis=1)
    return {"test_margins": wrong - right}


task = st.tasks.function(nearest, n=len(train), outputs={"test_margins": [len(test)]}, data=[x, y])

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        study = st.Study.create(folder, task, st.Design(alpha=0.5, models=600, heldout=60, replicates=1))
        study.collect()
        dm = st.fit(study, output="test_margins")
        print("LDS", st.evaluate(dm, study).lds)
        for unit, weight in dm.top(target=7, k=2):
            print(f"training on wine {unit} raises the margin of target 7 by {weight:.3f}")
