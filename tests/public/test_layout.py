import numpy as np
import pytest

import subtrain as st
from subtrain.errors import CorruptError, InputError
from subtrain.quantities import MARGINS


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
    return labels


def imported(tmp_path, labels):
    """The study of that folder, whose margins are compared with its logits."""
    return st.Study.from_folder(tmp_path / "study", tmp_path / "cifar", labels=labels)


@pytest.mark.parametrize("kind", ["max", "logsumexp"])
def test_margins_of_a_folder_follow_from_its_logits(tmp_path, kind):
    labels = folder(tmp_path, kind)
    assert any(MARGINS[kind] in note for note in imported(tmp_path, labels).manifest["notes"])


def test_a_margin_that_does_not_follow_is_named(tmp_path):
    labels = folder(tmp_path, spoil=(7, 3))
    with pytest.raises(CorruptError, match="model 7, target 3 has margin"):
        imported(tmp_path, labels)


def test_wrong_labels_do_not_pass(tmp_path):
    labels = folder(tmp_path)
    with pytest.raises(CorruptError, match="does not follow"):
        imported(tmp_path, (labels + 1) % 4)
    with pytest.raises(InputError, match="one a target"):
        imported(tmp_path, labels[:-1])


def test_both_outputs_must_be_there(tmp_path):
    labels = folder(tmp_path, logits=False)
    with pytest.raises(InputError, match="there are no test_logits"):
        imported(tmp_path, labels)


def arrays(spoil=None, inf=None):
    random = np.random.default_rng(1)
    z, labels = random.normal(0, 5, (70, 6, 4)).astype(np.float16), random.integers(0, 4, 6)
    given = st.margins(z.astype(np.float64), labels).astype(np.float16)
    if spoil is not None:
        given[spoil] += 5
    if inf is not None:
        z[inf] = np.inf
    return random.random((70, 12)) < 0.5, {"test_margins": given, "test_logits": z}, labels


def test_one_infinity_does_not_hide_the_other_models(tmp_path):
    masks, outputs, labels = arrays(spoil=slice(1, None), inf=(0, 0, 0))
    with pytest.raises(CorruptError, match=r"model 1, target 0 .*414 numbers of 70 models differ"):
        st.Study.from_arrays(tmp_path / "study", masks, outputs, labels=labels)
    assert not (tmp_path / "study").exists(), "nothing is written before the comparison"


def test_what_was_compared_is_counted(tmp_path, monkeypatch):
    masks, outputs, labels = arrays(inf=(3, 2, 1))
    [said] = st.Study.from_arrays(tmp_path / "all", masks, outputs, labels=labels).manifest["notes"]
    assert "all 70 models follow" in said
    assert "1 numbers were not compared" in said
    monkeypatch.setattr("subtrain.studies.imports.consistency._WHOLE", 100)
    [said] = st.Study.from_arrays(tmp_path / "some", masks, outputs, labels=labels).manifest["notes"]
    assert "the 64 of 70 models that were looked at" in said


def test_a_margin_that_is_not_a_number_does_not_pass(tmp_path):
    masks, outputs, labels = arrays()
    outputs["test_margins"][69, 5] = np.nan
    with pytest.raises(CorruptError, match="model 69, target 5 has margin nan"):
        st.Study.from_arrays(tmp_path / "study", masks, outputs, labels=labels)
