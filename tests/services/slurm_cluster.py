"""A real Slurm cluster on this machine: one controller, and virtual nodes with fake GPUs and shards of them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from s3 import free_ports

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo", "munged", "munge")
CONF = """
ClusterName=subtrain
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control}
AuthType=auth/munge
AuthInfo=socket={home}/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool-%n
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd-%n.pid
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
SlurmdTimeout=10
MinJobAge=60
KillWait=2
JobRequeue=1
GresTypes=gpu,shard
SlurmdParameters=config_overrides
NodeName=n[1-{count}] NodeHostname={host} NodeAddr=127.0.0.1 Port={ports} CPUs=2 \\
  RealMemory=4000 Gres=gpu:2,shard:8
PartitionName=debug Nodes=n[1-{count}] Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """Programs that are not here, or root if we are not."""
    there = [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    return there + (["root"] if os.geteuid() else [])


@dataclass
class Cluster:
    """Start with `up`; every command needs `environment`."""

    home: Path
    count: int = 4

    @property
    def environment(self) -> dict[str, str]:
        return {"SLURM_CONF": str(self.home / "slurm.conf")}

    def up(self) -> None:
        host = socket.gethostname().split(".")[0]
        (self.home / "state").mkdir(parents=True)
        control, *nodes = free_ports(1 + self.count)
        places = {"host": host, "home": self.home, "control": control, "count": self.count}
        text = CONF.format(**places, ports=f"[{','.join(map(str, nodes))}]")
        (self.home / "slurm.conf").write_text(text)
        for i in range(2):
            os.mknod(self.home / f"fakegpu{i}", 0o020666, os.makedev(1, 3))
        gres = f"Name=gpu File={self.home}/fakegpu[0-1]\n", "Name=shard Count=8\n"
        (self.home / "gres.conf").write_text("".join(f"NodeName=n[1-{self.count}] {line}" for line in gres))
        (self.home / "cgroup.conf").write_text("CgroupAutomount=no\n")
        self._munge()
        self._start("slurmctld")
        for k in range(1, self.count + 1):
            (self.home / f"spool-n{k}").mkdir()
            self._start("slurmd", "-N", f"n{k}")
        end = time.monotonic() + 180
        while self.tell("sinfo", "-h", "-N", "-o", "%t").split().count("idle") < self.count:
            assert time.monotonic() < end, (self.home / "slurmctld.log").read_text()[-2000:]
            time.sleep(0.5)

    def _munge(self) -> None:
        """A munge daemon of our own, with its own key and socket."""
        (self.home / "munge.key").write_bytes(os.urandom(1024))
        (self.home / "munge.key").chmod(0o400)
        words = [f"--{k}={self.home}/munge.{k.split('-')[0]}" for k in ("key-file", "socket", "pid-file", "log-file")]
        words += [f"--seed-file={self.home}/munge.seed", "--force"]
        subprocess.run(["/usr/sbin/munged", *words], check=True, capture_output=True)

    def _start(self, program: str, *words: str) -> None:
        where = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
        assert where
        command = [where, "-f", str(self.home / "slurm.conf"), *words]
        subprocess.run(command, check=True, capture_output=True, env=os.environ | self.environment)

    def tell(self, *words: str) -> str:
        """What one of Slurm's commands prints."""
        return subprocess.run(words, capture_output=True, text=True, env=os.environ | self.environment).stdout

    def restarts(self, job: str) -> int:
        """How often Slurm has requeued a job, "NUMBER_INDEX"."""
        found = re.search(r"Restarts=(\d+)", self.tell("scontrol", "show", "job", job))
        return int(found[1]) if found else 0

    def pid(self, daemon: str) -> int:
        return int((self.home / f"{daemon}.pid").read_text())

    def kill(self, node: str) -> None:
        """The node's daemon dies; what it started goes on."""
        os.kill(self.pid(f"slurmd-{node}"), signal.SIGKILL)

    def revive(self, node: str) -> None:
        self._start("slurmd", "-N", node)

    def down(self) -> None:
        """End everything that `up` started."""
        self.tell("scancel", "--user=root")
        for file in [*self.home.glob("slurmd-*.pid"), self.home / "slurmctld.pid", self.home / "munge.pid"]:
            try:
                os.kill(int(file.read_text()), signal.SIGKILL)
            except (OSError, ValueError):
                continue
        mine = f"SLURM_CONF={self.home}/slurm.conf\0".encode()
        for entry in filter(str.isdigit, os.listdir("/proc")):
            # Steps outlive a daemon that was killed.
            with suppress(OSError):
                if mine in Path(f"/proc/{entry}/environ").read_bytes() and int(entry) != os.getpid():
                    os.kill(int(entry), signal.SIGKILL)
