"""The script of a Slurm array, and the commands that submit, ask for and cancel its jobs."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from subtrain._version import __version__
from subtrain.errors import CollectError, InputError, SubtrainError
from subtrain.studies.stored_study import LOGS
from subtrain.studies.trust import Making
from subtrain.tasks.loading.task_factory import without_current_folder

# Slurm's own default for MaxArraySize is 1001: indices 0 to 1000.
MOST_JOBS = 1000
SECONDS = 60
_KEPT = {
    *(f"SLURM_{name}" for name in ("CONF", "CONF_SERVER", "JWT", "CLUSTERS")),
    *(f"SBATCH_{name}" for name in ("ACCOUNT", "PARTITION", "QOS", "RESERVATION", "CLUSTERS", "CONSTRAINT")),
}
_OVER = {
    "COMPLETED",
    "FAILED",
    "CANCELLED",
    "TIMEOUT",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "DEADLINE",
    "BOOT_FAIL",
    "REVOKED",
}


@dataclass(frozen=True)
class SlurmJob:
    """One element of an array as squeue shows it: its number, state ("RUNNING"), node, and why it is in that state."""

    index: int
    state: str
    node: str
    reason: str

    @property
    def over(self) -> bool:
        return self.state in _OVER


@dataclass(frozen=True)
class Request:
    """What is asked of Slurm for each job; empty where Slurm's default is to hold.

    cpus: cores, and worker processes if the task does not use a GPU; gres: "gpu:1", or a fraction of one, "shard:1";
    time: "2:00:00"; mem: "4G"; lines: further "--constraint=a100" for sbatch, or shell commands such as
    "module load cuda"; worker: further words of `subtrain worker`; making: what makes the task, which
    may say that its code lies in the current folder.
    """

    partition: str = ""
    gres: str = ""
    time: str = ""
    mem: str = ""
    account: str = ""
    cpus: int = 1
    lines: tuple[str, ...] = ()
    worker: tuple[str, ...] = ()
    making: Making | None = None

    def __post_init__(self) -> None:
        if self.cpus < 1:
            raise InputError(f"cpus must be 1 or more, got {self.cpus}")
        for text in (self.partition, self.gres, self.time, self.mem, self.account, *self.lines):
            if "\n" in text or "\r" in text:
                raise InputError(f"a line for sbatch must be a single one, got {text!r}")

    def __str__(self) -> str:
        parts = [f"{self.cpus} core{'s' * (self.cpus != 1)}", self.gres, self.partition]
        return f"Slurm jobs ({', '.join(part for part in parts if part)})"


def script(study: Path, batch: Path, name: str, jobs: int, request: Request) -> str:
    """A bash script for sbatch: job k trains the segments in line k + 1 of `batch`/segments.txt.

    study and batch: absolute folders. Each job leaves its exit code in `batch`.
    """
    options = {
        "job-name": name,
        "array": f"0-{jobs - 1}",
        "output": str(study / LOGS / "slurm-%A_%a.log").replace("%", "%%").replace("-%%A_%%a.log", "-%A_%a.log"),
        "open-mode": "append",
        "chdir": str(Path.cwd()),
        "cpus-per-task": str(request.cpus),
        "partition": request.partition,
        "gres": request.gres,
        "time": request.time,
        "mem": request.mem,
        "account": request.account,
    }
    lines = [f"#SBATCH --{key}={shlex.quote(value)}" for key, value in options.items() if value]
    own = [line if line.startswith("#SBATCH") else f"#SBATCH {line}" for line in request.lines if line[:1] in "-#"]
    shell = [line for line in request.lines if line[:1] not in "-#"]
    words = [sys.executable, "-P", "-m", "subtrain", "worker", str(study), *request.worker]
    return "\n".join(
        [
            "#!/bin/bash",
            f"# Written by subtrain {__version__}. A job trains segments of a study and skips those committed already.",
            *lines,
            "#SBATCH --requeue",
            *own,
            *shell,
            f"batch={shlex.quote(str(batch))}",
            f"export PYTHONPATH={shlex.quote(':'.join(import_path(request.making)))}",
            'over="$batch/$SLURM_ARRAY_TASK_ID.exit"',
            'rm -f "$over"',
            'segments=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" "$batch/segments.txt")',
            f'{shlex.join(words)} --segments "$segments"',
            "code=$?",
            'echo "$code" > "$over"',
            'exit "$code"',
            "",
        ]
    )


def import_path(making: Making | None = None) -> list[str]:
    """Where modules are found here beyond what this interpreter finds by itself; the current folder is the first, where
    the task's module may lie in it."""
    roots = {os.path.realpath(folder) for folder in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
    found = [str(Path.cwd())] if making is None or making.searches_current_folder else []
    for entry in map(os.path.abspath, filter(None, sys.path)):
        library = any(os.path.realpath(entry).startswith(f"{root}{os.sep}lib") for root in roots)
        if not library and ":" not in entry and entry not in found:
            found.append(entry)
    return found if making is None or making.own else without_current_folder(found)


def submit(path: Path) -> str:
    """Hand the script to Slurm; the array's job number. InputError with what sbatch says, and a way out, if refused."""
    try:
        return _run(["sbatch", "--parsable", str(path)]).strip().split(";")[0]
    except InputError as error:
        raise InputError(f"{error}{_way_out(str(error))}") from None


def _way_out(said: str) -> str:
    """What to do when Slurm takes no array of this size, or no more jobs of this user."""
    if "array" in said.lower():
        return f"; Slurm takes fewer jobs in an array here{_array_limit()}: say --max-jobs with a number below that"
    if re.search("limit|QOS", said):
        return "; submit fewer or smaller jobs: --max-jobs bounds their number, --per-job makes them longer"
    return ""


def _array_limit() -> str:
    with suppress(SubtrainError):
        found = re.search(r"MaxArraySize\s*=\s*(\d+)", _run(["scontrol", "show", "config"]))
        return f" (MaxArraySize is {found[1]})" if found else ""
    return ""


def ask(names: Sequence[str]) -> dict[str, list[SlurmJob]] | None:
    """The jobs Slurm knows by these names, recent ended ones too; None if it does not answer now."""
    if not names:
        return {}
    words = ["squeue", "--noheader", "--array", "--states=all", f"--name={','.join(names)}", "--format=%j|%K|%T|%N|%r"]
    try:
        lines = _run(words).splitlines()
    except CollectError:
        return None
    found: dict[str, list[SlurmJob]] = {name: [] for name in names}
    for line in lines:
        name, index, state, node, reason = (part.strip() for part in line.split("|", 4))
        if name in found and index.isdigit():
            found[name].append(SlurmJob(int(index), state, node, reason))
    return found


def cancel(names: Iterable[str], *options: str) -> None:
    """Cancel all jobs with these names."""
    for name in names:
        _run(["scancel", f"--name={name}", *options])


def available() -> bool:
    """Whether Slurm's commands are here."""
    return all(shutil.which(program) for program in ("sbatch", "squeue", "scancel"))


def outside(environment: Mapping[str, str]) -> dict[str, str]:
    """These variables without those of a Slurm job around us, which would shape the jobs submitted from within it.

    Which Slurm is meant stays, and so do a user's own defaults for whom to charge and where to run.
    """
    return {
        name: value
        for name, value in environment.items()
        if name in _KEPT or not name.startswith(("SLURM_", "SBATCH_", "SQUEUE_", "SRUN_", "PMI_", "PMIX_", "SLURMD_"))
    }


def _run(words: list[str]) -> str:
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=SECONDS,
            check=False,
            env=outside(os.environ),
        )
    except FileNotFoundError:
        raise InputError(f"there is no {words[0]} here: run this on a machine that submits to Slurm") from None
    except subprocess.TimeoutExpired:
        raise CollectError(f"{words[0]} did not answer within {SECONDS} s") from None
    if done.returncode:
        said = " ".join(line.strip() for line in done.stderr.splitlines() if line.strip())
        refused = InputError if words[0] == "sbatch" else CollectError
        raise refused(f"{words[0]} failed: {said.removeprefix('sbatch: error: ') or f'exit code {done.returncode}'}")
    return done.stdout
