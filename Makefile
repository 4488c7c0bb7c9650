# Two commands do the work, each with all its own set-up:  make demo  |  make test
# More: make lab, make app, make test-slow, make companions, make readme, make clean

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CLIPS ?= 1000
# the first Python on the path that is new enough
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export SKELBENCH_COMMAND := make

.PHONY: demo test test-slow companions lab app readme export lint sync notebooks fast wheel clean
.DEFAULT_GOAL := demo

$(STAMP): settings.ini setup.py constraints.txt
	@if [ -z "$(PYTHON)" ]; then echo "skelbench needs Python 3.11 or newer, and found none: install it, or say make PYTHON=/path/to/python3" >&2; exit 2; fi
	@echo "Installing into $(VENV) (once; about a minute where the packages are near)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt torch
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)
	@$(BIN)/skelbench demo demo --clips $(CLIPS)

test: $(STAMP) lint sync notebooks fast wheel
	@echo "make test: all passed"

lint: $(STAMP)
	$(BIN)/ruff check --config tests/ruff.toml nbs skelbench tests setup.py index.ipynb

sync: $(STAMP)
	$(BIN)/python -m pytest -q tests/test_house.py

# an empty selection also exits 0, so the word is looked for; two processes with two threads each wait for one another on two cores
notebooks: $(STAMP)
	@set -o pipefail; OMP_NUM_THREADS=1 $(BIN)/nbdev_test --n_workers 2 --timing --do_print 2>&1 | tee $(VENV)/nbdev_test.log; grep -q '^Success\.' $(VENV)/nbdev_test.log

fast: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile tests -m 'not slow and not browser'

wheel: $(STAMP)
	rm -rf dist && $(BIN)/python -m build -q --outdir dist . && ls dist

test-slow: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -v --durations 15 -n 2 --dist loadfile tests -m 'slow or browser'

# every companion from top to bottom, as a reader would run it
companions: $(STAMP)
	$(BIN)/python tests/run_notebooks.py nbs/companion/*.ipynb --in-place

lab: $(STAMP)
	$(BIN)/jupyter lab --notebook-dir=. $(if $(filter 0,$(shell id -u)),--allow-root) index.ipynb

# the instruments as a page, for people who don't open notebooks
app: $(STAMP)
	$(BIN)/skelbench app

export: $(STAMP)
	$(BIN)/nbdev_export

readme: $(STAMP)
	$(BIN)/python tests/make_readme.py

clean:
	rm -rf $(VENV) build dist *.egg-info demo app
