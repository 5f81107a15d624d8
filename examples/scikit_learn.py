"""A scikit-learn classifier with its data.

    python examples/scikit_learn.py

The same from the command line, without a line of Python:

    subtrain create runs/cancer --task tabular --param data=breast_cancer --models 300
    subtrain collect runs/cancer && subtrain fit runs/cancer && subtrain evaluate runs/cancer
"""

import tempfile

from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import subtrain as st

x, y = load_breast_cancer(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(x, y, train_size=200, test_size=50, random_state=0, stratify=y)
task = st.tasks.sklearn(
    make_pipeline(StandardScaler(), LogisticRegression()), x_train, y_train, x_test, y_test, outputs=["test_margins"]
)

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        study = st.Study.create(folder, task, st.Design(alpha=0.5, models=300, heldout=30, replicates=1))
        study.collect()
        dm = st.fit(study, output="test_margins")
        print("LDS", st.evaluate(dm, study).lds)
        change = dm.effect_of_removing([3, 5, 8])[0]
        print(f"without training examples 3, 5 and 8, the margin of target 0 would change by {change:.3f}")
