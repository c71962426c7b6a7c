# Every job of the house. `make help` lists them; CI runs what a person runs.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help bootstrap run check test generate bench bench-ghz bench-cancel bench-tools lock clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# --- setting up -------------------------------------------------------------------------------------------------------------------------

$(VENV)/uv.stamp: requirements/uv.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

$(VENV)/run.stamp: $(VENV)/uv.stamp requirements/server.txt requirements/embedded.txt pyproject.toml clients/python/pyproject.toml
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/server.txt
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r requirements/embedded.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . -e clients/python
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements/dev.txt
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@

third_party/imported/stamp: $(VENV)/dev.stamp third_party/import_protos.py
	$(BIN)/python third_party/import_protos.py
	@touch $@

bootstrap: $(VENV)/dev.stamp third_party/imported/stamp  ## Set up everything that the other targets need, from nothing but Python 3.11 or newer

# --- everyday -----------------------------------------------------------------------------------------------------------------------------

run: $(VENV)/run.stamp  ## Set up, then serve on embedded defaults: no key, no account
	@exec $(BIN)/antiphon serve

check: bootstrap  ## Lint, types, layers, contract and generated code
	ruff format --check .
	ruff check .
	basedpyright
	lint-imports
	buf lint proto
	buf format --diff --exit-code proto
	$(BIN)/python -m tools.breaking
	$(BIN)/python -m tools.generated --check

test: bootstrap  ## Set up, check, then run all tests; coverage is enforced
	$(MAKE) check
	$(BIN)/python -m pytest
	$(BIN)/python -m tools.coverage_bars

generate: bootstrap  ## Generate code from the contract
	$(BIN)/python -m tools.generated

bench: bootstrap  ## Paired benchmark: bare grpc.aio against Antiphon, same upstream
	$(BIN)/python -m bench.run

bench-ghz: bootstrap  ## ghz scenarios (needs Go; builds ghz once)
	$(BIN)/python -m bench.ghz.run

bench-cancel: bootstrap  ## How soon a cancelled call closes its provider's connection
	$(BIN)/python -m bench.cancellation

bench-tools: bootstrap  ## Tool choice and JSON Schema answers of the embedded model
	$(BIN)/python -m bench.tool_choice.run

lock: $(VENV)/uv.stamp  ## Resolve the pinned, hashed requirements anew
	$(BIN)/python -m tools.lock

clean:  ## Remove everything that bootstrap made
	rm -rf $(VENV) third_party/imported
