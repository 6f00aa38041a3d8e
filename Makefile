# Python and make are all that a fresh machine needs: each target installs what it lacks into .venv.
PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
LOCK := uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 \
	--generate-hashes --no-header --upgrade pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help run train extras test peers lint bench ablation lock clean

help: ## show these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

run: .venv/service.installed ## serve the newest model on port 8000
	$(BIN)/gunicorn --config service/gunicorn_conf.py 'service:create_app()'

train: .venv/trainer.installed ## train and publish a model; options go into ARGS="..."
	$(BIN)/python -m trainer $(ARGS)

extras: .venv/extras.installed ## install what "export --onnx" and --tensorboard need

test: lint ## check style and types, run the tests
	$(BIN)/pytest $(ARGS)

lint: .venv/dev.installed ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

peers: .venv-peers/installed ## install what "bench" compares with; a test needs its PyTorch

bench: .venv/dev.installed .venv-peers/installed ## measure the figures of the README (DATA_DIR: MNIST)
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.forward
	$(BIN)/python -m benchmarks.decoding
	$(BIN)/python -m benchmarks.recipes
	$(BIN)/python -m benchmarks.distortions

ablation: .venv/dev.installed ## measure what each part of a recipe brings (DATA_DIR: MNIST)
	$(BIN)/python -m benchmarks.ablation

lock: ## write requirements/ anew, with the newest releases (needs uv)
	$(LOCK) --all-extras --output-file requirements/dev.txt
	$(LOCK) --extra service --constraint requirements/dev.txt --output-file requirements/service.txt
	$(LOCK) --extra trainer --constraint requirements/dev.txt --output-file requirements/trainer.txt
	$(LOCK) --extra trainer --extra onnx --extra tensorboard --constraint requirements/dev.txt \
		--output-file requirements/extras.txt

clean: ## remove what the other targets made, but for models
	rm -rf .venv .venv-peers .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/bin/pip:
	$(PYTHON) -m venv .venv

.venv-peers/installed: benchmarks/peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

.venv/%.installed: requirements/%.txt .venv/bin/pip
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@
