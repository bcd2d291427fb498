# On a fresh machine each target creates .venv and installs what it needs.
PYTHON ?= python3
VENV ?= .venv
NVCC ?= nvcc
BIN := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3
# Two test workers on two cores: a thread pool of NumPy in each would only make them wait.
test test-slow: export OPENBLAS_NUM_THREADS = 1

.PHONY: demo test test-slow bench gpu-check lint clean

# Without build isolation the op is built with the TensorFlow that it will run with, which is downloaded only once.
INSTALL := $(BIN)/python -m pip install --quiet --no-build-isolation -e

$(VENV)/.build:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet 'scikit-build-core>=0.11' cmake ninja 'tensorflow==2.21.*'
	touch $@

$(VENV)/.package: $(VENV)/.build pyproject.toml $(wildcard custom_ops/*.*)
	$(INSTALL) .
	touch $@

$(VENV)/.dev: $(VENV)/.package
	$(INSTALL) '.[dev]'
	touch $@

demo: $(VENV)/.package
	$(BIN)/python main.py --model_type=ReLU --model_name=FC2_demo --save=True --epochs=10
	$(BIN)/python main.py --model_type=SNN --model_name=FC2_demo --load=True --epochs=2

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow

bench: $(VENV)/.package
	$(BIN)/python -m benchmarks.ttfs
	$(BIN)/python -m benchmarks.bats
	$(BIN)/python -m benchmarks.stbp
	$(BIN)/python -m benchmarks.event_driven

# Needs nvcc and g++ but no Python, and of this repository only custom_ops; BASELINE=<custom_ops of another version> times both.
gpu-check:
	@NVCC=$(NVCC) BASELINE=$(abspath $(BASELINE)) custom_ops/testing/gpu_check.sh

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(foreach kind,h cc cu,$(wildcard custom_ops/*.$(kind) custom_ops/testing/*.$(kind)))

clean:
	rm -rf $(VENV) build *.egg-info
