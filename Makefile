# Each target is enough by itself on a machine with Python 3.11 or newer: it makes .venv and installs what it needs.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: quickstart test check wheel site tutorials docs bench bench-audit mutants clean

quickstart: $(INSTALLED)
	$(BIN)/brittle quickstart

test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

wheel: $(INSTALLED)
	rm -rf dist
	$(BIN)/pip wheel -q --no-deps -w dist .
	$(BIN)/python scripts/check_wheel.py dist/*.whl

site: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

tutorials: $(INSTALLED)
	$(BIN)/python scripts/documents.py docs/tutorials/*.md
	$(BIN)/python scripts/notebooks.py

docs: $(INSTALLED)
	$(BIN)/brittle attacks --markdown > .attacks.md
	mv .attacks.md docs/attacks.md

bench: $(INSTALLED)
	$(BIN)/pip install -q --no-deps -r benchmarks/peers.txt
	$(BIN)/python benchmarks/pgd40.py
	$(BIN)/python benchmarks/floor.py

bench-audit: $(INSTALLED)
	$(BIN)/pip install -q --no-deps -r benchmarks/peers.txt
	$(BIN)/python benchmarks/audits.py -n 300 --tools autoattack torchattacks quick standard

mutants: $(INSTALLED)
	$(BIN)/pip install -q -c constraints.txt -e '.[mutants]'
	OMP_NUM_THREADS=1 $(BIN)/python scripts/mutants.py

$(INSTALLED): pyproject.toml constraints.txt tests/peers.txt tests/hubs.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	$(BIN)/pip install -q --no-deps -r tests/peers.txt
	rm -rf .venv/hubs
	$(BIN)/pip install -q --no-deps --target .venv/hubs -r tests/hubs.txt
	touch $@

clean:
	rm -rf .venv runs dist site mutants .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
