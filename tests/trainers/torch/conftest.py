"""What tests of the PyTorch trainer share."""

import pytest


@pytest.fixture(autouse=True)
def as_a_worker(one_torch_thread):
    """One thread."""
