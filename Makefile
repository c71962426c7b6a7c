# Every job of the house. `make help` lists them; CI runs what a person runs.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help bootstrap run check test test-collector generate settings bench bench-parts soak bench-ghz bench-cancel bench-tools campaign-rolling campaign-overload campaign-stalled lock clean

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
	$(BIN)/python -m tools.permissions
	$(BIN)/python -m tools.generated --check
	$(BIN)/python -m tools.settings --check
	$(BIN)/python -m tools.licences --check
	$(BIN)/python -m tools.sbom --check
	$(BIN)/python -m tools.advisories --check

test: bootstrap  ## Set up, check, then run all tests; coverage is enforced
	$(MAKE) check
	$(BIN)/python -m pytest
	$(BIN)/python -m tools.coverage_bars

test-collector: bootstrap  ## The tests of traces against the OpenTelemetry collector (needs Go; builds it once, in minutes)
	ANTIPHON_TEST_COLLECTOR=1 $(BIN)/python -m pytest --no-cov tests/interop/test_traces.py

generate: bootstrap  ## Generate code from the contract
	$(BIN)/python -m tools.generated

settings: bootstrap  ## Write docs/SETTINGS.md from the configuration's sections
	$(BIN)/python -m tools.settings

bench: bootstrap  ## Paired benchmark: bare grpc.aio against Antiphon, same upstream
	$(BIN)/python -m bench.run

bench-parts: bootstrap  ## What each part costs: TLS, keys, traces, access log, workers ...
	$(BIN)/python -m bench.parts

soak: bootstrap  ## Half an hour of mixed load: memory, descriptors, tasks
	$(BIN)/python -m bench.soak --minutes 30 --seed 1

bench-ghz: bootstrap  ## ghz scenarios (needs Go; builds ghz once)
	$(BIN)/python -m bench.ghz.run

bench-cancel: bootstrap  ## How soon a cancelled call closes its provider's connection
	$(BIN)/python -m bench.cancellation

campaign-rolling: bootstrap  ## Workers replaced and killed under load: what callers notice
	$(BIN)/python -m bench.campaigns.rolling

bench-tools: bootstrap  ## Tool choice and JSON Schema answers of the embedded model
	$(BIN)/python -m bench.tool_choice.run

campaign-overload: bootstrap  ## Five times the calls that a server can take: goodput, the cost of a refusal, health
	$(BIN)/python -m bench.campaigns.overload

campaign-stalled: bootstrap  ## A thousand readers that read nothing: memory, eviction, what others notice
	$(BIN)/python -m bench.campaigns.stalled_readers

lock: $(VENV)/uv.stamp  ## Resolve the pinned, hashed requirements anew
	$(BIN)/python -m tools.lock

# --- what is handed on --------------------------------------------------------------------------------------------------------------------

.PHONY: wheels licences sbom advisories audit container-steps

wheels: bootstrap  ## Build the server's and the SDK's wheels and source distributions into dist/, twice, and compare
	$(BIN)/python -m tools.wheels

licences: bootstrap  ## Write LICENSES.md from the locks and the packages' metadata
	$(BIN)/python -m tools.licences

sbom: bootstrap  ## Write deploy/sbom.cdx.json, the CycloneDX bill of what a deployment runs
	$(BIN)/python -m tools.sbom

advisories: bootstrap  ## Copy what a dump of OSV records says of our locks: make advisories FROM=<folder or zip> SOURCE="<what it is>"
	@test -n "$(FROM)" -a -n "$(SOURCE)" || { echo 'make advisories FROM=<folder or zip of OSV records> SOURCE="<what it is>"; docs/SUPPLY_CHAIN.md tells more'; exit 2; }
	$(BIN)/python -m tools.advisories --refresh "$(FROM)" --source "$(SOURCE)"

audit: bootstrap  ## Before a release: the advisories' scan, failing also where it could not look
	$(BIN)/python -m tools.advisories --check --strict

container-steps: wheels  ## Replay deploy/Containerfile without an engine: install, start, health check, stop (about a minute)
	$(BIN)/python -m tools.container_steps

clean:  ## Remove everything that bootstrap made
	rm -rf $(VENV) third_party/imported
