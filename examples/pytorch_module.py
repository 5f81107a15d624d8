"""A PyTorch module and its data set. Needs the extra: pip install "subtrain[torch]"

python examples/pytorch_module.py
"""

import tempfile

import torch
from sklearn.datasets import load_digits

import subtrain as st
from subtrain.tasks.torch import TorchRecipe

images, labels = load_digits(return_X_y=True)
images = torch.tensor(images / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
labels = torch.tensor(labels)


def make_model():
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Linear(72, 10)
    )


task = st.tasks.torch_module(
    make_model,
    train=(images[:200], labels[:200]),
    test=torch.utils.data.TensorDataset(images[200:230], labels[200:230]),
    recipe=TorchRecipe(epochs=10, batch=20, lr=0.1),
    outputs=["test_margins", "test_correctness"],
)

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        study = st.Study.create(folder, task, st.Design(alpha=0.5, models=60, heldout=10), segment=8)
        study.collect()
        print("accuracy", study.read("test_correctness").mean(dtype=float))
        print("datamodels", st.fit(study, output="test_margins").weight.shape)
