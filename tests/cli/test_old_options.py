"""Options of version 0.1 still work for one release, and say what replaces them."""

import pytest

from subtrain.cli.shared.old_options import OLD, renewed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("select r --drop 9 --verify 5", "select r --drop 9 --verify --runs 5"),
        ("poison r --verify=3 --size 4", "poison r --verify --runs 3 --size 4"),
        ("compare a b --fit-a x --verify 2 --runs 5", "compare a b --fit x --verify --component 2 --runs 5"),
        ("embed r --remove 0", "embed r --verify --component 0"),
        ("explore r --export f.html --targets 30", "explore r --export f.html --most 30"),
        ("report r --target 3 --target 7", "report r --targets 3,7"),
    ],
)
def test_an_old_option_is_read_as_the_new_one_and_named(old, new):
    made, notes = renewed(old.split())
    assert made == new.split()
    assert notes
    assert all("is removed in the next release: write --" in note for note in notes)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--help",
        "select r --verify",
        "select r --verify --runs 5",
        "support r --verify --runs 5",
        "report r --targets 3",
    ],
)
def test_today_s_options_stay_as_they_are(line):
    assert renewed(line.split()) == (line.split(), [])


def test_today_s_command_lines_are_not_old_ones():
    for (verb, option), new in OLD.items():
        assert renewed([verb, "r", *new, "3"])[0] == [verb, "r", *new, "3"], option
