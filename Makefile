# Every target makes the virtual environment .venv and installs what it needs into it, once and again after a change.
PYTHON ?= python3
BACKENDS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet -c constraints.txt

TEST_BACKENDS := torch jax tensorflow onnx sklearn
PLUGINS := $(patsubst %/pyproject.toml,./%,$(wildcard plugins/*/pyproject.toml))
PACKAGES := probly.data_generator $(notdir $(patsubst %/__init__.py,%,$(wildcard plugins/*/probly_data_generator_*/__init__.py)))
SOURCES := pyproject.toml constraints.txt $(shell find core plugins -name '*.py' -o -name '*.css' -o -name pyproject.toml -o -name README.md)
TEST_TOOLS := pytest pytest-xdist hypothesis pandas pyarrow orjson safetensors flax equinox \
	onnxscript skl2onnx skops selenium datasets pillow ipykernel ipywidgets jupyter_client hatchling import-linter

.PHONY: demo test browser lint bench bench-store clean

demo: $(VENV)/demo.done $(BACKENDS:%=$(VENV)/%.done)
	$(BIN)/python examples/digits.py --backends "$(BACKENDS)"

# The tests run against the built wheels, doctests of the installed packages included, in two processes.
test: $(VENV)/test.done browser
	BACKENDS="numpy $(TEST_BACKENDS)" WHEELS=$(VENV)/wheels \
	$(BIN)/python -m pytest -q -n 2 tests --pyargs $(PACKAGES)

# The report's page is tested in a real browser, which pip cannot install.
browser:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null \
	|| { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium chromium-driver >/dev/null; } \
	|| echo "The tests of the report's page need chromium and chromedriver: install them and try again." >&2

lint: $(VENV)/test.done $(VENV)/lint.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

bench: $(VENV)/bench.done
	$(BIN)/python benchmarks/bench.py

bench-store: $(VENV)/test.done
	$(BIN)/python benchmarks/bench_store.py

$(VENV)/made:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/demo.done: $(VENV)/made $(SOURCES)
	$(INSTALL) . ./plugins/store ./plugins/report ./plugins/evaluation scikit-learn
	touch $@

$(VENV)/torch.done: $(VENV)/demo.done
	$(INSTALL) ./plugins/torch_backend
	touch $@

$(VENV)/jax.done: $(VENV)/demo.done
	$(INSTALL) ./plugins/jax_backend
	touch $@

$(VENV)/tensorflow.done: $(VENV)/demo.done
	$(INSTALL) ./plugins/tf_backend
	touch $@

$(VENV)/onnx.done: $(VENV)/demo.done
	$(INSTALL) ./plugins/onnx_backend
	touch $@

$(VENV)/sklearn.done: $(VENV)/demo.done
	$(INSTALL) ./plugins/sklearn_backend
	touch $@

# Wheels of one version look the same to pip, so after a change they are put in place of the old ones.
$(VENV)/test.done: $(VENV)/made $(SOURCES)
	rm -rf $(VENV)/wheels
	$(PIP) wheel --quiet --no-deps --wheel-dir $(VENV)/wheels . $(PLUGINS)
	$(INSTALL) $(VENV)/wheels/*.whl $(TEST_TOOLS)
	$(PIP) install --quiet --force-reinstall --no-deps $(VENV)/wheels/*.whl
	touch $@

$(VENV)/bench.done: $(VENV)/test.done
	$(INSTALL) lightning transformers
	touch $@

$(VENV)/lint.done: $(VENV)/made constraints.txt
	$(INSTALL) mypy ruff import-linter
	touch $@

clean:
	rm -rf $(VENV) demo_output
