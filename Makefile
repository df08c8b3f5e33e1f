# Every target sets up what it needs by itself, says what it does, and can be run twice.

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip install -qq
STAMP   := $(VENV)/.locked
LOCK    := requirements-dev.lock
SOURCES := workflows activities workers infra tests
PYTEST  ?=
# Processes that share a run of the tests, each with servers of its own.
JOBS    ?= 2
BENCH   ?=
CHAOS   ?=
SOAK    ?=
MUTANTS ?=
# Releases younger than this stay out of the locks: time for a stolen account to be noticed.
COOLDOWN ?= 7 days
UPGRADE ?=
COMPILE := uv pip compile --quiet $(UPGRADE) --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	--exclude-newer "$(COOLDOWN)" --override requirements-overrides.txt

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help setup demo tour bench chaos soak mutants up down stack-status env check format test lock

help: ## Say what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## Install the pinned tools and libraries into .venv (again only when the lock changed)

$(STAMP): $(LOCK) pyproject.toml
	@echo "Setting up $(VENV) from $(LOCK) (a minute or so the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes --no-deps --only-binary :all: -r $(LOCK)
	@$(PIP) --no-deps --no-build-isolation --no-index -e .
	@touch $@

demo: setup ## Run a real batch of 1,000 subjects from a file to a verified bundle (starts what it needs)
	@$(BIN)/python -m infra.demo

tour: setup ## The same with you as the approver
	@$(BIN)/python -m infra.demo.tour

bench: setup ## Measure speed, memory, events and Actions (BENCH="--subjects 100000"; a minute or two)
	@$(BIN)/python -m tests.bench $(BENCH)

chaos: setup ## Kill, stop, cut and fill everything under one large batch (CHAOS="--seed 7 --kills 100"; half an hour)
	@$(BIN)/python -m tests.chaos $(CHAOS)

soak: setup ## Run every command fifty times and every batch ending over and over (SOAK="--rounds 50")
	@$(BIN)/python -m tests.soak $(SOAK)

mutants: setup ## Remove each check of the approval and verification path in turn; a test must fail (MUTANTS="--only judging")
	@$(BIN)/python -m tests.mutants $(MUTANTS)

up: setup ## Start Temporal, PostgreSQL, OpenBao and both workers, and keep them running
	@$(BIN)/python -m infra.devstack up

down: setup ## Stop them; the data stays
	@$(BIN)/python -m infra.devstack down

stack-status: setup ## Say which of them run, where, and how a dead one ended
	@$(BIN)/python -m infra.devstack status

env: setup ## Print what points a shell at the stack: eval "$$(make -s env)"
	@$(BIN)/python -m infra.devstack env

check: setup ## Lint, format check, types, import contracts
	@echo "ruff check";          $(BIN)/ruff check $(SOURCES)
	@echo "ruff format --check"; $(BIN)/ruff format --check $(SOURCES)
	@echo "mypy";                $(BIN)/mypy
	@echo "import contracts";    $(BIN)/lint-imports

format: setup ## Format the code
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix $(SOURCES)

test: setup ## Run every test, on real servers of its own (PYTEST="-k name" narrows it, JOBS=1 takes turns)
	@echo "Testing: starts its own Temporal, PostgreSQL and OpenBao and ends them"
	@$(BIN)/python -m pytest -n $(JOBS) --no-loadscope-reorder $(PYTEST)

lock: ## Resolve the lock files anew (needs uv; UPGRADE=--upgrade takes newer releases)
	$(COMPILE) pyproject.toml requirements.in -o requirements.lock
	$(COMPILE) requirements-custody.in -c requirements.lock -o requirements-custody.lock
	$(COMPILE) pyproject.toml --extra dev requirements.in requirements-dev.in -c requirements.lock \
		-o requirements-dev.lock
