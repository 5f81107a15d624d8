#!/usr/bin/env bash
# Installs what the service tests start: a Ceph object gateway and bindfs (Debian packages), moto's S3 server and
# schemathesis (pip).
# Usage: tests/services/install.sh [PYTHON], as root; run again, it does nothing twice.
set -euo pipefail
python=${1:-.venv/bin/python}
packages=(ceph-mon ceph-osd ceph-mgr radosgw bindfs fuse3)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q "install ok installed" || missing+=("$package")
done
if ((${#missing[@]})); then
  apt-get -o DPkg::Lock::Timeout=600 update
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "${missing[@]}"
fi
"$python" -m pip install --quiet --disable-pip-version-check "moto[server]>=5.0" "obstore>=0.8" "schemathesis>=4.0"
