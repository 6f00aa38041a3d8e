# Needs Python and make: each target installs the packages that it needs into .venv, .venv-bench or .venv-tools.
PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
INSTALL := pip install --quiet --disable-pip-version-check
LOCK := .venv-tools/bin/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 \
	--generate-hashes --no-header --upgrade

.DEFAULT_GOAL := help
.PHONY: help run train lint test test-all bench stress fuzz audit lock stats clean

help: ## show these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

run: .venv/service.installed ## serve the newest model on port 8000
	$(BIN)/python -m nodestack serve $(ARGS)

train: .venv/extras.installed ## train and publish a model, options in ARGS="..."
	$(BIN)/python -m nodestack train $(ARGS)

lint: .venv/dev.installed ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: .venv/dev.installed ## run the fast tests
	$(BIN)/pytest --numprocesses auto $(ARGS)

test-all: .venv/dev.installed .venv-bench/installed .venv-tools/installed ## run the slow tests too; DATA_DIR: MNIST
	$(BIN)/pytest --numprocesses auto -m "not stress" $(ARGS)

bench: .venv/dev.installed .venv-bench/installed ## measure the figures of docs/benchmarks.md; DATA_DIR: MNIST
	$(BIN)/python -m benchmarks $(ARGS)

stress: .venv/dev.installed ## inject faults into real processes; SHORT=1: three minutes
	$(BIN)/pytest -m stress tests/stress $(ARGS)

fuzz: .venv-tools/installed ## fuzz every parser of untrusted input, one minute each
	.venv-tools/bin/python -m tests.fuzz $(ARGS)

audit: .venv-tools/installed ## look for weaknesses in the code and known vulnerabilities in the locked packages
	.venv-tools/bin/bandit --quiet --recursive nodestack.py nncore trainer service
	@rm -f .venv-tools/found
	.venv-tools/bin/pip-audit --strict --disable-pip --progress-spinner off --output .venv-tools/found \
		$(addprefix --requirement requirements/,dev.txt extras.txt sbom.txt service.txt trainer.txt) || \
		if [ -e .venv-tools/found ]; then cat .venv-tools/found; exit 1; \
		else echo "SKIPPED: known vulnerabilities, because their database is out of reach"; fi

lock: .venv-tools/installed ## lock the newest releases of all dependencies
	$(LOCK) pyproject.toml --all-extras --output-file requirements/dev.txt
	$(LOCK) pyproject.toml --constraint requirements/dev.txt --output-file requirements/service.txt
	$(LOCK) requirements/trainer.in --constraint requirements/dev.txt --output-file requirements/trainer.txt
	$(LOCK) pyproject.toml --extra trainer --extra onnx --extra tensorboard --constraint requirements/dev.txt \
		--output-file requirements/extras.txt
	$(LOCK) requirements/bench.in --output-file requirements/bench.txt
	$(LOCK) pyproject.toml requirements/tools.in --output-file requirements/tools.txt
	$(LOCK) requirements/sbom.in --output-file requirements/sbom.txt

stats: ## count lines of Python per part, and of the README, against the targets
	@lines() { find "$$@" -name '*.py' -exec cat {} + | wc -l; }; \
	row() { printf '%-10s %6s  target %s\n' "$$@"; }; \
	row nncore "$$(lines nncore)" 1600; row trainer "$$(lines trainer)" 3600; row service "$$(lines service)" 3400; \
	row tests "$$(lines tests)" "$$(($$(lines nodestack.py nncore trainer service) * 11 / 10))"; \
	row benchmarks "$$(lines benchmarks)" 1800; row README "$$(wc -l < README.md)" 200

clean: ## remove what the other targets made, except models
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
