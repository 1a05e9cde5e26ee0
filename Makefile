# Everything runs in .venv, which the first target that needs it creates. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slurm check lint types format wheel-test clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

install: $(STAMP) ## create .venv and install simplify with all extras from constraints.txt

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,hub,notebook,report,glue]'
	@touch $@

demo: $(STAMP) ## tune the rate of two blocks on Python source and compare them, a few minutes on two CPU cores
	$(BIN)/simplify sweep sweeps/quickstart.yaml --watch
	$(BIN)/simplify report sweeps/quickstart.yaml

test: $(STAMP) ## run the test suite
	$(BIN)/python -m pytest -n 2 --dist worksteal --ignore=tests/slurm

test-slurm: $(STAMP) ## run the tests on a real Slurm cluster, brought up for them (root, Debian's packages: .ci/run)
	$(BIN)/python -m pytest -n 3 tests/slurm

check: lint types test test-slurm ## everything CI runs

lint: $(STAMP) ## ruff: errors and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## pyright
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(STAMP) ## let ruff rewrite the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel-test: $(STAMP) ## build the wheel, install it in a fresh environment, train from another folder
	$(BIN)/python -m pytest tests/test_wheel.py

clean: ## remove the environment and build products; runs/ stays
	rm -rf $(VENV) build dist .ruff_cache .hypothesis
