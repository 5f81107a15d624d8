"""Units that are groups of examples: here the ten classes of digits, so that a datamodel says which class helps which.

python examples/groups_as_units.py
"""

import tempfile

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import subtrain as st

images, labels = load_digits(return_X_y=True)
images = images / 16
task = st.tasks.sklearn(LogisticRegression(C=0.1), images[:500], labels[:500], images[500:560], labels[500:560])

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        design = st.Design(alpha=0.5, models=150, heldout=20, replicates=1, groups=tuple(labels[:500].tolist()))
        study = st.Study.create(folder, task, design)
        study.collect()
        dm = st.fit(study, output="test_margins")
        for target in range(3):
            own = int(labels[500 + target])
            print(f"target {target} is a {own}; the class that helps it most is {dm.top(target, k=1)[0].unit}")
        share = np.mean(dm.weight.argmax(axis=0) == labels[500:560])
        print(f"their own class is the most helpful for {share:.2f} of the targets")
