# Python and make are all that a fresh machine needs: each target installs what it lacks into .venv.
PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
LOCK := uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 \
	--generate-hashes --no-header --upgrade pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help run train extras test test-all stress peers clients lint bench conformance long ablation chaos fuzz audit \
	lock clean

help: ## show these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

run: .venv/service.installed ## serve the newest model on port 8000
	$(BIN)/python -m service

train: .venv/trainer.installed ## train and publish a model; options go into ARGS="..."
	$(BIN)/python -m trainer $(ARGS)

extras: .venv/extras.installed ## install what "export --onnx" and --tensorboard need

test: .venv/dev.installed ## run the fast tests
	$(BIN)/pytest --numprocesses auto $(ARGS)

test-all: .venv/dev.installed ## run every test: browser, foreign clients, real MNIST (DATA_DIR)
	$(BIN)/pytest --numprocesses auto -m "not stress" $(ARGS)

stress: .venv/dev.installed ## inject faults into real processes; SHORT=1 takes three minutes
	$(BIN)/pytest -m stress tests/stress $(ARGS)

lint: .venv/dev.installed ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clients: .venv-kserve/installed ## install what a test needs to be KServe's client

peers: .venv-peers/installed ## install what "bench" compares with; a test needs its PyTorch

PEERS := peers bench-fastapi bench-mlserver bench-bentoml bench-litserve

bench: .venv/dev.installed $(PEERS:%=.venv-%/installed) ## measure the figures of the README (DATA_DIR: MNIST)
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.service
	$(BIN)/python -m benchmarks.overload
	$(BIN)/python -m benchmarks.recipes
	$(BIN)/python -m benchmarks.distortions

conformance: .venv/dev.installed ## try every route with thousands of requests, good and bad
	$(BIN)/python -m benchmarks.conformance

long: bench conformance ## the long form of "bench": what it measures, and thousands of requests

ablation: .venv/dev.installed ## measure what each part of a recipe brings (DATA_DIR: MNIST)
	$(BIN)/python -m benchmarks.ablation

chaos: .venv/dev.installed ## inject faults into the real processes; ARGS=--short for CI
	$(BIN)/python -m benchmarks.chaos $(ARGS)

fuzz: .venv-fuzz/installed ## fuzz every parser of untrusted input, one minute each
	.venv-fuzz/bin/python -m tests.fuzz $(ARGS)

audit: .venv-audit/installed ## look for weaknesses in the code, and for known ones in what is locked
	.venv-audit/bin/bandit --quiet --recursive nncore trainer service
	@rm -f .venv-audit/found
	.venv-audit/bin/pip-audit --strict --disable-pip --progress-spinner off --output .venv-audit/found \
		$(addprefix --requirement ,$(wildcard requirements/*.txt)) || \
		if [ -e .venv-audit/found ]; then cat .venv-audit/found; exit 1; \
		else echo "SKIPPED: what is locked, for what is known of it was not to be had"; fi

lock: ## write the locks anew, with the newest releases (needs uv)
	$(LOCK) --all-extras --output-file requirements/dev.txt
	$(LOCK) --extra service --constraint requirements/dev.txt --output-file requirements/service.txt
	$(LOCK) --extra trainer --constraint requirements/dev.txt --output-file requirements/trainer.txt
	$(LOCK:pyproject.toml=tests/integration/clients/kserve.in) --output-file tests/integration/clients/kserve.txt
	$(LOCK:pyproject.toml=requirements/sbom.in) --output-file requirements/sbom.txt
	$(LOCK:pyproject.toml=requirements/audit.in) --output-file requirements/audit.txt
	$(LOCK) tests/fuzz/requirements.in --extra service --constraint requirements/dev.txt \
		--output-file tests/fuzz/requirements.txt
	$(LOCK) --extra trainer --extra onnx --extra tensorboard --constraint requirements/dev.txt \
		--output-file requirements/extras.txt

clean: ## remove what the other targets made, but for models
	rm -rf .venv .venv-* .mypy_cache .pytest_cache .ruff_cache .hypothesis .fuzz_cache

.venv/bin/pip:
	$(PYTHON) -m venv .venv

.venv-peers/installed: benchmarks/peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

.venv-bench-%/installed: benchmarks/servers/%.txt
	$(PYTHON) -m venv .venv-bench-$*
	.venv-bench-$*/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

.venv-kserve/installed: tests/integration/clients/kserve.txt
	$(PYTHON) -m venv .venv-kserve
	.venv-kserve/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

.venv-fuzz/installed: tests/fuzz/requirements.txt
	$(PYTHON) -m venv .venv-fuzz
	.venv-fuzz/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

.venv-audit/installed: requirements/audit.txt
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

.venv/%.installed: requirements/%.txt .venv/bin/pip
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@
