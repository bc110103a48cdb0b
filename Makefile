# `make help` lists what there is. Everything runs in .venv, which `make run` and `make test` create themselves.

PYTHON ?= python3
BIN := .venv/bin
# Some tests only: make test TESTS="tests/audit -k chain"
TESTS ?=
# One more than there are cores: a test waits for processes of the product much of the time.
JOBS ?= 3
# Packages come uncompiled, and everything here starts processes: the first compiles for all, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run servers stop reset test check lint types layers migrations settings generated \
        format generate bench chaos precedence fire-drill browser screenshots lock venv dev

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: venv ## Start everything here, with demo data; Ctrl-C stops all of it (PORT, OPS_PORT, DATABASE_URL, REDIS_URL, DEMO_EVERY)
	@exec $(BIN)/python -m kaireon.local run

servers: venv ## PostgreSQL and Redis alone, in the background, for work on the code
	@$(BIN)/python -m kaireon.local servers

stop: venv ## Stop what `make servers` started
	@$(BIN)/python -m kaireon.local stop

reset: venv ## Remove all local data, after asking (YES=1 answers)
	@YES=$(YES) $(BIN)/python -m kaireon.local reset

test: dev ## All tests, on embedded servers or on a superuser's DATABASE_URL (TESTS="tests/audit -k chain" for some)
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(TESTS)

check: lint types layers migrations settings generated test ## Everything CI wants

lint: dev ## Style and formatting
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: dev ## mypy, strict
	@SECRET_KEY=$${SECRET_KEY:-read-by-the-type-checker-only} $(BIN)/mypy

layers: dev ## Imports go down only
	@$(BIN)/lint-imports

migrations: dev ## No model has changed without its migration
	@$(BIN)/python -m kaireon.local.checks migrations

settings: dev ## Django's and our system checks, as in production
	@$(BIN)/python -m kaireon.local.checks settings

generated: dev ## Generated files say what their source says
	@$(BIN)/python -m kaireon.local.checks generated

format: dev ## Format the code and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

generate: dev ## Write the generated files anew
	@$(BIN)/python -m kaireon.local.checks generate

bench: dev ## Measure what is promised about speed (BENCH="append lag jobs outbox flows masking proof verify offline export ship purge dossier erasure engagement scan --quick --json --write" for some)
	@$(BIN)/python -m tests.bench $(BENCH)

chaos: dev ## Kill everything at random, and see that nothing is lost or done twice (MINUTES=5, SEED= repeats a run)
	@$(BIN)/python -m tests.chaos $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(CHAOS)

precedence: dev ## Purge worlds made at random, and see that what must stay does and the rest goes (N=100000 rows, SEED= repeats a run)
	@KAIREON_PRECEDENCE_CASES=$(or $(N),100000) KAIREON_PRECEDENCE_SEED=$(or $(SEED),long) \
	    $(BIN)/python -m pytest tests/compliance/precedence

fire-drill: dev ## Requests of data subjects as on their worst day, case by case; docs/dsar.md says how to read it
	@$(BIN)/python -m pytest -v tests/dsar/fire_drill

browser: dev ## Fetch a headless Chromium where none is installed
	@$(BIN)/python -m kaireon.local chromium

screenshots: dev ## Take the pictures of the README anew
	@$(BIN)/python -m pytest tests/browser/screenshots.py

lock: dev ## Resolve requirements*.in anew
	@$(BIN)/python -m kaireon.local.checks lock

venv:
	@$(PYTHON) kaireon/local/install.py requirements.txt

dev:
	@$(PYTHON) kaireon/local/install.py requirements.txt requirements-dev.txt
