# make help lists the targets. Everything needs Python >= 3.11 and nothing else.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# make test SERVER=9.5.3 runs the suite against that version of the embedded server (needs a whole JDK).
SERVER ?=
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test unit property check format bench soak reference lock clean

help:            ## this list
	@grep -hE '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

install: $(VENV)/installed ## a virtual environment in .venv, versions and hashes locked

$(VENV)/installed: requirements.lock pyproject.toml packages/embedded-elasticsearch/pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
	  --editable packages/embedded-elasticsearch --editable .
	@touch $@

demo: install    ## a real Elasticsearch, sample data, a plan, its enforcement and the proof (ARGS=--once ends by itself)
	$(BIN)/retention-enforcer demo $(ARGS)

test: install    ## the whole suite, on a real server where one can be had
	TEST_SERVER_VERSION=$(SERVER) $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

unit: install    ## the rules, without any server (a minute at most)
	$(BIN)/python -m pytest tests/unit packages/embedded-elasticsearch/tests $(ARGS)

property: install ## the rules under invented facts, without any server
	$(BIN)/python -m pytest tests/property $(ARGS)

bench: install   ## speed and memory in one table of ratios (TEST_ELASTICSEARCH_URL names a server that has more)
	rows=$$(mktemp); missed=0; export BENCH_ROWS=$$rows PYTHONPATH=tests; \
	for file in tests/bench/bench_*.py; do $(BIN)/python $$file || missed=1; done; \
	$(BIN)/python tests/bench/table.py $$rows; rm $$rows; exit $$missed

soak: install    ## what takes an hour: large numbers, faults at every request, twins, an idle day (not in CI)
	TEST_SERVER_VERSION=$(SERVER) $(BIN)/python -m pytest -m soak -s $(ARGS)
	TEST_SERVER_VERSION=$(SERVER) $(BIN)/python -m pytest tests/soak/soak_*.py \
	  --override-ini python_files='soak_*.py' -m "" --timeout 1800 -s $(ARGS)

check: install   ## lint, types, layers, generated files
	$(BIN)/ruff check src tests packages
	$(BIN)/ruff format --check src tests packages
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m retention_enforcer.cli.references --check .

format: install  ## rewrite what the formatter would
	$(BIN)/ruff check --fix src tests packages
	$(BIN)/ruff format src tests packages

reference: install ## regenerate what is generated: settings, findings, schema of the status, privileges and roles
	$(BIN)/python -m retention_enforcer.cli.references --write .

lock: ## resolve the newest versions into requirements.lock and the image's locks (needs uv)
	uv pip compile pyproject.toml packages/embedded-elasticsearch/pyproject.toml --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --quiet --output-file requirements.lock
	uv pip compile pyproject.toml --constraint requirements.lock --universal --python-version 3.13 \
	  --generate-hashes --no-header --no-annotate --quiet --output-file deploy/image/runtime.lock
	uv pip compile --group build --constraint requirements.lock --universal --python-version 3.13 \
	  --generate-hashes --no-header --no-annotate --quiet --output-file deploy/image/build.lock

clean:           ## remove what the other targets made, but not the server's cache
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
