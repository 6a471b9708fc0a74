# The two commands a newcomer needs are `make demo` and `make test`; `make help` lists the rest. Nothing here needs root.

# The first Python on PATH that really runs (a pyenv shim may not), is 3.11 or newer and can make a venv.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$python && break; done)

# `make test` runs the suite on this Python too when CI is set, if it is here and is not the one of .venv.
OTHER ?= 3.13
PYTEST_WORKERS ?= 2
PYTEST_ARGS ?=

BIN := .venv/bin

# Processes start faster where Python may keep what it has compiled, and demo and tests start many.
unexport PYTHONDONTWRITEBYTECODE

PIP_INSTALL = -m pip install --quiet --disable-pip-version-check
VENDOR = pathhits/dashboard/static/vendor
TYPED = pathhits demo_app migrations worker.py docs tests $(wildcard benchmarks/*.py)
COMPILE = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header --annotation-style line --quiet pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help demo assets test test-all test-other lint format docs soak lock lock-upgrade clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

demo: .venv/demo.stamp assets ## start the demo shop with its Redis, worker and clock (PORT is honoured); Ctrl-C ends it
	@exec $(BIN)/python -m demo_app

test: lint assets ## lint, then the tests; with CI=true also on the other Python
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadgroup $(PYTEST_ARGS)
	@case "$$CI" in true|1) $(MAKE) --no-print-directory test-other ;; esac

test-all: test test-other ## lint and tests, on both Pythons

test-other: .venv/dev.stamp ## unit and integration tests on another Python (OTHER=3.13) where it is installed
	@python="$$($(find_other))"; \
	if [ -z "$$python" ]; then echo "python$(OTHER) is not here or is the one of .venv: not tested on it"; \
	else $(MAKE) --no-print-directory OTHER_PYTHON="$$python" run-other; fi

lint: .venv/dev.stamp ## ruff, mypy --strict and the layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(TYPED)
	$(BIN)/lint-imports

format: .venv/dev.stamp ## put the sources into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/dev.stamp ## write the generated tables of docs/ anew
	$(BIN)/python docs/reference.py

assets: ## what the dashboard takes from npm, where there is one (without it charts have no cursor)
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(VENDOR)/uPlot.js || echo "npm brought nothing: charts have no cursor"; \
	else echo "npm is not here: charts have no cursor"; fi

soak: .venv/dev.stamp ## the random fault tests, for an hour or two
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadgroup -m soak $(PYTEST_ARGS)

lock: .venv/dev.stamp ## write requirements/ anew after a change of pyproject.toml, keeping versions where possible
	$(COMPILE) --all-extras --output-file requirements/dev.txt
	$(COMPILE) --extra demo --constraint requirements/dev.txt --output-file requirements/demo.txt
	$(COMPILE) --constraint requirements/dev.txt --output-file requirements/wheel.txt
	@! grep -niE 'https?://|pypi|file:' requirements/*.txt || { echo "the lock names a registry"; exit 1; }

lock-upgrade: ## write requirements/ anew with the newest versions
	$(MAKE) --no-print-directory lock COMPILE="$(COMPILE) --upgrade"

clean: ## remove environments, caches and the demo's data
	rm -rf node_modules $(VENDOR) .venv .venv-other .demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- environments: a stamp a lock, so that an environment is touched only when its lock changed ---

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "pathhits needs Python 3.11 or newer with its venv module (Debian: python3-venv)"; exit 1; }
	@rm -f .venv/*.stamp
	$(PYTHON) -m venv .venv

.venv/demo.stamp: requirements/demo.txt pyproject.toml | .venv/bin/python
	$(BIN)/python $(PIP_INSTALL) --require-hashes -r requirements/demo.txt
	$(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

# The lock of dev holds the one of demo, at the same versions.
.venv/dev.stamp: requirements/dev.txt pyproject.toml | .venv/bin/python
	$(BIN)/python $(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	$(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@ .venv/demo.stamp

# The file for browsers is a script; with one more line it is a module.
$(VENDOR)/uPlot.js: package-lock.json
	npm ci --silent --ignore-scripts
	@mkdir -p $(VENDOR)
	cp node_modules/uplot/dist/uPlot.min.css node_modules/uplot/LICENSE $(VENDOR)/
	@{ cat node_modules/uplot/dist/uPlot.iife.min.js; echo 'export default uPlot;'; } > $@.part && mv $@.part $@

# --- the other Python: on PATH, else one that pyenv holds without showing it ---

define find_other
"$(BIN)/python" -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] == "$(OTHER)")' && \
for python in python$(OTHER) "$$(pyenv root 2>/dev/null)"/versions/$(OTHER).*/bin/python$(OTHER); do \
"$$python" -c "import venv, ensurepip" >/dev/null 2>&1 && echo "$$python" && break; done
endef

.PHONY: run-other
run-other: .venv-other/dev.stamp
	.venv-other/bin/python -m pytest -n $(PYTEST_WORKERS) --dist loadgroup -m "not soak and not slow" $(PYTEST_ARGS) \
		$(wildcard tests/unit tests/integration)

.venv-other/dev.stamp: requirements/dev.txt pyproject.toml
	$(OTHER_PYTHON) -m venv --clear .venv-other
	@echo '*' > .venv-other/.gitignore
	.venv-other/bin/python $(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	.venv-other/bin/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@
