"""What tests of several rooms share."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import worlds
from subtrain import Design, Study
from subtrain.collection import train_segment
from subtrain.system.registry import Registry


@pytest.fixture
def make_study(tmp_path: Path) -> Callable[..., Study]:
    """make_study(done=True, name="study", task=..., segment=4, **design): a study of the linear world.

    Its models are trained in this process, without workers, unless `done` is False.
    """

    def make(done: bool = True, name: str = "study", task=None, params=None, segment: int = 4, **design) -> Study:
        plan = {"models": 10, "heldout": 3, "replicates": 2, "seed": 1} | design
        task = task or worlds.linear()
        study = Study.create(tmp_path / name, task, Design(**plan), params=params, segment=segment)
        if done:
            (study.path / "segments").mkdir()
            for where in study.segments:
                train_segment(study, where)
        return study

    return make


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """other_package(registry, "name = module:attribute", code): install somebody else's package with this entry point.

    Its module holds `code`. This process finds it, and so does every process that it starts.
    """

    def install(registry: Registry, point: str, code: str) -> None:
        root = tmp_path / "site"
        about = root / "other-1.0.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[{registry.group}]\n{point}\n")
        (root / f"{point.partition('=')[2].strip().partition(':')[0]}.py").write_text(code)
        monkeypatch.syspath_prepend(str(root))
        monkeypatch.setenv("PYTHONPATH", f"{root}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        registry.forget()
        forget.append(registry)

    forget: list[Registry] = []
    yield install
    monkeypatch.undo()
    for registry in forget:
        registry.forget()


@pytest.fixture
def one_torch_thread() -> Iterator[None]:
    """PyTorch with one thread, as a worker runs it."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny_disk() -> Iterator[Path]:
    """A real file system of 200 KiB."""
    folder = Path(tempfile.mkdtemp())
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", folder]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        folder.rmdir()
        pytest.skip(f"only root can mount a small disk: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)
    folder.rmdir()
