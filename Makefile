# `make demo` runs a first study, `make test` every test. Both share one environment in .venv,
# installed again only when pyproject.toml or constraints.txt changed. PYTHON=... picks another Python.

VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
TEST_PROCESSES := 2
export OMP_NUM_THREADS := 1

.PHONY: help demo test lint format clean

help:
	@echo "make demo     a first study, from nothing to a checked forecast (about 10 minutes)"
	@echo "make test     every test"
	@echo "make lint     ruff, mypy --strict, import-linter"
	@echo "make format   rewrite the code in the project's format"
	@echo "make clean    remove .venv and the tools' caches (studies are kept)"

demo: $(VENV)/installed-train
	@# 3 and 4 are verdicts (missed, cannot say), said in words above; only other codes are failures.
	$(BIN)/windtunnel quickstart || [ $$? -eq 3 -o $$? -eq 4 ]

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -q --import-mode=importlib -n $(TEST_PROCESSES) --dist loadfile

lint: $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict src
	$(BIN)/lint-imports

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# The first Python, the user's own `python3` before others, that is new enough and can make an environment; a command that exists may still
# fail (a version manager's stub, Debian without python3-venv), so each is tried.
$(BIN)/python:
	@for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14); do \
		if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
			echo "Creating $(VENV) with $$($$python --version) ..."; \
			exec $$python -m venv $(VENV); \
		fi; \
	done; \
	echo "No usable Python: windtunnel needs Python 3.11 or newer with its venv module" >&2; \
	echo "(on Debian and Ubuntu: the package python3-venv). Name one with: make $(or $(MAKECMDGOALS),demo) PYTHON=/path/to/python3" >&2; \
	exit 1

$(VENV)/installed-train: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing windtunnel and torch into $(VENV); torch is a large download, so this can take minutes ..."
	@$(PIP_INSTALL) -e '.[train]'
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed-train
	@echo "Installing readers of other data formats, other model and training libraries, trackers, the test tools and the linters into $(VENV) ..."
	@$(PIP_INSTALL) -e '.[train,data,hf,vision,optuna,postgres,trainer,lightning,tensorboard,mlflow,wandb,dev]'
	@touch $@
