#!/usr/bin/env bash
# Installs what tests/services/test_slurm.py starts: Debian's Slurm and munge. As root; run again, it does nothing twice.
set -euo pipefail
dpkg-query -W -f='${Status}\n' slurm-wlm munge 2>/dev/null | grep -c "install ok installed" | grep -qx 2 && exit 0
apt-get -o DPkg::Lock::Timeout=600 update
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends slurm-wlm munge
