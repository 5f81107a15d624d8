"""A linear head on features that stay as they are: every model in closed form, thousands a minute.

    python examples/frozen_features.py

The features here are 128 random rectified ones of handwritten digits, made once. Yours may be the last layer of any
network, saved as an array [n, D]; a memory-mapped file of half floats will do.
"""

import tempfile

import numpy as np
from sklearn.datasets import load_digits

import subtrain as st

images, labels = load_digits(return_X_y=True)
layer = np.random.RandomState(0).standard_normal((64, 128)) / 8
features = np.maximum(images / 16 @ layer, 0).astype(np.float32)
train, test = slice(0, 200), slice(200, 250)
task = st.tasks.ridge_head(
    features[train], labels[train], features[test], labels[test], lam=1.0, outputs=["test_margins"]
)

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        study = st.Study.create(folder, task, st.Design(alpha=0.5, models=1000, heldout=50, replicates=2))
        study.collect()
        found = st.evaluate(st.fit(study), study)
        print(f"LDS {found.lds.value:.3f} of at most {found.lds_ceiling:.3f}")
