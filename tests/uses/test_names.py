"""What units are called in tables."""

import pytest

from subtrain.errors import InputError
from subtrain.tasks import digits
from subtrain.uses.kit.unit_names import example_labels, own_unit, target_labels, unit_columns


@pytest.fixture
def task():
    return digits(n=60, targets=6, widths=())


def test_examples_have_a_number_and_their_label(make_study, task):
    study = make_study(False, task=task)
    columns = unit_columns(study)
    assert list(columns) == ["unit", "label"]
    assert columns["label"].tolist() == task.view.labels["train"]
    assert target_labels(study, "test_margins").tolist() == task.view.labels["test"]
    assert own_unit(study, "train_margins").tolist() == list(range(60))


def test_groups_have_the_label_that_all_their_examples_share_and_a_size(make_study, task):
    labels = task.view.labels["train"]
    # All zeros are in group 0, everything else in groups of mixed labels.
    groups = [0 if label == "0" else 1 + i % 8 for i, label in enumerate(labels)]
    study = make_study(False, task=task, groups=tuple(groups))
    columns = unit_columns(study)
    assert columns["label"][:1].tolist() == ["0"]
    assert columns["examples"].tolist() == [groups.count(unit) for unit in range(9)]
    assert example_labels(study, 60).tolist() == labels
    assert own_unit(study, "train_margins").tolist() == groups
    with pytest.raises(InputError, match="not one number a training example"):
        own_unit(study, "test_margins")


def test_a_task_that_cannot_be_made_again_leaves_numbers(make_study):
    from subtrain import Study

    study = make_study(False)
    again = Study.open(study.path)
    assert list(unit_columns(again)) == ["unit"]
    assert target_labels(again, "test_margins") is None
