"""docs/writing_a_backend.md is complete and true; what it prints is run by tests/testing/test_strangers.py."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

from probly.data_generator import hookspecs
from probly.data_generator.testing.capabilities import CAPABILITIES
from tests.testing.strangers import STRANGERS

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "examples" / "backend_template"
TEXT = (ROOT / "docs" / "writing_a_backend.md").read_text(encoding="utf-8")
HOOKS = {name: value for name, value in vars(hookspecs).items() if hasattr(value, f"{hookspecs.PROJECT}_spec")}


def sections(text):
    """Return what follows each heading ``### hook(arguments)``, by hook, with the arguments."""
    parts = re.split(r"^(#{2,3}) (.*)$", text, flags=re.MULTILINE)
    found = {}
    for heading, body in zip(parts[2::3], parts[3::3], strict=True):
        match = re.fullmatch(r"(\w+)\((.*)\)", heading)
        if match:
            found[match[1]] = (re.findall(r"\w+", match[2]), body)
    return found


def files(text):
    """Return the blocks that have a path before them."""
    return dict(re.findall(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL))


def differences(text):
    """Return what a document says otherwise than hookspecs.py."""
    documented = {hook: arguments for hook, (arguments, _) in sections(text).items()}
    specified = {hook: list(inspect.signature(spec).parameters) for hook, spec in HOOKS.items()}
    return {hook for hook in documented.keys() | specified.keys() if documented.get(hook) != specified.get(hook)}


def test_every_hook_is_documented_with_its_exact_arguments():
    assert differences(TEXT) == set()
    assert list(sections(TEXT)) == [*hookspecs.REQUIRED, *hookspecs.DEFAULTED, *hookspecs.OPTIONAL]


@pytest.mark.parametrize(
    ("change", "hook"),
    [
        (lambda text: text.replace("### forward(model, inputs, batch_size)\n", ""), "forward"),
        (lambda text: text.replace("### to_device(data, device)", "### to_device(device, data)"), "to_device"),
        (
            lambda text: text.replace("### load_model(source, device, options)", "### load_model(source, device)"),
            "load_model",
        ),
        (lambda text: text.replace(", start, stop, label_getter)", ", start)"), "iterate_batches"),
        (lambda text: text + "\n### unload_model(model)\n", "unload_model"),
    ],
)
def test_a_difference_would_be_found(change, hook):
    assert differences(change(TEXT)) == {hook}


@pytest.mark.parametrize("hook", HOOKS)
def test_every_argument_is_explained_and_what_may_be_left_out_is_called_so(hook):
    arguments, body = sections(TEXT)[hook]
    assert re.findall(r"^- `(\w+)`:", body, flags=re.MULTILINE) == arguments
    assert body.strip().startswith("Optional.") == (hook in hookspecs.OPTIONAL)
    assert body.strip().startswith("The core's own answer ") == (hook in hookspecs.DEFAULTED)


def test_every_capability_is_explained():
    assert all(f'`"{name}"`:' in TEXT for name in CAPABILITIES)


def test_the_documents_blocks_are_the_examples_files_byte_for_byte():
    ignored = ("__pycache__", "dist", "build", ".pytest_cache")
    paths = [path for path in TEMPLATE.rglob("*") if path.is_file() and not set(ignored) & set(path.parts)]
    expected = {path.relative_to(TEMPLATE).as_posix(): path.read_bytes().decode() for path in paths}
    smallest = "examples/backend_numpy/abacus_backend.py"
    expected[smallest] = (ROOT / smallest).read_bytes().decode()
    assert files(TEXT) == expected


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("backend_numpy/abacus_backend.py", 25),
        ("backend_trees/grove_backend.py", 30),
        ("backend_template/src/shelf_backend.py", 60),
    ],
)
def test_the_backends_are_short(path, most):
    code = [line for line in (ROOT / "examples" / path).read_text(encoding="utf-8").splitlines() if line.strip()]
    assert len(code) <= most
    hooks = {name for name in HOOKS if f"def {name}(" in "\n".join(code)}
    assert set(hookspecs.REQUIRED) <= hooks


def test_the_librarys_arrays_are_not_numpys():
    assert "class Array:" in files(TEXT)["shelf_arrays/shelf_arrays.py"]


def test_what_the_document_refers_to_exists():
    for path in re.findall(r"`((?:examples|docs)/[\w./]+)`", TEXT):
        assert (ROOT / path).exists(), path
    headings = re.findall(r"^##+ (.*)$", TEXT, flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([\w-]+)\)", TEXT)) <= anchors
    names = re.findall(
        r"`(arrays|batches|digest|importing|nests|options|outputs|posterior|recognition|samples)\.(\w+)`", TEXT
    )
    assert len(names) > 10
    for module, name in names:
        assert hasattr(importlib.import_module(f"probly.data_generator.toolkit.{module}"), name), (module, name)


def test_the_files_of_the_readme_are_those_of_the_template():
    named = re.findall(r"^    ([\w/.]+)  ", files(TEXT)["README.md"], flags=re.MULTILINE)
    assert named
    assert all((TEMPLATE / name).exists() for name in named)
    assert STRANGERS["shelf"][0] == TEMPLATE
