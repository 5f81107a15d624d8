# `make demo` and `make test` each make .venv, install what they need, and do their job.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PYTEST := $(BIN)/python -m pytest
# The tests start hundreds of processes: each would compile what it imports anew where Python may not keep bytecode.
unexport PYTHONDONTWRITEBYTECODE
# Each of two processes begins with a half, so that what tests of a file share is made once, and kernels are compiled once.
HALVES := -n 2 --dist worksteal

.PHONY: demo test test-slow test-services test-services-again lint types check docs web clean

demo: $(VENV)/.core
	$(BIN)/subtrain demo

test: $(VENV)/.dev
	$(PYTEST) $(HALVES) -m "not slow and not services"

test-slow: $(VENV)/.dev
	$(PYTEST) $(HALVES) --timeout=3000 -m "slow and not services"

test-services: $(VENV)/.dev
	for script in tests/services/install*.sh; do bash $$script $(BIN)/python || exit 1; done
	$(PYTEST) -n 3 --dist loadfile --no-loadscope-reorder -rs -m services

# Those that failed just now, one after another: a cluster that was slow to come up is no fault of ours, two failures are.
test-services-again: $(VENV)/.dev
	$(PYTEST) -n 0 -rs -m services --last-failed

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

check: lint types test

# The site of the pages in docs/: build/site/index.html, to be opened from files.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	$(PYTEST) -n 0 docs/_site

# The explorer's page, from web/ (needs Node.js; users do not: the built page is committed).
web:
	cd web && npm ci --no-audit --no-fund && npm run check && npm test && npm run build

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "subtrain needs Python 3.11 or newer; say PYTHON=python3.x"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) torch -e ".[dev,torch]"
	@touch $@ $(VENV)/.core

$(VENV)/.docs: pyproject.toml constraints.txt $(VENV)/.dev
	$(PIP) -e ".[docs]"
	@touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
