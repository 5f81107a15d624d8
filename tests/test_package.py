"""The package as a whole: light to import, a flat surface, rooms that import one way only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import subtrain

SOURCE = Path(subtrain.__file__).parent
ORDER = [
    "wording",
    "errors",
    "paths",
    "cgroups",
    "machine",
    "terminal",
    "drawing",
    "kernel",
    "notebook",
    "masks",
    "samplers",
    "design",
    "arrays",
    "quantities",
    "outputs",
    "datasets",
    "trainers",
    "tasks",
    "store",
    "datamodels",
    "collection",
    "regression",
    "fits",
    "heldout",
    "evaluation",
    "curve",
    "uses",
    "public",
    "explorer",
    "examine",
    "demo",
    "cli",
]


def test_import_pulls_in_nothing_heavy():
    code = (
        "import sys, subtrain\n"
        "heavy = {'numpy', 'numba', 'scipy', 'sklearn', 'torch', 'matplotlib', 'typer', 'pandas'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"


def test_every_public_name_can_be_imported():
    for name in subtrain.__all__:
        assert getattr(subtrain, name) is not None
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = subtrain.nothing_like_it


def imported_rooms(path: Path) -> set[str]:
    """Rooms of subtrain that a file imports anywhere, type-checking-only imports aside."""
    tree = ast.parse(path.read_text())
    hidden = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for node in ast.walk(branch)
    }
    rooms = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("subtrain") and id(node) not in hidden:
            rest = (node.module or "").split(".")[1:]
            rooms |= {rest[0]} if rest else {alias.name for alias in node.names}
    return rooms


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_rooms_import_only_from_rooms_before_them(path):
    room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if room not in ORDER:
        return
    allowed = {*ORDER[: ORDER.index(room) + 1], "_version"}
    if path.relative_to(SOURCE).as_posix() == "studies/stored_study.py":
        allowed.add("collection")  # Study.collect() is a convenience that hands over to the room below
    assert imported_rooms(path) <= allowed


def test_no_module_shadows_a_public_function():
    code = (
        "import pkgutil, importlib, types, subtrain\n"
        "for m in pkgutil.walk_packages(subtrain.__path__, 'subtrain.'):\n"
        "    if not m.name.endswith('__main__'): importlib.import_module(m.name)\n"
        "rooms = ('public', 'tasks')\n"
        "modules = [n for n in subtrain.__all__ if isinstance(getattr(subtrain, n), types.ModuleType)]\n"
        "print([n for n in modules if n not in rooms])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"
