# make demo        from nothing to a finished sweep
# make test        lint, types and the tests
# make test-slow   the other tests: each takes about a minute
# make docs        the site
PYTHON ?= python3
VENV ?= .venv
INSTALL = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-slow docs clean

demo: $(VENV)/.earshot
	$(VENV)/bin/python -m orchestrator.sweep

test: $(VENV)/.earshot-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m pytest --numprocesses 2 --dist worksteal -m "not slow"

test-slow: $(VENV)/.earshot-test
	$(VENV)/bin/python -m pytest --numprocesses 2 --dist worksteal -m slow

docs: $(VENV)/.earshot-test
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.earshot: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) --editable .
	touch $@

$(VENV)/.earshot-test: $(VENV)/.earshot
	$(INSTALL) --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV)
