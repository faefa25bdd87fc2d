# Every target makes the virtual environment .venv and installs what it needs into it, once and again after a change.
# `make help` lists them.
PYTHON ?= python3
BACKENDS ?=
PYTHONS ?= 3.12 3.13
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet

# A backend is tested where it stands here. It is the folder plugins/NAME_backend, but for TensorFlow's.
TEST_BACKENDS := torch transformers jax tensorflow onnx openvino litert sklearn xgboost lightgbm catboost
FOLDER_tensorflow := tf
folder = $(or $(FOLDER_$(1)),$(1))_backend

PROJECTS := . $(patsubst %/pyproject.toml,./%,$(wildcard plugins/*/pyproject.toml))
PACKAGES := probly.data_generator $(notdir $(patsubst %/__init__.py,%,$(wildcard plugins/*/probly_data_generator_*/__init__.py)))
SOURCES := pyproject.toml $(shell find core plugins -name '*.py' -o -name '*.css' -o -name pyproject.toml -o -name README.md)

.PHONY: help demo test test-pythons browser lint docs bench bench-store wheels release-files install-texts develop constraints clean

help: # This list.
	@sed -n 's/^\([a-z-]*\):[^#]*# \(.*\)/\1	\2/p' Makefile | expand -t 16

demo: $(VENV)/demo.done $(BACKENDS:%=$(VENV)/demo-%.done) # A tour with real digits; BACKENDS="torch jax" for those, too.
	$(BIN)/python examples/digits.py --backends "$(BACKENDS)"

# The tests run against the built wheels, doctests of the installed packages included. Each folder has a process of its
# own, two at a time, the longest first: frameworks of which one leaves threads and handlers of signals behind harm no other.
ROOMS := $(patsubst %/,%,$(sort $(dir $(wildcard tests/*/test_*.py))))
LONGEST := $(addprefix tests/,packaging testing torch_backend command_line tf_backend store docs core guide)
test: $(VENV)/test.done browser # All tests.
	printf '%s\n' $(LONGEST) $(filter-out $(LONGEST),$(ROOMS)) "--pyargs $(PACKAGES)" \
	| BACKENDS="numpy $(TEST_BACKENDS)" WHEELS=dist xargs -P 2 -I ROOM sh -c '$(BIN)/python -m pytest -q ROOM || exit 1'

test-pythons: dist/.made # The core, the store and the agnostic backend on other Pythons: PYTHONS="3.12 3.13".
	$(BIN)/python tests/packaging/pythons.py $(PYTHONS)

# The report's page is tested in a real browser, which pip cannot install.
browser:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null \
	|| { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium chromium-driver >/dev/null; } \
	|| echo "The tests of the report's page need chromium and chromedriver: install them and try again." >&2

lint: $(VENV)/test.done $(VENV)/lint.done # Style, types and the import contracts.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

docs: $(VENV)/test.done # The site, strictly, into site/.
	$(BIN)/mkdocs build --strict

bench: $(VENV)/bench.done # Our runs against loops written by hand.
	$(BIN)/python benchmarks/bench.py

bench-store: $(VENV)/test.done # The store.
	$(BIN)/python benchmarks/bench_store.py

wheels: dist/.made # The wheels of all distributions, into dist/.

# The source distributions beside the wheels, all checked, and what an installation of them brings along.
release-files: dist/.made $(VENV)/release.done # What a release uploads, checked, into dist/.
	@for project in $(PROJECTS); do (cd $$project && "$(CURDIR)/$(BIN)/hatchling" build -t sdist -d "$(CURDIR)/dist") || exit 1; done
	$(BIN)/twine check --strict dist/*.whl dist/*.tar.gz
	$(BIN)/check-wheel-contents dist/*.whl
	rm -rf $(VENV)-release && $(PYTHON) -m venv $(VENV)-release
	$(VENV)-release/bin/python -m pip install --quiet --find-links dist "probly-data-generator[standard,evaluation]"
	$(BIN)/cyclonedx-py environment --output-file dist/sbom.json $(VENV)-release

install-texts: $(VENV)/build.done # After a change of how ours is installed: every command of it in the pages.
	PYTHONPATH=core $(BIN)/python tests/packaging/install_texts.py

# For work on the code: everything editable. No backend but those in BACKENDS is installed.
develop: $(VENV)/made # An editable installation with the tools of the tests and the linters; BACKENDS="torch" for backends.
	$(INSTALL) -r constraints/core.txt -r constraints/lint.txt $(foreach name,$(BACKENDS),-r constraints/$(call folder,$(name)).txt)
	$(INSTALL) --no-deps --no-build-isolation $(addprefix -e ,. ./plugins/store ./plugins/report ./plugins/evaluation \
	./plugins/command_line $(foreach name,$(BACKENDS),./plugins/$(call folder,$(name))))

$(VENV)/made:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/demo.done: $(VENV)/made $(SOURCES) constraints/demo.txt
	$(INSTALL) -c constraints/demo.txt . ./plugins/store ./plugins/report ./plugins/evaluation scikit-learn
	touch $@

$(VENV)/demo-%.done: $(VENV)/demo.done
	$(INSTALL) -c constraints/$(call folder,$*).txt ./plugins/$(call folder,$*)
	touch $@

$(VENV)/build.done: $(VENV)/made constraints/tests.txt
	$(INSTALL) -c constraints/tests.txt hatchling
	touch $@

dist/.made: $(VENV)/build.done $(SOURCES)
	rm -rf dist
	@for project in $(PROJECTS); do (cd $$project && "$(CURDIR)/$(BIN)/hatchling" build -t wheel -d "$(CURDIR)/dist") || exit 1; done
	touch $@

# Wheels of one version look the same to pip, so after a change they are put in place of the old ones.
$(VENV)/test.done: $(VENV)/made dist/.made constraints/tests.txt constraints/docs.txt
	$(INSTALL) -r constraints/tests.txt -r constraints/docs.txt
	$(INSTALL) --force-reinstall --no-deps --no-index dist/*.whl
	touch $@

$(VENV)/bench.done: $(VENV)/test.done constraints/bench.txt
	$(INSTALL) -r constraints/bench.txt
	touch $@

$(VENV)/%.done: $(VENV)/made constraints/%.txt
	$(INSTALL) -r constraints/$*.txt
	touch $@

constraints: $(VENV)/made # The files in constraints/, from the projects; UPGRADE=--upgrade for the newest versions.
	$(INSTALL) "uv>=0.9"
	$(BIN)/python constraints/refresh.py $(UPGRADE)

clean:
	rm -rf $(VENV) $(VENV)-* dist site demo_output
