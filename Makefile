# The two commands a newcomer needs are `make repro` and `make test`. `make help` lists all.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2
export PATH := $(CURDIR)/$(BIN):$(PATH)
# These are medical data: no tool reports home.
export DVC_NO_ANALYTICS := true
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
# The successor of the documentation's theme advertises itself on every build.
export NO_MKDOCS_2_WARNING := true
# Two processes that share two cores must not start two threads each.
export OMP_NUM_THREADS ?= 1

.PHONY: help repro test test-slow lint audit sbom docs clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

repro: .venv/installed ## set up, get the data, run the pipeline, print the verdict
	@medgraft repro $(ARGS)

test: .venv/installed lint ## lint, types, architecture and the fast tests (under 10 minutes)
	python -m pytest -m "not slow" -n $(WORKERS)

test-slow: .venv/installed ## the slow tests
	python -m pytest -m slow -n $(WORKERS) --dist loadfile --durations 12

lint: .venv/installed ## style, types, security
	ruff check .
	ruff format --check .
	mypy
	bandit --quiet --configfile pyproject.toml --recursive src

audit: ## known vulnerabilities of the pinned versions; asks PyPI's advisory database
	$(PYTHON) -m venv .audit
	.audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	.audit/bin/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

sbom: .venv/installed ## write sbom.json: every installed distribution, its version and licence
	python tools/sbom.py > sbom.json

docs: .venv/installed ## build the documentation into site/
	mkdocs build --strict --quiet

clean: ## remove everything that can be made again (not data/, not DVC's cache)
	rm -rf work mlflow site dvc_plots .venv .audit .pytest_cache .mypy_cache .ruff_cache
