# Everything sets itself up: a virtual environment, the package with its constraints, then the work.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DELETE_ON_ERROR:
.PHONY: demo test test-full check bench clean

demo: $(STAMP)
	@$(BIN)/penlight demo

test: $(STAMP)
	@$(BIN)/python -m pytest -n auto --dist loadfile -m "not full"

test-full: $(STAMP)
	@$(BIN)/python -m pytest -n auto --dist loadfile

check: $(STAMP)
	@$(BIN)/ruff check src tests benchmarks
	@$(BIN)/ruff format --check src tests benchmarks
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# One table per file; files that begin with an underscore are shared, those in a folder below take too long.
bench: $(STAMP)
	@for file in $(filter-out benchmarks/_%,$(wildcard benchmarks/*.py)); do $(BIN)/python $$file || exit 1; done

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Penlight needs Python 3.11 or newer; give one as PYTHON=...")'
	@echo "Setting up $(VENV); this takes a few minutes the first time."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

clean:
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
