# Needs Python and make: each target installs the packages that it needs into .venv, .venv-bench or .venv-tools.
PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
INSTALL := pip install --quiet --disable-pip-version-check
LOCK := .venv-tools/bin/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 \
	--generate-hashes --no-header --upgrade

.DEFAULT_GOAL := help
.PHONY: help run train lint test test-all bench stress fuzz audit lock stats clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

run: .venv/service.installed ## serve the models on port 8000; another port: PORT=9000
	$(BIN)/python -m nodestack serve $(ARGS)

train: .venv/extras.installed ## train and publish a model; options: ARGS="--recipe quick", list: ARGS=--help
	$(BIN)/python -m nodestack train $(ARGS)

lint: .venv/dev.installed ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: .venv/dev.installed ## run the fast tests; some of them: ARGS="tests/nncore -k softmax"
	$(BIN)/pytest --numprocesses auto $(ARGS)

test-all: .venv/dev.installed .venv-bench/installed .venv-tools/installed ## run all tests, in containers too where Docker runs; DATA_DIR=folder with MNIST
	$(BIN)/pytest --numprocesses auto -m "not stress" $(ARGS)
	@if docker info >/dev/null 2>&1; then .ci/containers; \
		else echo "SKIPPED: the containers, because no container engine answers"; fi

bench: .venv/dev.installed .venv-bench/installed ## write the figures of docs/benchmarks.md, half an hour; DATA_DIR=folder with MNIST
	$(BIN)/python -m benchmarks $(ARGS)

stress: .venv/dev.installed ## inject faults into real processes, half an hour; three minutes: SHORT=1
	$(BIN)/pytest -m stress tests/stress $(ARGS)

fuzz: .venv-tools/installed ## fuzz every parser of untrusted input, one minute each
	.venv-tools/bin/python -m tests.fuzz $(ARGS)

audit: .venv-tools/installed ## search the code for weaknesses and the locked packages for known vulnerabilities
	.venv-tools/bin/bandit --quiet --recursive nodestack.py nncore trainer service
	@rm -f .venv-tools/found
	.venv-tools/bin/pip-audit --strict --disable-pip --progress-spinner off --output .venv-tools/found \
		$(addprefix --requirement requirements/,dev.txt extras.txt sbom.txt service.txt trainer.txt) || \
		if [ -e .venv-tools/found ]; then cat .venv-tools/found; exit 1; \
		else echo "SKIPPED: known vulnerabilities, because their database is out of reach"; fi

lock: .venv-tools/installed ## update the locked dependencies in requirements/ to the newest releases
	$(LOCK) pyproject.toml --all-extras --output-file requirements/dev.txt
	$(LOCK) pyproject.toml --constraint requirements/dev.txt --output-file requirements/service.txt
	$(LOCK) requirements/trainer.in --constraint requirements/dev.txt --output-file requirements/trainer.txt
	$(LOCK) pyproject.toml --extra trainer --extra onnx --extra tensorboard --constraint requirements/dev.txt \
		--output-file requirements/extras.txt
	$(LOCK) requirements/bench.in --output-file requirements/bench.txt
	$(LOCK) pyproject.toml requirements/tools.in --output-file requirements/tools.txt
	$(LOCK) requirements/sbom.in --output-file requirements/sbom.txt

stats: ## count lines per part and compare them with the targets
	@lines() { find "$$@" -name '*.py' -exec cat {} + | wc -l; }; \
	row() { printf '%-10s %6s  target %s\n' "$$@"; }; \
	row nncore "$$(lines nncore)" 1600; row trainer "$$(lines trainer)" 3600; row service "$$(lines service)" 3400; \
	row tests "$$(lines tests)" "$$(($$(lines nodestack.py nncore trainer service) * 11 / 10))"; \
	row benchmarks "$$(lines benchmarks)" 1800; row README "$$(wc -l < README.md)" 200

clean: ## remove the environments and caches, but not models
	rm -rf .venv .venv-* .mypy_cache .pytest_cache .ruff_cache .hypothesis .fuzz_cache build *.egg-info

.venv/bin/pip:
	$(PYTHON) -m venv .venv

.venv/%.installed: requirements/%.txt .venv/bin/pip
	$(BIN)/$(INSTALL) --require-hashes --requirement $<
	@touch $@

.venv-%/installed: requirements/%.txt
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/$(INSTALL) --require-hashes --requirement $<
	@touch $@

# PyTorch comes without a hash: which build (CPU or CUDA) suits the machine, its package index decides.
.venv-bench/installed: requirements/bench.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/$(INSTALL) --require-hashes --requirement $<
	.venv-bench/bin/$(INSTALL) torch==2.13.0
	@touch $@
