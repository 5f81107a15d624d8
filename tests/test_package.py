"""The package as a whole: light to import, a flat surface, rooms that import one way only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import subtrain

SOURCE = Path(subtrain.__file__).parent
ORDER = [
    "formatting",
    "errors",
    "system",
    "masks",
    "arrays",
    "quantities",
    "outputs",
    "fingerprint",
    "store",
    "designs",
    "levels",
    "datasets",
    "trainers",
    "influence",
    "tasks",
    "studies",
    "guesses",
    "collection",
    "guess_models",
    "evaluation_models",
    "evaluation",
    "datamodels",
    "regression",
    "fits",
    "study",
    "uses",
    "public",
    "explorer",
    "integrity",
    "demo",
    "cli",
    "testing",
]


def test_import_pulls_in_nothing_heavy():
    code = (
        "import sys, subtrain\n"
        "heavy = {'numpy', 'numba', 'scipy', 'sklearn', 'torch', 'matplotlib', 'typer', 'pandas'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"


def test_no_module_imports_itself_by_way_of_others():
    """Every circle of imports, also of those inside functions, would have to be entered at the right place."""
    names = {path: module_name(path) for path in sorted(SOURCE.rglob("*.py"))}
    edges = {name: imported_modules(path) & set(names.values()) - {name, "subtrain"} for path, name in names.items()}
    while leaves := {name for name, to in edges.items() if not to & set(edges)}:
        edges = {name: to for name, to in edges.items() if name not in leaves}
    assert sorted(edges) == []


def test_every_public_name_can_be_imported():
    for name in subtrain.__all__:
        assert getattr(subtrain, name) is not None
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = subtrain.nothing_like_it


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(path: Path) -> set[str]:
    """Modules that a file imports anywhere, type-checking-only imports aside: of `from a import b`, a and a.b."""
    tree = ast.parse(path.read_text())
    hidden = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for node in ast.walk(branch)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.ImportFrom):
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in whole if (SOURCE.parent / name.replace(".", "/")).with_suffix(".py").exists()}
            packages = {name for name in whole if (SOURCE.parent / name.replace(".", "/")).is_dir()}
            found |= modules | packages | ({node.module or ""} if len(modules | packages) < len(whole) else set())
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def imported_rooms(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imported_modules(path) if name.startswith("subtrain.")}


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_rooms_import_only_from_rooms_before_them(path):
    room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if room in ("__init__", "__main__", "_version", "_old_names", "_old_functions"):
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


# Classes whose names are given: the answers of the explorer's API, and networks that a task's fingerprint names.
GIVEN = ("explorer/answers/", "explorer/server/", "trainers/torch/models/")


def test_no_class_has_the_name_of_another():
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        for node in ast.parse(path.read_text()).body if not name.startswith(GIVEN) else ():
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(name)
    assert {name: places for name, places in found.items() if len(places) > 1} == {}
