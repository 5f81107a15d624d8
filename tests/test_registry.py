"""Registries: ours by table, others' by entry points of installed packages."""

import sys

import pytest

from subtrain.errors import InputError
from subtrain.system.registry import Registry

OURS = {"root": "math:sqrt", "path": "os:path.join"}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """installed("name = module:attribute"): another package with this entry point in the group "subtrain.toys"."""

    def install(*points: str) -> None:
        about = tmp_path / "other-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text("[subtrain.toys]\n" + "\n".join(points) + "\n")
        monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])

    return install


def test_a_part_of_ours_is_found_by_name():
    toys = Registry("toy", "subtrain.toys", OURS)
    assert list(toys) == ["root", "path"]
    assert toys["root"](9) == 3
    assert toys["path"]("a", "b") == "a/b"


def test_another_package_adds_a_part_and_takes_none_of_ours(installed):
    installed("square = math:isqrt", "root = math:cbrt")
    toys = Registry("toy", "subtrain.toys", OURS)
    assert list(toys) == ["root", "path", "square"]
    assert toys["square"](10) == 3
    assert toys["root"](9) == 3


def test_what_cannot_be_loaded_is_one_sentence(installed):
    installed("broken = not_there:thing", "hollow = math:thing")
    toys = Registry("toy", "subtrain.toys", OURS)
    with pytest.raises(
        InputError, match="the toy 'broken' of another package cannot be loaded from not_there:thing: No module named"
    ):
        toys["broken"]
    with pytest.raises(InputError, match="the toy 'hollow' of another package cannot be loaded"):
        toys["hollow"]
    with pytest.raises(
        InputError, match=r"unknown toy 'rot' \(did you mean 'root'\?\); choose from root, path, broken"
    ):
        toys["rot"]
