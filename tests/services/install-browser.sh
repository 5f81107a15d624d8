#!/usr/bin/env bash
# What tests/explorer/browser needs: Debian's Chromium and nginx, and Playwright and axe in the environment of the python given
# (by default .venv). Playwright's own browsers are not used. Usage, as root: tests/services/install-browser.sh [PYTHON]
set -euo pipefail
if ! [ -x /usr/bin/chromium ] || ! [ -x /usr/sbin/nginx ]; then
  apt-get -o DPkg::Lock::Timeout=600 update
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends chromium nginx-light
fi
"${1:-.venv/bin/python}" -m pip install --quiet --disable-pip-version-check \
  "playwright>=1.45" "axe-playwright-python>=0.1.4" "fastapi>=0.115" "uvicorn>=0.30"
