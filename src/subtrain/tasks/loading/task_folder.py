"""The modules of a task's folder belong to that task: two folders may each hold a data.py, in one process.

A process that works for one task, as a worker does, finds them under their natural names and so do its children. Where
a second folder, or the running program, has modules of the same names, they take turns in `sys.modules`: each is in
place while code of its folder imports.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import os
import re
import sys
import sysconfig
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from subtrain.tasks.watching.own_code import is_own

_lock = threading.RLock()
_homes: dict[str, Home] = {}
_active: Home | None = None
_import = builtins.__import__


@dataclass(eq=False)
class Home:
    """A folder from which modules are imported, and those that were."""

    root: str
    modules: dict[str, ModuleType] = field(default_factory=dict)

    def provides(self, name: str) -> bool:
        """Whether `import name` finds this module in the folder."""
        top = os.path.join(self.root, name.partition(".")[0])
        return os.path.isfile(f"{top}.py") or os.path.isfile(os.path.join(top, "__init__.py"))

    def owns(self, name: str, module: ModuleType) -> bool:
        """Whether this module was imported from the folder under its natural name."""
        top = os.path.join(self.root, name.partition(".")[0])
        return any(file == f"{top}.py" or file.startswith(top + os.sep) for file in _files(module))


def load(root: str, name: str, file: Path) -> ModuleType:
    """Run `file`, which `import name` finds in folder `root`, anew, and with it the modules of the folder it imports.

    A file whose name cannot be imported, or is taken by a module of Python, gets another: its children cannot import
    it, and its functions go to them by value.
    """
    with _lock:
        home = _homes.setdefault(root, Home(root))
        _hook(len(_homes) > 1)
        for old, module in home.modules.items():
            if sys.modules.get(old) is module:
                del sys.modules[old]
        home.modules.clear()
        importlib.invalidate_caches()
        with modules_of(home), _no_bytecode():
            if _is_free(name, file):
                module = importlib.import_module(name)
                if _same(module, file):
                    return module
            return _under_another_name(home, file)


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """Keep no bytecode of the user's files: Python takes it for fresh if neither the size nor the second of a file
    changed, and would run the code before a quick edit, such as of one digit."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def natural_name(file: Path) -> tuple[str, str]:
    """The folder that must be on the path, and the name by which the file is then imported: "pkg.task" in a package."""
    parts, folder = [file.stem], file.parent
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        parts.insert(0, folder.name)
        folder = folder.parent
    if len(parts) > 1 and parts[-1] == "__init__":
        del parts[-1]
    return str(folder), ".".join(parts)


def module_of(cls: type) -> ModuleType | None:
    """The module in which a class was written, also while another folder's module has its name."""
    found = sys.modules.get(cls.__module__)
    for module in (found, *(home.modules.get(cls.__module__) for home in _homes.values())):
        if module is not None and module.__dict__.get(cls.__qualname__.partition(".")[0]) is cls:
            return module
    return found


def find_file(name: str, level: int, importer: str | None) -> list[Path]:
    """The user's own files that run when the file `importer` imports this: of a.b those of a and of b."""
    if not importer:
        return []
    if level:
        places = [Path(importer).resolve().parents[level - 1]]
    else:
        places = [Path(natural_name(Path(importer).resolve())[0]), *map(Path, filter(None, sys.path))]
    return [file for file in files_of_module(name, places) if is_own(str(file))]


def files_of_module(name: str, places: Sequence[Path]) -> list[Path]:
    """The files that run when this is imported from the first of these folders that has it: of a.b those of a and b."""
    for place in places:
        found, at = list[Path](), place
        for part in filter(None, name.split(".")):
            at = at / part
            found += [file for file in (at.with_name(f"{part}.py"), at / "__init__.py") if file.is_file()]
        if found:
            return found
    return []


@contextmanager
def modules_of(home: Home) -> Iterator[None]:
    """Imports find the modules of this folder first, and none of another task's folder."""
    global _active
    with _lock:
        if _active is home:
            yield
            return
        before, _active = _active, home
        aside = _set_aside(home)
        sys.modules.update(home.modules)
        _first_on_path(home.root)
        try:
            yield
        finally:
            _active = before
            _keep(home)
            _put_back(home, aside)


def _set_aside(home: Home) -> dict[str, ModuleType]:
    """What would be found instead of modules of this folder: other tasks' modules, and the program's of such names."""
    aside = {}
    for name, module in list(sys.modules.items()):
        if not isinstance(module, ModuleType) or home.modules.get(name) is module or name == "__main__":
            continue
        top = name.partition(".")[0]
        free = top not in sys.stdlib_module_names and top != "subtrain"
        if _of_task(name, module) or home.owns(name, module) or (free and home.provides(name)):
            aside[name] = sys.modules.pop(name)
    return aside


def _keep(home: Home) -> None:
    for name, module in list(sys.modules.items()):
        if isinstance(module, ModuleType) and name != "__main__" and home.owns(name, module):
            home.modules[name] = module


def _put_back(home: Home, aside: Mapping[str, ModuleType]) -> None:
    """The running program gets its modules back; of another task's, those whose names are free."""
    theirs = {name for name, module in aside.items() if not _of_task(name, module)}
    if theirs:
        _hook(True)
    tops = {name.partition(".")[0] for name in theirs}
    for name, module in home.modules.items():
        if name.partition(".")[0] in tops and sys.modules.get(name) is module:
            del sys.modules[name]
    for name, module in aside.items():
        if name in theirs or name not in sys.modules:
            sys.modules[name] = module


def _of_task(name: str, module: ModuleType | None) -> bool:
    return module is not None and any(module is home.modules.get(name) for home in _homes.values())


def _hook(needed: bool) -> None:
    """From when on folders share names, an import statement is answered by the folder in which it stands."""
    if needed and builtins.__import__ is not _import_at_home:
        global _import
        _import = builtins.__import__
        builtins.__import__ = _import_at_home


def _import_at_home(
    name: str,
    globals: Mapping[str, Any] | None = None,
    locals: Mapping[str, Any] | None = None,
    fromlist: Any = (),
    level: int = 0,
) -> ModuleType:
    home = _home_of(globals)
    if home is None or home is _active or (level == 0 and _is_common(home, name)):
        return _import(name, globals, locals, fromlist, level)
    with modules_of(home):
        return _import(name, globals, locals, fromlist, level)


def _home_of(globals: Mapping[str, Any] | None) -> Home | None:
    """The folder whose module these globals are, if they are those of a module that a task imported."""
    if not globals:
        return None
    name = globals.get("__name__")
    for home in _homes.values():
        module = home.modules.get(name) if isinstance(name, str) else None
        if module is not None and module.__dict__.get("__file__") == globals.get("__file__"):
            return home
    return None


def _is_common(home: Home, name: str) -> bool:
    """Whether the module is one that all share, and is there already."""
    top = name.partition(".")[0]
    found = sys.modules.get(top)
    return found is not None and not _of_task(top, found) and not home.provides(top)


def _is_free(name: str, file: Path) -> bool:
    """Whether the file can be imported, by children too, under this name."""
    top = name.partition(".")[0]
    if len(file.stem.split(".")) > 1 or not all(name.split(".")):
        return False
    return top not in sys.modules and not (top == name and top in sys.stdlib_module_names)


def _under_another_name(home: Home, file: Path) -> ModuleType:
    name = "subtrain_task_" + re.sub(r"\W", "_", file.stem)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python code")
    if file.stem in sys.stdlib_module_names:
        _behind_python(home.root)
    module = importlib.util.module_from_spec(spec)
    home.modules[name] = sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name], home.modules[name]
        raise
    import cloudpickle

    cloudpickle.register_pickle_by_value(module)
    return module


def _first_on_path(root: str) -> None:
    if root in sys.path:
        sys.path.remove(root)
    sys.path.insert(0, root)


def _behind_python(root: str) -> None:
    """For a folder with a random.py: what Python and other packages import must stay Python's, in children too."""
    library = {sysconfig.get_paths()["stdlib"], os.path.join(sysconfig.get_paths()["platstdlib"], "lib-dynload")}
    last = max((k for k, entry in enumerate(sys.path) if entry in library or "lib-dynload" in entry), default=0)
    here = [entry for entry in sys.path[:last] if os.path.abspath(entry) == root]
    sys.path.insert(last + 1, root)
    for entry in here:
        sys.path.remove(entry)


def _same(module: ModuleType, file: Path) -> bool:
    found = getattr(module, "__file__", None)
    return bool(found) and os.path.samefile(found or "", file)


def _files(module: ModuleType) -> list[str]:
    """Where a module of one's own lies: its file, or the folders of a package that has none."""
    file = module.__dict__.get("__file__")
    try:
        found = [file] if isinstance(file, str) else [str(entry) for entry in module.__dict__.get("__path__") or ()]
    except Exception:  # a lazy module's own doing
        return []
    return [os.path.abspath(entry) for entry in found if is_own(entry)]
