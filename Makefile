# Two commands: `make repro` runs the whole pipeline, `make test` runs all tests. Each makes .venv first.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: help repro test calibrate lint freeze clean

help:
	@echo "make repro   make .venv, run the pipeline (dvc repro), print a summary"
	@echo "make test    make .venv, run all tests"
	@echo "make calibrate  measure how often the verdict errs, on simulated markets (half an hour; goes on where it was stopped)"
	@echo "make lint    style and common mistakes (ruff)"
	@echo "make freeze  write requirements.txt from requirements.in"
	@echo "make clean   remove .venv and what the pipeline made"

repro: .venv/installed
	@PATH="$(CURDIR)/$(BIN):$$PATH" dvc repro
	@$(BIN)/python -m scripts.summary

test: .venv/installed
	@PATH="$(CURDIR)/$(BIN):$$PATH" OMP_NUM_THREADS=1 $(BIN)/python -m pytest

calibrate: .venv/installed
	@PATH="$(CURDIR)/$(BIN):$$PATH" OMP_NUM_THREADS=1 $(BIN)/python -m scripts.calibrate

lint: .venv/installed
	@$(BIN)/ruff check .

.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 14) else f"error: Python {v[0]}.{v[1]} is too old or too new: 3.11 to 3.13 is needed; run make PYTHON=python3.12")'
	@echo "making .venv (a few minutes, once)"
	@$(PYTHON) -m venv .venv || { echo "error: .venv can't be made; on Debian and Ubuntu install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt || { echo "error: the pinned packages could not be installed (pip's reason is above); check the network and pip's index settings, then run again" >&2; exit 1; }
	@touch $@

freeze:
	@$(PYTHON) -m venv .venv-freeze
	@.venv-freeze/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.in
	@{ echo "# Frozen from requirements.in by make freeze; torch without its local part fits CPU and GPU alike."; .venv-freeze/bin/python -m pip freeze --exclude-editable | sed -e 's/+cpu$$//' | grep -v -i '^nvidia-\|^triton'; } > requirements.txt
	@rm -rf .venv-freeze

clean:
	@rm -rf .venv data/prepared data/splits data/baseline data/evaluate data/scored data/features models/adapter
