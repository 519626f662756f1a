# Everything that Recouple's developers and its CI run. `make help` lists it.

PYTHON ?= python3

BIN   := .venv/bin
STAMP := .venv/.complete
BENCH_STAMP := .venv/.complete-for-bench

.DEFAULT_GOAL := help
.PHONY: help venv demo test check faults load fuzz bench format format-check lint types layers docs run clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(STAMP)  ## Build the virtual environment in .venv, if it is not there or its requirements changed

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { \
	    echo "There is no '$(PYTHON)' on the PATH. Install Python 3.11 or newer, or name one: make $(or $(MAKECMDGOALS),venv) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "Recouple needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Name another: make $(or $(MAKECMDGOALS),venv) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "'$(PYTHON)' cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(STAMP)  ## Show the whole story on the embedded store and broker, in a temporary folder
	@$(BIN)/recouple demo

test: $(STAMP)  ## Run every test, in three processes: most of them wait for servers and workers
	$(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder --durations 15

check: format-check lint types layers test  ## What a change must pass: format, lint, types, layers, tests

faults: $(STAMP)  ## Break everything while it works, and see that nothing is lost: FAULTS=n cycles, FAULTS_SEED=n as before
	@$(BIN)/python -m tests.faults

load: $(STAMP)  ## Give the workers more than they can take, and print what they held and how they answered: LOAD=n messages
	LOAD=$(or $(LOAD),100000) $(BIN)/pytest tests/load

fuzz: $(STAMP)  ## Feed everything that others write with what nobody would: FUZZ=n inputs in all; findings go to tests/fuzz/corpus
	@$(BIN)/python -m tests.fuzz $(if $(FUZZ),--inputs $(FUZZ))

bench: $(BENCH_STAMP)  ## Measure, and write bench/latest.json with a page and plots beside it: BENCH=quick|medium|full
	@$(BIN)/python -m bench --plan $(or $(BENCH),quick)

$(BENCH_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	@touch $@

format: $(STAMP)  ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

format-check: $(STAMP)  ## Is the code formatted?
	$(BIN)/ruff format --check .

lint: $(STAMP)  ## Lint
	$(BIN)/ruff check .

types: $(STAMP)  ## Check the types
	$(BIN)/mypy

layers: $(STAMP)  ## Check who may import whom
	$(BIN)/lint-imports --no-logo

docs: $(STAMP)  ## Write anew what docs/ holds of the code: asyncapi.yaml, and parts of messages.md and rules.md
	$(BIN)/python -m tools.docs

run: $(STAMP)  ## Run a worker with its services: compose where Docker answers, else what RECOUPLE_* names or the embedded ones
	@if docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1; then \
	    exec docker compose up --build; \
	else \
	    echo "No Docker engine answers: running on RECOUPLE_STORE_URL and RECOUPLE_BROKER_URL, or on the embedded ones in .recouple/."; \
	    $(BIN)/recouple setup && exec $(BIN)/recouple work; \
	fi

clean:  ## Remove what the tools left behind; the virtual environment and .recouple/ stay
	rm -rf build dist *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
