# Every target sets up what it needs; a second call starts at once. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := report,measure,kernel,gpu,peers,transformers,test,lint
# Another dependency list is another stamp; the tools' settings, which stand below it, are not part of it.
STAMP := $(VENV)/.setup-$(shell { sed '/^\[tool\./,$$d' pyproject.toml; cat constraints.txt; } | sha256sum | cut -c1-16)
OUT ?= build/report

# What pip cannot bring. Mojo needs a C linker and the probes a C compiler; the PDF needs Pango and HarfBuzz; the
# report's tests read PDFs with poppler and qpdf.
DEBIAN := python3-venv gcc g++ libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 poppler-utils qpdf chromium
APT := apt-get install -y --no-install-recommends $(DEBIAN)

.PHONY: help setup system honest planted swept mutants memcheck validate test lint format report sample alone approve demo doctor bench build lock clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

setup: system $(STAMP) ## create .venv with everything; needs Debian 12 (or alike), Python 3.11, gcc, make

# Looked at on every call (20 ms), so that a package lost later is noticed and a missing one is never forgotten.
system:
	@command -v dpkg-query >/dev/null || exit 0; \
	missing=$$(for package in $(DEBIAN); do \
	  [ "$$(dpkg-query -W -f='$${db:Status-Status}' $$package 2>/dev/null)" = installed ] || printf '%s ' $$package; done); \
	[ -n "$$missing" ] || exit 0; \
	if [ "$$(id -u)" = 0 ]; then \
	  echo "Installing Debian packages: $$missing"; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  mkdir -p build; { apt-get update -q && $(APT); } >build/apt.log 2>&1 && exit 0; \
	  tail -3 build/apt.log; \
	fi; \
	printf 'Debian packages are missing: %s\nWithout them parts are left out or fail. Run:\n    sudo %s\n' "$$missing" '$(APT)'

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) -V 2>&1). Run: make PYTHON=/path/to/python3.11 setup"; exit 2; }
	@echo "Setting up $(VENV) (some minutes the first time)"
	@[ -x $(BIN)/pip ] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	@rm -f $(VENV)/.setup-* && touch $@

honest: setup ## 300 Hypothesis cases per dtype for every honest kernel, some 20 minutes; test runs 6
	HONEST_EXAMPLES=300 $(BIN)/python -m pytest -o timeout=3600 tests/correctness/test_honest_menu.py

planted: setup ## try every kernel planted to be caught: build/planted.json, which check tells; some minutes
	$(BIN)/moe-validation planted

swept: setup ## every planted kernel by the command line, as a user would try it: build/swept.json; about 70 minutes
	$(BIN)/python -m tests.swept build/swept.json

mutants: setup ## slips of the pen in the Mojo sources, each built and run against the suite; about 15 minutes
	$(BIN)/python -m tests.mutants

memcheck: setup ## the Mojo kernel on small shapes under valgrind (Debian package valgrind); some minutes
	$(BIN)/python -m tests.memcheck

validate: build ## set up, build, check, measure, judge and report: build/report/report.pdf
	$(BIN)/moe-validation run --out $(OUT)

# Two at a time: many tests wait for a process to be ended at its limit. More would get in the way of the kernel's threads.
test: setup ## run the tests
	$(BIN)/python -m pytest -n 2

lint: setup ## ruff, mypy, import-linter, codespell, mojo format; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	.ci/mojo-format

format: setup ## put every file into the form that lint asks for
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	.ci/mojo-format --write

report: setup ## the report again, from the evidence at hand
	$(BIN)/moe-validation report $(OUT)/evidence.json --out $(OUT)

# Other evidence first: make sample EVIDENCE="build/report/evidence.json ..."; a promise that it does not meet is no error.
sample: setup ## the sample report in docs/sample, from the evidence kept there
	@if [ -n "$(EVIDENCE)" ]; then rm -f docs/sample/evidence-*; number=0; for file in $(EVIDENCE); do \
	  number=$$((number + 1)); case $$file in *.gz) cat $$file;; *) gzip -9nc $$file;; esac \
	    >docs/sample/evidence-$$number.json.gz; done; fi
	$(BIN)/moe-validation report docs/sample/evidence-*.json.gz --out build/sample || [ $$? = 1 ]
	cp build/sample/report.pdf docs/sample/report.pdf
	pdftoppm -r 100 -f 1 -l 1 -singlefile -png build/sample/report.pdf docs/sample/page1

alone: setup ## a clean environment with the report extra alone, which must suffice for verify; some minutes
	CLEAN_VENV=1 $(BIN)/python -m pytest -q -o timeout=1800 tests/report/test_limits.py -k clean_environment

approve: setup ## take today's report pages as the approved ones; look at them first
	APPROVE=1 $(BIN)/python -m pytest -q tests/report/test_pages.py

demo: setup ## one shape in under two minutes: right, and how fast
	$(BIN)/moe-validation demo

.PHONY: benchmark
benchmark: setup ## the kernel under Mojo's own benchmark module, beside this suite's figure
	$(BIN)/moe-validation benchmark-official

doctor: setup ## what this machine has and lacks
	$(BIN)/moe-validation doctor

# Variables that tune NumPy's and PyTorch's libraries are taken away, as they are in a run's workers.
bench: setup ## shapes x dtypes x peers; BENCH=--benchmark-compare shows what changed, -k seed-quick times less
	env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(BIN)/python -m pytest -p benchmark --dist no benchmarks --benchmark-autosave \
	  $(if $(findstring compare,$(BENCH)),,--benchmark-quiet) $(BENCH)

build: setup ## compile the Mojo kernel and what takes techniques away; up to a minute the first time
	$(BIN)/moe-validation build

lock: $(STAMP) ## resolve pyproject.toml anew into constraints.txt, keeping versions that still fit
	$(BIN)/python -m pip install -qq --disable-pip-version-check uv
	$(BIN)/uv pip compile --quiet pyproject.toml --all-extras --universal --python-version 3.11 -o constraints.txt

clean: ## remove what was built; the environment and the records stay
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .benchmarks
