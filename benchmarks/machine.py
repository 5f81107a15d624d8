"""What a benchmark says about where it ran."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path


def cpu():
    info = Path("/proc/cpuinfo")
    names = [s for s in info.read_text().splitlines() if s.startswith("model name")] if info.exists() else []
    return names[0].split(":")[1].strip() if names else platform.processor() or platform.machine()


def cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def load():
    return [round(v, 2) for v in os.getloadavg()]


def versions(*packages):
    return ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)])
