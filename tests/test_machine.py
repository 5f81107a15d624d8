"""What a machine has: the least of what its kernel, its control groups and its job allow. Texts are real kernels'."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from subtrain.regression.counting.threads import thread_count
from subtrain.system import cgroups, machine

# Docker with control groups of version 1, without a namespace of its own for them.
V1 = {
    "proc/self/cgroup": (
        "12:memory:/docker/3f1\n5:cpu,cpuacct:/docker/3f1\n2:cpuset:/docker/3f1\n1:name=systemd:/docker/3f1\n0::/x\n"
    ),
    "proc/self/mountinfo": (
        "712 711 0:29 /docker/3f1 /sys/fs/cgroup/cpu,cpuacct ro,nosuid master:15 - cgroup cgroup rw,cpu,cpuacct\n"
        "714 711 0:31 /docker/3f1 /sys/fs/cgroup/memory ro,nosuid master:17 - cgroup cgroup rw,memory\n"
    ),
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "150000\n",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "943718400\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "500000000\n",
    "sys/fs/cgroup/memory/memory.stat": "cache 1\nrss 2\ntotal_inactive_file 100000000\n",
}
# A service of systemd, version 2: the slice above it has the smaller limit of memory.
V2 = {
    "proc/self/cgroup": "0::/work.slice/job.service\n",
    "proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
    "sys/fs/cgroup/work.slice/job.service/cpu.max": "max 100000\n",
    "sys/fs/cgroup/work.slice/cpu.max": "50000 100000\n",
    "sys/fs/cgroup/work.slice/job.service/memory.max": "4000000000\n",
    "sys/fs/cgroup/work.slice/job.service/memory.current": "100000000\n",
    "sys/fs/cgroup/work.slice/memory.max": "900000000\n",
    "sys/fs/cgroup/work.slice/memory.high": "max\n",
    "sys/fs/cgroup/work.slice/memory.current": "300000000\n",
    "sys/fs/cgroup/work.slice/memory.stat": "anon 5\ninactive_file 50000000\n",
}
# A container with a namespace of its own, version 2, whose mount has a blank in its name; and no limit at all.
SPACE = {
    "proc/self/cgroup": "0::/\n",
    "proc/self/mountinfo": "30 23 0:26 / /sys/fs/c\\040group rw - cgroup2 cgroup rw\n",
    "sys/fs/c group/cpu.max": "200000 100000\n",
}
FREE = {
    "proc/self/cgroup": "4:memory:/\n1:cpu:/\n0::/\n",
    "proc/self/mountinfo": (
        "32 31 0:29 / /cpu rw - cgroup cgroup rw,cpu\n35 31 0:32 / /mem rw - cgroup cgroup rw,memory\n"
    ),
    "cpu/cpu.cfs_quota_us": "-1\n",
    "cpu/cpu.cfs_period_us": "100000\n",
    "mem/memory.limit_in_bytes": "9223372036854771712\n",
    "mem/memory.usage_in_bytes": "1000\n",
}
ODD = {"proc/self/cgroup": "\x00 what\n0::/../..\n", "proc/self/mountinfo": "1 2\n- cgroup2\n3 4 5 / /x - cgroup2\n"}


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "cpus", "rooms"),
    [
        (V1, 1.5, [(943718400, 400000000)]),
        (V2, 0.5, [(4000000000, 100000000), (900000000, 250000000)]),
        (SPACE, 2.0, []),
        (FREE, None, []),
        (ODD, None, []),
        ({}, None, []),
    ],
)
def test_limits_of_control_groups(tmp_path, files, cpus, rooms):
    root = tree(tmp_path, files)
    assert cgroups.cpu_limit(root) == cpus
    assert [(room.limit, room.used) for room in cgroups.memory_rooms(root)] == rooms


@pytest.mark.parametrize(
    ("affinity", "share", "slurm", "expected"),
    [(8, None, "", 8), (8, 1.5, "", 2), (8, 0.5, "", 1), (2, 6.0, "", 2), (8, 4.0, "3", 3), (8, None, "0", 8)],
)
def test_cores_are_the_least_that_anything_allows(monkeypatch, affinity, share, slurm, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(affinity)))
    monkeypatch.setattr(cgroups, "cpu_limit", lambda: share)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", slurm)
    assert machine.cores() == expected
    assert thread_count(None) == expected, "a fit counts as a collection does"


def test_memory_is_the_least_that_anything_allows(monkeypatch):
    there, free = machine.memory(), machine.available_memory()
    assert there >= free > 0
    monkeypatch.setattr(cgroups, "memory_rooms", lambda: [cgroups.Room(1000, 300), cgroups.Room(900, 850)])
    assert machine.memory() == 900
    assert machine.available_memory() == 50


def test_a_real_control_group(tmp_path):
    """As root on a machine whose groups can be changed: 900 MB and one and a half processors."""
    folders = [Path("/sys/fs/cgroup", kind, f"subtrain-{os.getpid()}") for kind in ("memory", "cpu")]
    try:
        for folder in folders:
            folder.mkdir()
        (folders[0] / "memory.limit_in_bytes").write_text("900M")
        (folders[1] / "cpu.cfs_quota_us").write_text("150000")
        code = (
            "from subtrain.system import machine; print(machine.cores(), machine.memory(), machine.available_memory())"
        )
        enter = "; ".join(f"echo $$ > {folder}/cgroup.procs" for folder in folders)
        line = f'{enter}; exec {sys.executable} -c "{code}"'
        done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no control groups of version 1 can be made here: {error}")
    finally:
        for folder in folders:
            if folder.is_dir():
                folder.rmdir()
    found, there, free = map(int, done.stdout.split())
    assert found == min(2, len(os.sched_getaffinity(0)))
    assert 0.99 * 900 * 2**20 < there <= 900 * 2**20
    assert 0 < free < there


GPUS = ["GPU-8932f937-d72c", "GPU-41aa", "GPU-77"]
PIECES = ["GPU-5", "MIG-a1", "MIG-b2"]


@pytest.mark.parametrize(
    ("listed", "asked", "count"),
    [
        (GPUS, None, 3),
        (GPUS, "0", 1),
        (GPUS, "0,7,1", 1),
        (GPUS, "GPU-8932,GPU-77", 2),
        (GPUS, "2,-1,0", 1),
        (PIECES, None, 1),
        (PIECES, "MIG-b2", 1),
        (PIECES, "MIG-none", 0),
        ([], "0", 0),
        ([], None, 0),
    ],
)
def test_devices_that_the_driver_lists(listed, asked, count):
    assert machine.count_listed(listed, asked) == count


def test_the_environment_alone_makes_no_device(monkeypatch):
    machine._gpu_count.cache_clear()
    monkeypatch.setattr(machine, "_GPU_FILES", ())
    monkeypatch.setattr(machine, "_listed_gpus", list)
    for listed in ("0", "0,1", "GPU-8932f937", "MIG-a1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
        assert machine.visible_gpus() == ()
        assert "there is no such device" in machine.promised_gpus()[0]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert machine.promised_gpus() == []


def test_torch_says_which_devices_there_are(monkeypatch):
    machine._gpu_count.cache_clear()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    monkeypatch.setattr(machine, "_GPU_FILES", ("/dev/null",))
    monkeypatch.setattr(machine, "_said", lambda words: "a banner\nsubtrain-count 2\n" if "-c" in words else "")
    assert machine.visible_gpus() == ("cuda:0", "cuda:1")
    machine._gpu_count.cache_clear()
    lines = "GPU 0: H (UUID: GPU-1)\n  MIG 1g.10gb Device 0: (UUID: MIG-a)\n"
    monkeypatch.setattr(machine, "_said", lambda words: "" if "-c" in words else lines)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-a")
    assert machine.visible_gpus() == ("cuda:0",)
    machine._gpu_count.cache_clear()
