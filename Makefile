# The verbs a person types. Each sets up what it needs in .venv; a second run does not reinstall.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
ARGS ?=

.PHONY: help setup drill test test-long bench mutants lint lock clean

help:
	@echo "make drill   set up, then the headline drill of each system in the embedded lab (ARGS='--target core-banking')"
	@echo "make test    set up, then pass the harness's own tests (ARGS='tests/lab -x')"
	@echo "make bench   set up, then measure: accuracy, costs, written data, other tools (20 minutes; nothing else beside it)"
	@echo "make test-long   set up, then the whole drills that are left out of make test for their time"
	@echo "make mutants     set up, then mistakes planted in the code that measures and judges: which do its tests notice? (hours)"
	@echo "make lint    ruff and mypy --strict"
	@echo "make setup   .venv from the hash-pinned requirements.lock"
	@echo "make lock    write requirements.lock anew from pyproject.toml (needs uv)"

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "failover-drill needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "python3 -m venv failed: on Debian and Ubuntu type: apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

drill: setup
	@$(BIN)/python -m pytest -m "failover and headline" $(ARGS)

# Two passes: what waits more than it works in three processes, then, one after the other, the tests that drill.
test: setup
ifeq ($(strip $(ARGS)),)
	@$(BIN)/python -m pytest -n 3 --dist loadfile -m "not failover and not alone and not long"
	@$(BIN)/python -m pytest tests/e2e -m "alone and not failover and not long"
else
	@$(BIN)/python -m pytest $(ARGS)
endif

test-long: setup
	@$(BIN)/python -m pytest -m "long and not failover"

# Chaos Toolkit pins packages of ours, so it has a venv of its own; without it its row is left out.
bench: setup
	@for script in benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done
	@$(BIN)/python -m benchmarks.prober
	@$(BIN)/python -m benchmarks.report_size
	@$(BIN)/python -m benchmarks.lab_start
	@test -x .venv-bench/bin/chaos || { $(PYTHON) -m venv .venv-bench && .venv-bench/bin/pip install --quiet -r benchmarks/requirements.txt; } || true
	@$(BIN)/python -m benchmarks.side_by_side $$(test -x .venv-bench/bin/chaos && echo --chaos .venv-bench/bin/chaos)
	@$(BIN)/drill calibrate --outages 1000

mutants: setup
	@$(BIN)/python -m benchmarks.mutants $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lock:
	uv pip compile pyproject.toml --group dev --generate-hashes --universal --no-header --quiet -o requirements.lock

clean:
	rm -rf $(VENV) *.egg-info .mypy_cache .ruff_cache
