"""An external command that trains one model, in any language: here a script in Perl.

    python examples/external_command.py

It finds the training examples to use in indices.npy of the folder it is given, and leaves test_margins.npy there. The
same from the command line, without a line of Python:

    subtrain create runs/wine --task command --param 'command=["perl", "nearest_mean.pl", "wine.csv", "{job}"]' \
        --param n=119 --param 'outputs={"test_margins": {"shape": [59], "dtype": "float32"}}'
"""

import tempfile
from pathlib import Path

import sklearn.datasets

import subtrain as st

script = Path(__file__).parent / "nearest_mean.pl"
wine = Path(sklearn.datasets.__file__).parent / "data" / "wine_data.csv"
task = st.tasks.command(
    ["perl", str(script), str(wine), "{job}"],
    n=119,
    outputs={"test_margins": st.Output((59,), "float32")},
    timeout=60,
)

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        study = st.Study.create(folder, task, st.Design(alpha=0.5, models=300, heldout=40, replicates=1), segment=32)
        study.collect()
        dm = st.fit(study, output="test_margins")
        print("LDS", st.evaluate(dm, study).lds)
        print("wine 7 of the test set is best learned from wine", dm.top(target=7, k=1)[0].unit)
