# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
BACKEND ?= jax
WORKERS ?= 2
# Installed ahead of the extras, which then find it satisfied.
TORCH ?= torch==2.13.0
# Without torchvision, which it requires and which is not used here: the wheels
# of PyPI are built for CUDA, and beside a PyTorch for CPUs they cannot be
# imported, nor can diffusers then.
TORCH_FIDELITY ?= torch-fidelity==0.4.0

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
BACKENDS := jax tensorflow torch
# One thread for each worker: more of them than cores wait for each other. A
# worker takes neighboring tests, which share programs that JAX compiles.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) \
	--dist worksteal

# Tests of files, arrays and packages run once, beside those on PyTorch.
ONCE := and not backend_free

export TF_CPP_MIN_LOG_LEVEL ?= 2
export PYTHONUNBUFFERED = 1

# What the guides print and plot, for their pages. QUICK=1: in small sizes.
EXECUTED := outputs/docs/$(if $(QUICK),quick,full)-$(BACKEND)
GUIDES := $(patsubst guides/%.py,$(EXECUTED)/%.ipynb,$(wildcard guides/*.py))
SOURCES := $(foreach depth,* */* */*/*,$(wildcard keras_drift/$(depth).py))

.PHONY: demo test test-slow bench docs notebooks package page lint format \
	clean $(BACKENDS:%=test-%)

demo: $(VENV)/.demo-$(BACKEND)
	KERAS_BACKEND=$(BACKEND) $(BIN)/python examples/digits.py

test: lint $(BACKENDS:%=test-%)

lint: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BACKENDS:%=test-%): test-%: $(VENV)/.test
	@echo "== $* =="
	KERAS_BACKEND=$* $(PYTEST) -m "not slow $(if $(filter torch,$*),,$(ONCE))"

# An empty XLA_FLAGS: all programs as XLA optimizes them for users.
test-slow: $(VENV)/.test
	for backend in $(BACKENDS); do \
		KERAS_BACKEND=$$backend $(PYTEST) -m slow || exit 1; done
	XLA_FLAGS= KERAS_BACKEND=jax $(PYTEST) -m "not slow $(ONCE)"

# BENCH="--official DIR" measures a checkout of the official release as well.
bench: $(VENV)/.test
	$(PIP) -e ".[bench]"
	KERAS_BACKEND=$(BACKEND) $(BIN)/python benchmarks/bench.py $(BENCH)

# The documentation, in `site`: open site/index.html, or for the search as well
# `python -m http.server --directory site`. The guides are executed
# again where they or the library have changed.
docs: $(GUIDES)
	EXECUTED_GUIDES=$(EXECUTED) KERAS_BACKEND=$(BACKEND) $(BIN)/mkdocs build

$(EXECUTED)/%.ipynb: guides/%.py $(SOURCES) | $(VENV)/.test
	mkdir -p $(EXECUTED)
	KERAS_BACKEND=$(BACKEND) KERAS_DRIFT_QUICK=$(QUICK) \
		$(BIN)/jupytext --quiet --to ipynb --set-kernel python3 \
		--execute --run-path $(CURDIR) --output $@ $<

notebooks: $(VENV)/.test
	$(BIN)/python docs/hooks/notebooks.py

# The wheel and the source distribution in `dist`, checked.
package: $(VENV)/.test
	rm -rf dist
	$(BIN)/python -c "from hatchling.build import *; \
		build_wheel('dist'); build_sdist('dist')"
	$(BIN)/python -m twine check --strict dist/*
	KERAS_BACKEND=$(BACKEND) $(PYTEST) tests/packaging_test.py

# The page of docs/demo with the models it runs: static files.
page: $(VENV)/.demo-$(BACKEND) docs/demo/node_modules/.package-lock.json
	$(PIP) -e ".[export-$(BACKEND)]"
	KERAS_BACKEND=$(BACKEND) $(BIN)/python docs/demo/build_page.py

docs/demo/node_modules/.package-lock.json: docs/demo/package-lock.json
	npm ci --prefix docs/demo
	touch $@

$(VENV):
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo-$(BACKEND): pyproject.toml | $(VENV)
	$(if $(filter torch,$(BACKEND)),$(PIP) "$(TORCH)")
	$(PIP) -e ".[$(BACKEND),examples]"
	touch $@

$(VENV)/.test: pyproject.toml | $(VENV)
	$(PIP) "$(TORCH)"
	$(PIP) -e ".[jax,tensorflow,torch,test]"
	$(PIP) --no-deps "$(TORCH_FIDELITY)"
	touch $@

clean:
	rm -rf $(VENV) dist outputs site docs/demo/node_modules .pytest_cache \
		.ruff_cache
