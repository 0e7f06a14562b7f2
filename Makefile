# Two commands set everything up: `make demo` and `make test`. Each makes its own virtual environment.
# Shared cores: threads that wait must not spin.
export OMP_WAIT_POLICY ?= PASSIVE

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
EXTRAS := cpu,openvino,export,metrics,video,report,serve,grpc,client,tracing,dev
# Whole files at a time, since files share what they exported; each process may take 2 GB.
TEST_PROCESSES ?= 2

.PHONY: demo test test-cluster lint parity clean

demo: $(VENV)/.installed  ## export the bundled checkpoint, verify it, draw a grid
	$(BIN)/stylegan-edge demo

test: $(VENV)/.installed $(VENV)/.tensorrt $(VENV)/.bindings $(VENV)/.triton  ## run all tests
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile

test-cluster: $(VENV)/.installed $(VENV)/.ray  ## the tests of the cluster, with a real one
	$(BIN)/python -m pytest tests/runtime/cluster

lint: $(VENV)/.installed  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

parity: $(VENV)/.installed  ## the table of known answers, as in docs/parity.md
	$(BIN)/python -m benchmarks.known_answers

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[$(EXTRAS)]"
	touch $@

# Best effort: where these wheels can't be had (offline, another platform), the tests that need them are skipped.
$(VENV)/.tensorrt: tests/engines/tensorrt_cpu/requirements.txt $(VENV)/.installed
	-$(BIN)/python -m pip install --quiet --retries 1 --no-deps --requirement $< && touch $@

# The same for TensorRT's bindings of every supported version, a folder each, in which names are looked up.
$(VENV)/.bindings: tests/engines/tensorrt_api/versions.txt $(VENV)/.installed
	-grep -v '^#' $< | while read -r version wheel; do \
	  $(BIN)/python -m pip install --quiet --retries 1 --no-deps --upgrade --target $(VENV)/tensorrt/$$version $$wheel; \
	done && touch $@

# The same for tritonserver, in an environment of its own: it takes no NumPy 2.
$(VENV)/.triton: tests/exporter/triton/requirements.txt $(VENV)/.installed
	-$(BIN)/python -m venv $(VENV)/triton && \
	  $(VENV)/triton/bin/python -m pip install --quiet --retries 1 --no-deps --requirement $< && touch $@

# Ray, in an environment of its own (560 MB). `make test` does not wait for it, and uses it once it is there.
$(VENV)/.ray: tests/runtime/cluster/requirements.txt $(VENV)/.installed
	$(BIN)/python -m venv $(VENV)/ray
	$(VENV)/ray/bin/python -m pip install --quiet --constraint constraints.txt --requirement $< \
	  --editable ".[cpu,serve,client]"
	touch $@

clean:
	rm -rf $(VENV) demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
