"""docs/writing_a_backend.md is complete, is true, and what it prints works on a machine that has nothing else."""

import inspect
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from probly.data_generator import hookspecs
from probly.data_generator.testing.capabilities import CAPABILITIES

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
    assert len(HOOKS) == len(hookspecs.REQUIRED) + len(hookspecs.OPTIONAL)


@pytest.mark.parametrize(
    ("change", "hook"),
    [
        (lambda text: text.replace("### forward(model, inputs, output_mode, batch_size)\n", ""), "forward"),
        (lambda text: text.replace("### to_device(data, device)", "### to_device(device, data)"), "to_device"),
        (
            lambda text: text.replace("### load_model(source, device, options)", "### load_model(source, device)"),
            "load_model",
        ),
        (lambda text: text + "\n### unload_model(model)\n", "unload_model"),
    ],
)
def test_a_difference_would_be_found(change, hook):
    assert differences(change(TEXT)) == {hook}


@pytest.mark.parametrize("hook", HOOKS)
def test_every_argument_is_explained_and_optional_hooks_are_called_so(hook):
    arguments, body = sections(TEXT)[hook]
    assert re.findall(r"^- `(\w+)`:", body, flags=re.MULTILINE) == arguments
    assert body.strip().startswith("Optional.") == (hook in hookspecs.OPTIONAL)


def test_every_capability_is_explained():
    assert all(f'`"{name}"`:' in TEXT for name in CAPABILITIES)


def test_the_documents_blocks_are_the_templates_files_byte_for_byte():
    ignored = ("__pycache__", "dist", "build", ".pytest_cache")
    paths = [path for path in TEMPLATE.rglob("*") if path.is_file() and not set(ignored) & set(path.parts)]
    on_disk = {path.relative_to(TEMPLATE).as_posix(): path.read_bytes() for path in paths}
    assert files(TEXT) == {path: content.decode() for path, content in on_disk.items()}


def test_the_backend_is_short_and_its_library_is_not_numpy():
    code = [line for line in files(TEXT)["src/shelf_backend.py"].splitlines() if line.strip()]
    assert len(code) <= 80
    assert "class Array:" in files(TEXT)["shelf_arrays/shelf_arrays.py"]


def test_what_the_document_refers_to_exists():
    for path in re.findall(r"`(examples/[\w./]+)`", TEXT):
        assert (ROOT / path).exists(), path
    headings = re.findall(r"^##+ (.*)$", TEXT, flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([\w-]+)\)", TEXT)) <= anchors
    for module, name in re.findall(r"`(batches|importing|nests|options|outputs|posterior)\.(\w+)`", TEXT):
        assert hasattr(__import__(f"probly.data_generator.{module}", fromlist=[name]), name), (module, name)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """Return the folder with the document's files, and the Python of an environment with the core, these and pytest."""
    folder, environment = tmp_path_factory.mktemp("document"), tmp_path_factory.mktemp("environment")
    for path, content in files(TEXT).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")
    wheels = folder / "wheels"
    shell(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", wheels, ROOT, folder, folder / "shelf_arrays"]
    )
    assert len(list(wheels.glob("*.whl"))) == 3
    venv.create(environment, with_pip=True, symlinks=True)
    python = environment / "bin" / "python"
    shell([python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", *wheels.glob("*.whl"), "pytest"])
    return folder, python


def shell(command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_documents_backend_passes_the_suite_where_nothing_else_is_installed(stranger):
    folder, python = stranger
    printed = shell([python, "-I", "-m", "pytest", "-W", "error", "-rA", folder / "tests"], cwd=folder)
    summary = printed.splitlines()[-1]
    assert re.fullmatch(r"=+ \d{2,} passed, 1 xfailed in .* =+", summary), summary


def test_a_mistake_in_the_documents_backend_would_be_found(stranger):
    """The control of the test above: the backend returns the model's own memory, in its own precision."""
    folder, python = stranger
    module = Path(shell([python, "-I", "-c", "import shelf_backend; print(shelf_backend.__file__)"]).strip())
    source = module.read_text(encoding="utf-8")
    try:
        module.write_text(source.replace("scores.astype(np.float32)", "scores"), encoding="utf-8")
        command = [python, "-I", "-m", "pytest", "-q", folder / "tests"]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=folder)
    finally:
        module.write_text(source, encoding="utf-8")
    assert done.returncode == 1
    for check in ("a_model_may_reuse_the_memory_of_its_outputs[probs]", "logits_of_any_dtype_become_float32[float16]"):
        assert f"FAILED tests/test_conformance.py::TestShelf::test_{check}" in done.stdout


def test_users_find_it_as_the_document_says(stranger):
    folder, python = stranger
    code = (
        "import sys\n"
        f"sys.path.append({str(folder / 'tests')!r})\n"
        "import numpy as np\n"
        "from test_conformance import MLP\n"
        "from probly.data_generator import FirstOrderDataGenerator, check_backend, list_backends\n"
        "from probly.data_generator.testing import reference\n"
        "assert set(list_backends()) == {'numpy', 'shelf'}\n"
        "assert list_backends()['shelf'].distribution == 'shelf-backend'\n"
        "model = MLP(reference.mlp_weights())\n"
        "rows = FirstOrderDataGenerator(model, device='lower').generate_distributions(np.ones((3, 5), np.float32))\n"
        "assert rows.meta['backend'] == 'shelf' and rows.meta['device'] == 'lower', rows.meta\n"
        "print(check_backend('shelf'))\n"
    )
    printed = shell([python, "-I", "-c", code])
    assert f'>>> print(check_backend("shelf"))\n{printed}```' in TEXT
