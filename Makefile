# make quickstart, make test: each sets up what it needs in a virtual environment of its own.
PYTHON ?= python3
VENV ?= .venv$(if $(filter-out python3,$(PYTHON)),-$(notdir $(PYTHON)))
# What to test: everything, or a part such as TESTS="-m smoke".
TESTS ?=

.PHONY: quickstart test lint clean

quickstart: $(VENV)/.runtime
	$(VENV)/bin/python -m simclr_tf.quickstart

test: lint
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile $(TESTS)

lint: $(VENV)/.test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/codespell
	$(VENV)/bin/mypy simclr_tf

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; \
	  sys.exit(0 if (3, 11) <= v <= (3, 13) else "simclr_tf needs Python 3.11 to 3.13, this is %d.%d;" \
	  " name another: make PYTHON=python3.11" % v)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.txt | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.test: tests/requirements.txt requirements-onnx.txt $(VENV)/.runtime
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch $@

clean:
	rm -rf .venv .venv-* runs build dist *.egg-info
