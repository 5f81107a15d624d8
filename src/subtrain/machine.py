"""What this machine has: cores, memory, GPUs."""

from __future__ import annotations

import os
import socket
import subprocess


def cores() -> int:
    """Cores this process may use; no more than its Slurm job was given, where clusters do not enforce that."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return min(there, int(given)) if given.isdecimal() and int(given) else there


def host() -> str:
    """This machine's name, in a Slurm job the node's."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


def visible_gpus() -> tuple[str, ...]:
    """CUDA devices by name, cuda:0, cuda:1, …, without importing anything that would open them."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        there = [name for name in listed.split(",") if name.strip()]
        count = there.index("-1") if "-1" in there else len(there)
    else:
        query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        try:
            count = len(subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout.split())
        except (OSError, subprocess.SubprocessError):
            count = 0
    return tuple(f"cuda:{i}" for i in range(count))


def available_memory() -> int | None:
    """Bytes that a process could still take, None where the system does not say."""
    try:
        with open("/proc/meminfo") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None
