# Two commands: `make repro` runs the whole pipeline, `make test` runs the tests. Each makes .venv first.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# dvc, and what the tests start, are those of .venv.
WITH_VENV := PATH="$(CURDIR)/$(BIN):$$PATH"

.PHONY: help clone repro verify test test-slow calibrate calibrate-full calibrate-mine daily-demo lint freeze clean

help:
	@echo "make repro      make .venv, run the pipeline (dvc repro), print a summary"
	@echo "make verify     say whether this machine gets the same figures as those in git"
	@echo "make test       make .venv, run the quick tests, print what they cover"
	@echo "make test-slow  run the slow tests: clusters, servers, load, fuzzing, the real model"
	@echo "make calibrate  measure how often the answers are wrong, on 540 simulated markets, into results/calibration-quick (under an hour on two cores; goes on where it was stopped)"
	@echo "make calibrate-full  the same on all 3,990 (hours), into results/calibration, where git has them; make calibrate-mine: on 540 of the shape of your market, after make repro"
	@echo "make daily-demo three days of the daily job on this machine, the second one killed"
	@echo "make lint       style, common mistakes, types, workflows"
	@echo "make freeze     write requirements.txt from pyproject.toml (minutes)"
	@echo "make clean      remove .venv and what the pipeline made"

# Before the packages: what will go wrong is said at once.
clone:
	@$(PYTHON) -m scripts.check_clone

repro: clone .venv/installed
	@$(WITH_VENV) dvc repro
	@$(BIN)/python -m scripts.summary

verify: .venv/installed
	@$(WITH_VENV) $(BIN)/python -m scripts.verify

test: .venv/installed
	@$(WITH_VENV) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" --cov --cov-report=term

test-slow: .venv/installed
	@$(WITH_VENV) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

calibrate: .venv/installed
	@$(WITH_VENV) OMP_NUM_THREADS=1 $(BIN)/python -m scripts.calibrate --folder results/calibration-quick

calibrate-full: .venv/installed
	@$(WITH_VENV) OMP_NUM_THREADS=1 $(BIN)/python -m scripts.calibrate --full

calibrate-mine: .venv/installed
	@$(WITH_VENV) OMP_NUM_THREADS=1 $(BIN)/python -m scripts.calibrate --mine

daily-demo: .venv/installed
	@$(WITH_VENV) $(BIN)/python -m scripts.daily_demo

lint: .venv/installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/zizmor --offline --quiet .github/workflows
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.citation-file-format CITATION.cff
	@$(BIN)/actionlint

# torch has no hash. It comes second, when all that it needs is there, so that nothing else is taken without one.
.venv/installed: requirements.txt requirements-torch.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 14) else f"error: Python {v[0]}.{v[1]} is too old or too new: 3.11 to 3.13 is needed; run make PYTHON=python3.12")'
	@echo "making .venv (a few minutes, once)"
	@$(PYTHON) -m venv .venv || { echo "error: .venv can't be made; on Debian and Ubuntu install python3-venv" >&2; exit 1; }
	@{ $(PIP) --no-deps -r requirements.txt && $(PIP) -r requirements-torch.txt && $(PIP) --no-deps --no-build-isolation -e .; } || { echo "error: the pinned packages could not be installed (pip's reason is above); check the network and pip's index settings, then run again" >&2; exit 1; }
	@touch $@

# pip must be new: one of 2024 downloads every file, where a new one asks the index for its metadata if it has them.
freeze:
	@$(PYTHON) -m venv .venv-freeze
	@.venv-freeze/bin/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	@.venv-freeze/bin/python -m scripts.freeze; status=$$?; rm -rf .venv-freeze; exit $$status

clean:
	@rm -rf .venv data/prepared data/splits data/baseline data/evaluate data/scored data/features models/adapter
