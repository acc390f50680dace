# `make` alone lists what can be made. Nothing here needs more than python3 (3.10 or later) and the package index.
PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
STAMP   := $(VENV)/.installed
WORKERS ?= 2

export OMP_NUM_THREADS ?= 1
export MPLBACKEND ?= agg

.DEFAULT_GOAL := help
.PHONY: help venv lab demo test nb-test nb-test-isa py-test style docs nb readme prepare clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## create .venv and install the package with its development tools

$(STAMP): settings.ini setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
	  { echo "TinyFormer needs Python 3.10 or later as $(PYTHON): install one (Debian, Ubuntu: apt install python3), or name it: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing: install it (Debian, Ubuntu: apt install python3-venv)." >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

lab: $(STAMP) ## JupyterLab on the course; installed when it is first called
	@$(BIN)/python -c 'import jupyterlab' 2>/dev/null || $(BIN)/python -m pip install --quiet --editable '.[dev,lab]'
	$(BIN)/jupyter lab nbs/course.ipynb

demo: $(STAMP) ## the whole road on real digits: search, compress, compile, run on an emulated Cortex-M7 (runs/demo)
	$(BIN)/tinyformer demo

RUN_NOTEBOOKS := $(BIN)/python tests/run_notebooks.py --workers $(WORKERS)
RUN_TESTS     := $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal tests

test: $(STAMP) ## every notebook, then every test, whatever the notebooks gave
	@notebooks=passed; tests=passed; \
	$(RUN_NOTEBOOKS) || notebooks=FAILED; \
	$(RUN_TESTS) || tests=FAILED; \
	echo "make test: notebooks $$notebooks, tests $$tests"; \
	[ $$notebooks$$tests = passedpassed ]

nb-test: $(STAMP) ## every notebook
	$(RUN_NOTEBOOKS)

nb-test-isa: $(STAMP) ## the notebooks that compute, under three instruction sets
	$(BIN)/python tests/settings_table.py --workers $(WORKERS)

py-test: $(STAMP) ## every test in tests/
	$(RUN_TESTS)

style: $(STAMP) ## what each notebook still lacks, as a table
	$(BIN)/python tests/style.py

docs: $(STAMP) ## the site, into _docs/index.html
	$(BIN)/python docs/build.py

nb: $(STAMP) ## run every notebook and store its outputs
	$(RUN_NOTEBOOKS) --store

readme: $(STAMP) ## write README.md from nbs/index.ipynb
	$(BIN)/python docs/readme.py

prepare: $(STAMP) ## before a commit: export the notebooks, clean them, write README.md
	$(BIN)/python docs/tools.py
	$(BIN)/nbdev_export
	$(BIN)/nbdev_clean
	$(BIN)/python docs/readme.py
	$(BIN)/python docs/assignments.py

clean: ## remove what was built, keep .venv and runs/
	rm -rf _docs _proc _build build nbs/build dist *.egg-info .pytest_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## remove .venv and runs/ as well
	rm -rf $(VENV) runs
