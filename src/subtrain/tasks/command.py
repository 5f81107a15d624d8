"""Tasks from an external command, in any language: indices and seed in files of a folder, .npy outputs back."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from subtrain.arrays import NUMBERS
from subtrain.errors import InputError
from subtrain.fingerprint import fingerprint
from subtrain.outputs import Output, SchemaError
from subtrain.system.paths import local_path
from subtrain.tasks.base import BatchTask, Source, View, checked_n, output_schema
from subtrain.tasks.kit.run_command import run
from subtrain.tasks.loading.task_factory import marked
from subtrain.tasks.watching.command_files import files_of, programs
from subtrain.tasks.watching.contents import file_digest
from subtrain.tasks.watching.watched import Watched

PER = ("model", "segment")
JOB, SEED = "{job}", "{seed}"


@marked
def command(
    command: Sequence[str] | str,
    n: int,
    outputs: Mapping[str, Output | Sequence[int] | int | Mapping[str, Any]],
    per: str = "model",
    data: Sequence[str] = (),
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
    folder: str | Path = ".",
    size: int = 64,
    device: str | None = None,
    view: View | None = None,
) -> BatchTask:
    """A task that runs a command for every model, with `{job}` in its words replaced by a fresh temporary folder.

    The folder holds job.json and, per="model", indices.npy: int64, the training examples to train on. The command
    leaves `{output}.npy` there for every output, [*shape], and exits with 0. per="segment": one command for up to
    `size` models, with masks.npy bool [k, n] and seeds.npy uint32 [k], and outputs [k, *shape]. `{seed}` becomes the
    seed (per="model").

    outputs: name → shape (float16), Output, or {"shape": …, "dtype": …}. data: files and folders the command reads, so
    that the study notices when they change, as it does for files named in the command itself and for scripts of your
    own that these source, import or name. timeout: seconds one
    command may take. env: further environment variables. folder: where the command runs and relative paths begin.
    device: "cuda" if it uses the GPU that the variable SUBTRAIN_DEVICE names. Raises InputError when a file or the
    program does not exist; a command that fails, fails its models; one that leaves other outputs ends the collection.
    """
    words = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
    words = [str(local_path(word)) if word.startswith("~/") else word for word in words]
    root = local_path(folder).resolve()
    env = {name: str(value) for name, value in (env or {}).items()}
    _check(words, per, timeout, size)
    _check_program(words[0] if words else "", root, env)
    schema = output_schema(outputs)
    job = _Command(tuple(words), checked_n(n), schema, per, timeout, env, root)
    paths = {name: _data(root, name) for name in data}
    watched = Watched(
        {
            **files_of(words, root),
            "the command": [_told(root, word) for word in words],
            "the settings": [n, {name: spec.to_json() for name, spec in schema.items()}, per, env],
            "data": paths,
        },
        lambda: _as_0_1(root, words, data, n, schema, per, env),
        programs(words, root),
    )
    given = {
        "command": words,
        "n": n,
        "outputs": {name: spec.to_json() for name, spec in schema.items()},
        "folder": str(root),
    }
    options = {"per": per, "data": list(data), "timeout": timeout, "env": env, "size": size, "device": device}
    source = None if view else Source(f"{__name__}:command", given | {k: v for k, v in options.items() if v})
    batch = size if per == "segment" else 1
    return BatchTask(job.train, n, schema, "", batch=batch, view=view, source=source, device=device, watched=watched)


@dataclass(frozen=True)
class _Command:
    words: tuple[str, ...]
    n: int
    outputs: Mapping[str, Output]
    per: str
    timeout: float | None
    env: Mapping[str, str]
    root: Path

    def train(self, masks: NDArray[np.bool_], seeds: NDArray[np.uint32]) -> dict[str, NDArray[Any]]:
        if self.per == "segment":
            return self._call(masks, seeds)
        each = [self._call(masks[i : i + 1], seeds[i : i + 1]) for i in range(len(masks))]
        return {name: np.stack([one[name] for one in each]) for name in self.outputs}

    def _call(self, masks: NDArray[np.bool_], seeds: NDArray[np.uint32]) -> dict[str, NDArray[Any]]:
        with TemporaryDirectory(prefix="subtrain-", ignore_cleanup_errors=True) as name:
            job, seed = Path(name, "job"), str(seeds[0])
            job.mkdir()
            self._describe(job, masks, seeds)
            words = [word.replace(JOB, str(job)).replace(SEED, seed) for word in self.words]
            run(words, self.root, {**os.environ, **self.env}, self.timeout, scratch=Path(name))
            lead = (len(masks),) if self.per == "segment" else ()
            return {output: self._read(job, output, lead + spec.shape) for output, spec in self.outputs.items()}

    def _describe(self, job: Path, masks: NDArray[np.bool_], seeds: NDArray[np.uint32]) -> None:
        about = {
            "n": self.n,
            "models": [{"seed": int(s), "examples": int(m.sum())} for m, s in zip(masks, seeds, strict=True)],
            "outputs": {name: spec.to_json() for name, spec in self.outputs.items()},
        }
        (job / "job.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
        if self.per == "segment":
            np.save(job / "masks.npy", masks)
            np.save(job / "seeds.npy", seeds)
        else:
            np.save(job / "indices.npy", np.flatnonzero(masks[0]))

    def _read(self, job: Path, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """SchemaError for a file that is not what was declared: no other model will leave a better one."""
        said = f"the command {self.words[0]} finished, but"
        declared = f"declared are numbers {list(shape)}"
        try:
            with open(job / f"{name}.npy", "rb") as file:
                array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        except FileNotFoundError:
            raise SchemaError(f"{said} left no {name}.npy in its job folder; {declared}") from None
        except (ValueError, EOFError, OSError) as error:
            raise SchemaError(f"{said} left a {name}.npy that cannot be read ({error}); {declared}") from error
        if array.shape != shape or array.dtype.kind not in NUMBERS:
            raise SchemaError(f"{said} left a {name}.npy of {array.dtype} {list(array.shape)}; {declared}")
        return array


def _check(words: list[str], per: str, timeout: float | None, size: int) -> None:
    if per not in PER:
        raise InputError(f"per must be one of {', '.join(PER)}, got {per!r}")
    if not any(JOB in word for word in words):
        raise InputError(f"the command must hold the word {JOB}, the folder it reads and writes; got {words}")
    if per == "segment" and any(SEED in word for word in words):
        raise InputError(f"{SEED} is one model's; a command per segment finds its seeds in seeds.npy")
    if timeout is not None and not timeout > 0:
        raise InputError(f"timeout must be above 0 seconds, got {timeout}")
    if size < 1:
        raise InputError(f"size must be 1 model or more a command, got {size}")


def _check_program(program: str, root: Path, env: Mapping[str, str]) -> None:
    if "/" in program:
        path = root / program
        if not path.is_file():
            raise InputError(f"there is no program {path} to run")
        if not os.access(path, os.X_OK):
            raise InputError(f"{path} is not executable: chmod +x it, or put its interpreter before it")
    elif shutil.which(program, path=env.get("PATH")) is None:
        raise InputError(f"there is no program {program!r} on the PATH")


def _told(root: Path, word: str) -> str:
    """A word of the command as it counts: of a file its name, whatever folder it is in."""
    return Path(word).name if (root / word).is_file() else word


def _data(root: Path, name: str) -> Path:
    path = root / local_path(name)
    if not path.exists():
        raise InputError(f"there is no {path}, which data names")
    return path


def _as_0_1(root: Path, words: Sequence[str], data: Sequence[str], *settings: object) -> str:
    """The fingerprint as version 0.1.0 made it, which saw only the files in the command itself."""
    return fingerprint(
        [_word_0_1(root, word) for word in words], *settings, [_files_0_1(_data(root, name)) for name in data]
    )


def _word_0_1(root: Path, word: str) -> list[str]:
    path = root / word
    if not path.is_file():
        return [word]
    outside = not path.resolve().is_relative_to(root)
    return [path.name] if outside and os.access(path, os.X_OK) else [path.name, file_digest(path)]


def _files_0_1(path: Path) -> list[list[str]]:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return [[str(file.relative_to(path.parent)), file_digest(file)] for file in files]
