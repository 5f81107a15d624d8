"""A data set whose items are dicts, as those of Hugging Face are. Needs the extra: pip install "subtrain[torch]"

    python examples/dataset_of_dicts.py

`Digits` stands for datasets.load_dataset(...): anything with a length and items like {"image": …, "label": …}.
"""

import tempfile

import numpy as np
import torch
from sklearn.datasets import load_digits

import subtrain as st
from subtrain.tasks.torch import TorchRecipe


class Digits:
    def __init__(self, first, last):
        bunch = load_digits()
        self.images = (bunch.images[first:last] / 16).astype(np.float32)
        self.labels = bunch.target[first:last]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return {"image": self.images[i], "label": int(self.labels[i])}


def make_model():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))


task = st.tasks.torch_module(
    make_model,
    train=Digits(0, 200),
    test=Digits(200, 240),
    keys=("image", "label"),
    recipe=TorchRecipe(epochs=10, batch=20, lr=0.1),
    outputs=["test_margins", "test_logits"],
)

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        study = st.Study.create(folder, task, st.Design(alpha=0.5, models=80, heldout=10), segment=16)
        study.collect()
        print("accuracy", np.mean(study.read("test_margins") > 0))
        print("datamodels", st.fit(study, output="test_margins").weight.shape)
