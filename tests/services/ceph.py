"""A Ceph RADOS Gateway on loopback: a monitor, an OSD in memory and the gateway, ended with the context."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from s3 import Endpoint, free_ports, wait_for

PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "ceph", "ceph-authtool", "monmaptool", "radosgw-admin")

CONFIG = """
[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:{mon},v1:127.0.0.1:{old}]
mon_initial_members = a
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_allow_insecure_global_id_reclaim = false
osd_pool_default_size = 1
osd_pool_default_min_size = 1
mon_allow_pool_size_one = true
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_max_pg_per_osd = 2000
osd_objectstore = memstore
# A monitor ends itself on a disk that is nearly full, and every request then waits for it without an end.
mon_data_avail_crit = 0
memstore_device_bytes = 2147483648
ms_bind_ipv6 = false
run_dir = {here}
admin_socket = {here}/$name.asok
pid_file =
log_file = {here}/$name.log
mon_data = {here}/mon
osd_data = {here}/osd
[client.admin]
keyring = {here}/admin.keyring
[client.rgw.a]
rgw_data = {here}/rgw
keyring = {here}/rgw/keyring
rgw_frontends = beast endpoint=127.0.0.1:{port}
rgw_dns_name = localhost
"""


def missing() -> list[str]:
    """Programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


@contextmanager
def gateway(here: Path) -> Iterator[Endpoint]:
    """The gateway, with data and logs in folder `here`; everything is ended when the context is left."""
    mon, old, port = free_ports(3)
    config = here / "ceph.conf"
    fsid, osd = str(uuid4()), str(uuid4())
    config.write_text(CONFIG.format(fsid=fsid, mon=mon, old=old, port=port, here=here))
    for name in ("osd", "rgw"):
        (here / name).mkdir()
    started: list[subprocess.Popen[bytes]] = []

    def run(program: str, *args: str, stdout: str | None = None) -> None:
        command = [program, *(("-c", str(config)) if program not in PROGRAMS[4:6] else ()), *args]
        done = subprocess.run(command, cwd=here, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, (command, done.stderr.decode())
        if stdout:
            (here / stdout).write_bytes(done.stdout)

    def start(program: str, *args: str) -> None:
        command = [program, "-c", str(config), "-f", *args]
        with open(here / f"{program}.out", "wb") as log:
            started.append(subprocess.Popen(command, cwd=here, stdout=log, stderr=log, start_new_session=True))

    run("ceph-authtool", "mon.keyring", "--create-keyring", "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
    every = [word for part in ("mon", "osd", "mgr") for word in ("--cap", part, "allow *")]
    run("ceph-authtool", "admin.keyring", "--create-keyring", "--gen-key", "-n", "client.admin", *every)
    run("ceph-authtool", "mon.keyring", "--import-keyring", "admin.keyring")
    addresses = f"[v2:127.0.0.1:{mon},v1:127.0.0.1:{old}]"
    run("monmaptool", "--create", "--addv", "a", addresses, "--fsid", fsid, "--clobber", "monmap")
    try:
        run("ceph-mon", "--mkfs", "-i", "a", "--monmap", "monmap", "--keyring", "mon.keyring")
        start("ceph-mon", "-i", "a")
        run("ceph", "osd", "new", osd, "0")
        run(
            "ceph", "auth", "get-or-create", "osd.0", "mon", "allow profile osd", "osd", "allow *", stdout="osd/keyring"
        )
        run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        start("ceph-osd", "-i", "0")
        rights = ("mon", "allow rw", "osd", "allow rwx")
        run("ceph", "auth", "get-or-create", "client.rgw.a", *rights, stdout="rgw/keyring")
        start("radosgw", "-n", "client.rgw.a")
        wait_for(lambda: socket.create_connection(("127.0.0.1", port), 1).close(), 90)
        for name in ("owner", "reader"):
            keys = (f"--access-key={name.upper()}KEY", f"--secret-key={name}secret")
            run("radosgw-admin", "user", "create", f"--uid={name}", f"--display-name={name}", *keys)
        yield Endpoint("ceph", f"http://127.0.0.1:{port}", "OWNERKEY", "ownersecret")
    finally:
        for process in reversed(started):
            process.send_signal(signal.SIGKILL)
            process.wait()
