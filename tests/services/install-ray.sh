#!/bin/sh
# What tests/services/test_ray.py needs: Ray, in the environment of the python given (by default .venv).
set -e
"${1:-.venv/bin/python}" -m pip install --quiet --disable-pip-version-check 'ray>=2.40'
