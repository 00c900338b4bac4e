# Everything runs from a virtual environment in .venv that the first target makes; all that is needed is make and
# Python 3.11 to 3.13. PYTHON=python3.12 chooses another one, VENV=… another place.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help demo test compiled bench bench-short lint types chaos chaos-short simulate rehearse mutants lock docs clean

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: $(VENV)/run.stamp  ## Start everything on this machine and send real events through it
	$(BIN)/ringonce demo

test: $(VENV)/dev.stamp  ## Run all tests against a real Kafka, three processes side by side
	$(BIN)/python scripts/run_tests.py

compiled: $(VENV)/dev.stamp  ## The wheel with the hot path as machine code, unpacked into .ringonce/compiled
	$(BIN)/python scripts/compiled.py

bench: $(VENV)/dev.stamp  ## Measure against Kafka Streams and others, as the image runs: compiled
	$(BIN)/python scripts/compiled.py -m tests.benchmarks

bench-short: $(VENV)/dev.stamp  ## A minute of it: a wrong output fails, time alone does not
	$(BIN)/python -m tests.benchmarks regress

lint: $(VENV)/dev.stamp  ## Style and import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/dev.stamp  ## mypy, strict, tests included
	$(BIN)/mypy

chaos: $(VENV)/dev.stamp  ## Faults × workloads, checked from the record
	$(BIN)/python -m tests.chaos

chaos-short: $(VENV)/dev.stamp  ## A few minutes of it
	$(BIN)/python -m tests.chaos --short

SEEDS ?= 200
simulate: $(VENV)/dev.stamp  ## Worlds of many workers under one seed each; SEEDS=… says how many
	$(BIN)/python -m tests.simulation --seeds $(SEEDS)

rehearse: $(VENV)/dev.stamp  ## Bring about the fault of every alert, carry out its runbook; writes docs/rehearsals.md
	$(BIN)/python -m tests.rehearsals

mutants: $(VENV)/dev.stamp  ## Put bugs into copies of the tree and see that tests fail; writes docs/proof.md
	$(BIN)/python -m tests.mutants

lock: $(VENV)/dev.stamp  ## Choose the versions of all dependencies and of Kafka's jars anew
	$(BIN)/python scripts/lock_dependencies.py
	$(BIN)/python scripts/lock_kafka_jars.py

docs: $(VENV)/dev.stamp  ## Write the generated pages of docs/ anew
	$(BIN)/python scripts/write_configuration.py
	$(BIN)/python scripts/write_concepts.py
	$(BIN)/python scripts/write_capacity.py
	$(BIN)/python scripts/write_metrics.py
	$(BIN)/python -m scripts.dashboard

clean:  ## Remove the virtual environment and local state
	rm -rf $(VENV) .ringonce

# The stamps are younger than the locks they were made from, so that a second make installs nothing.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "Python 3.11 to 3.13 is needed; choose one: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/run.stamp
