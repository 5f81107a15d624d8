import numpy as np
import pytest

import subtrain as st
from subtrain.errors import CorruptError, InputError
from subtrain.public.layout import check_margins


def folder(tmp_path, kind="max", spoil=None, logits=True):
    """A folder of the published layout: 40 models, 12 units, 6 targets of 4 classes."""
    random = np.random.default_rng(1)
    data = tmp_path / "cifar" / "data"
    data.mkdir(parents=True)
    z = random.normal(0, 5, (40, 6, 4)).astype(np.float16)
    labels = random.integers(0, 4, 6)
    given = st.margins(z.astype(np.float64), labels, kind).astype(np.float16)
    if spoil is not None:
        given[spoil] += 0.25
    np.save(data / "train_masks_50pct.npy", random.random((40, 12)) < 0.5)
    np.save(data / "test_margins_50pct.npy", given)
    if logits:
        np.save(data / "test_logits_50pct.npy", z)
    return st.import_folder(tmp_path / "study", tmp_path / "cifar"), labels


@pytest.mark.parametrize("kind", ["max", "logsumexp"])
def test_margins_of_a_folder_follow_from_its_logits(tmp_path, kind):
    study, labels = folder(tmp_path, kind)
    assert check_margins(study, labels) == kind


def test_a_margin_that_does_not_follow_is_named(tmp_path):
    study, labels = folder(tmp_path, spoil=(7, 3))
    with pytest.raises(CorruptError, match="model 7, target 3 has margin"):
        check_margins(study, labels)


def test_wrong_labels_do_not_pass(tmp_path):
    study, labels = folder(tmp_path)
    with pytest.raises(CorruptError, match="does not follow"):
        check_margins(study, (labels + 1) % 4)
    with pytest.raises(InputError, match="one a target"):
        check_margins(study, labels[:-1])


def test_both_outputs_must_be_there(tmp_path):
    study, labels = folder(tmp_path, logits=False)
    with pytest.raises(InputError, match="has no test_logits"):
        check_margins(study, labels)
