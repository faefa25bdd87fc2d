# Every target makes the virtual environment .venv and installs what it needs into it, once.
PYTHON ?= python3
BACKENDS ?=
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

TEST_BACKENDS := torch jax tensorflow
PROJECTS := pyproject.toml constraints.txt
FRAMEWORK_TOOLS := flax equinox safetensors pyarrow pandas orjson scikit-learn matplotlib
TEST_TOOLS := pytest hypothesis

.PHONY: demo test lint clean

demo: $(VENV)/demo.done $(BACKENDS:%=$(VENV)/%.done)
	$(BIN)/python examples/digits.py --backends "$(BACKENDS)"

test: $(VENV)/test.done
	BACKENDS="numpy $(TEST_BACKENDS)" $(BIN)/python -m pytest -q

lint: $(VENV)/test.done $(VENV)/lint.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/core.done: $(PROJECTS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) -e .
	touch $@

$(VENV)/demo.done: $(VENV)/core.done
	$(INSTALL) scikit-learn matplotlib
	touch $@

$(VENV)/torch.done: $(VENV)/core.done plugins/torch_backend/pyproject.toml
	$(INSTALL) -e . -e plugins/torch_backend
	touch $@

$(VENV)/jax.done: $(VENV)/core.done plugins/jax_backend/pyproject.toml
	$(INSTALL) -e . -e plugins/jax_backend
	touch $@

$(VENV)/tensorflow.done: $(VENV)/core.done plugins/tf_backend/pyproject.toml
	$(INSTALL) -e . -e plugins/tf_backend
	touch $@

$(VENV)/test.done: $(VENV)/core.done $(TEST_BACKENDS:%=$(VENV)/%.done)
	$(INSTALL) $(FRAMEWORK_TOOLS) $(TEST_TOOLS)
	touch $@

$(VENV)/lint.done: $(VENV)/core.done
	$(INSTALL) mypy ruff
	touch $@

clean:
	rm -rf $(VENV) demo_output
