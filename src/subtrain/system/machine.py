"""What this machine has for this process: cores, memory, GPUs. Whatever counts them asks here."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

from subtrain.errors import InputError
from subtrain.system import cgroups

# Files of which one is there where a GPU is that torch can use: NVIDIA's, AMD's, and that of Windows' Linux.
_GPU_FILES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg", "/dev/nvhost-gpu")
_ASK_TORCH = "import torch; print('subtrain-count', torch.cuda.device_count() if torch.cuda.is_available() else 0)"
_PATIENCE = 120


class NoDeviceError(InputError):
    """A device that training was told to use is not there."""


def cores() -> int:
    """Cores' worth of time that this process may use, a broken number rounded up.

    The least of its CPU set, of what the control groups of a container or a service give it, and of what its Slurm job
    was given, where clusters do not enforce that.
    """
    found = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    share = cgroups.cpu_limit()
    if share is not None:
        found.append(math.ceil(share - 1e-6))
    given = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if given.isdecimal():
        found.append(int(given))
    return max(1, min(count for count in found if count > 0))


def host() -> str:
    """This machine's name, in a Slurm job the node's."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def memory() -> int | None:
    """Bytes of memory that this process and those beside it may take in all; None where the system does not say."""
    found = [room.limit for room in cgroups.memory_rooms()]
    there = proc_bytes("/proc/meminfo", "MemTotal") or _pages("SC_PHYS_PAGES")
    return min([*found, *([there] if there else [])], default=None)


def available_memory() -> int | None:
    """Bytes that a process could still take, None where the system does not say."""
    found = [max(0, room.limit - room.used) for room in cgroups.memory_rooms()]
    there = proc_bytes("/proc/meminfo", "MemAvailable") or _pages("SC_AVPHYS_PAGES")
    return min([*found, *([there] if there else [])], default=None)


def proc_bytes(path: str, *names: str) -> int | None:
    """Bytes that a table of Linux, such as /proc/meminfo, gives for the first of these names; None if it gives none."""
    with suppress(OSError, ValueError, IndexError), open(path, encoding="utf-8") as file:
        lines = dict(line.split(":", 1) for line in file)
        return next((int(lines[name].split()[0]) * 1024 for name in names if name in lines), None)
    return None


def _pages(name: str) -> int | None:
    try:
        return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return None


def visible_gpus() -> tuple[str, ...]:
    """CUDA devices that can be used, by name: cuda:0, cuda:1, …

    Asked of torch in a process of its own, so that this one opens none; of nvidia-smi where there is no torch. What
    CUDA_VISIBLE_DEVICES says is no proof that a device is there.
    """
    asked = os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(f"cuda:{i}" for i in range(_gpu_count(asked)))


def promised_gpus() -> list[str]:
    """A sentence if the environment names devices, for when there is none of them."""
    listed = (os.environ.get("CUDA_VISIBLE_DEVICES") or "-1").strip()
    if listed in ("", "-1"):
        return []
    return [f"CUDA_VISIBLE_DEVICES is {listed}, but there is no such device here: training on the CPU"]


@cache
def _gpu_count(asked: str | None) -> int:
    if asked is not None and asked.strip() in ("", "-1"):
        return 0
    if not any(Path(name).exists() for name in _GPU_FILES) and not _listed_gpus():
        return 0
    said = _said([sys.executable, "-P", "-c", _ASK_TORCH]).partition("subtrain-count")[2].split()
    if said and said[0].isdecimal():
        return int(said[0])
    return count_listed(_listed_gpus(), asked)


def count_listed(listed: list[str], asked: str | None) -> int:
    """How many devices CUDA shows of those that `nvidia-smi -L` lists, of which CUDA_VISIBLE_DEVICES names some.

    An entry is a number or the beginning of a UUID; the first that is no device hides itself and all after it. Of
    devices in pieces (MIG) only one piece is shown, the one that is named or the first.
    """
    pieces = [uuid for uuid in listed if uuid.startswith("MIG-")]
    whole = [uuid for uuid in listed if not uuid.startswith("MIG-")]
    if asked is None:
        return 1 if pieces else len(whole)
    count = 0
    for entry in (part.strip() for part in asked.split(",")):
        known = int(entry) < len(whole) if entry.isdecimal() else any(entry and u.startswith(entry) for u in listed)
        if not known:
            break
        count += 1
    return min(count, 1) if pieces else count


def _listed_gpus() -> list[str]:
    """UUIDs of the GPUs and their pieces, in order."""
    lines = _said(["nvidia-smi", "-L"]).splitlines()
    return [line.rpartition("UUID: ")[2].strip(" )") for line in lines if "UUID: " in line]


def _said(words: list[str]) -> str:
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            words, capture_output=True, encoding="utf-8", errors="replace", timeout=_PATIENCE, check=True
        )
        return done.stdout
    return ""
