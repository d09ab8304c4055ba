# `make help` lists what there is. The work of setting up is in tools/setup.py.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

# The tests use no network. Browser tests take this browser; empty means Playwright's own.
OFFLINE = HF_HUB_OFFLINE=1 CHROMIUM="$$(cat .make/browser.path)"
QUICK = not slow and not browser and not notebook

.PHONY: help lab setup setup-tests test test-quick lint screenshots galata clean

help:  ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1	\2/p' Makefile | expand -t 20

lab: setup  ## set up what is missing, then open JupyterLab on the quickstart
	@$(BIN)/python tools/lab.py

setup:  ## bring what the project needs, without the browser for the tests
	@$(PYTHON) tools/setup.py

setup-tests:
	@$(PYTHON) tools/setup.py --tests

test: setup-tests lint  ## every check and every test
	@echo "Python tests: the quick ones (about 4 min)"
	@$(OFFLINE) $(BIN)/python -m pytest -q -m "$(QUICK)" -n auto --maxprocesses=4
	@echo "Python tests: slow ones and notebooks (about 6 min)"
	@$(OFFLINE) $(BIN)/python -m pytest -q -m "(slow or notebook) and not browser" -n auto --maxprocesses=2
	@echo "Python tests: browsers (about 22 min)"
	@$(OFFLINE) $(BIN)/python -m pytest -q -m browser

test-quick: setup-tests lint  ## the same without slow tests, browsers and notebooks, under 3 min
	@echo "Python tests: the quick ones (about 2 min)"
	@$(OFFLINE) $(BIN)/python -m pytest -q -m "$(QUICK)" -n auto --maxprocesses=4

lint: setup-tests  ## ruff, mypy, the TypeScript compiler and the TypeScript tests
	@echo "Style and types (about 1 min)"
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@npm run --silent typecheck
	@npm test --silent

screenshots: setup-tests  ## pictures of every view in JupyterLab, light, dark and 390 px wide, into docs/pictures
	@echo "Pictures of the views (about 5 min)"
	@$(OFFLINE) $(BIN)/python -m tests.browser.pictures

galata: setup-tests  ## one smoke test with JupyterLab's own test kit, which brings 600 MB of its own
	@cd tests/galata && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --silent
	@export $(OFFLINE) PYTHONPATH="$(CURDIR)" && cd tests/galata && npm test --silent

clean:  ## remove all that was made here, but not the model in the user's cache
	rm -rf .venv .make node_modules tests/galata/node_modules lib dist mi_widgets/static mi_widgets/labextension
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
