"""What shells complete, and what `generate --help-options` lists: by name, without importing a framework."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.command_line.commands import START, command
from tests.conftest import BACKENDS
from tests.tiny import GOOD_BACKEND, build_wheel, install

PICKER = (
    GOOD_BACKEND
    + """
@hookimpl
def choices():
    return {"device": ["left", "right"], "speed": ("fast", "slow"), "many": range(99)}
"""
)
LOUD = GOOD_BACKEND + "\n@hookimpl\ndef choices():\n    raise RuntimeError('no choice')\n"
HEAVY = ("torch", "jax", "tensorflow", "keras", "onnx", "onnxruntime", "sklearn", "scipy", "pandas", "pyarrow", "PIL")
WATCHED = (
    "import sys\nfrom probly_data_generator_command_line import main\ntry:\n    main()\nfinally:\n"
    f"    print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
)
# What a user's ~/.bashrc has, then what bash does at the tabulator key: it calls the function for the words of a line.
ASK = """
eval "$(_FIRST_ORDER_COMPLETE=bash_source first-order)"
while IFS= read -r line; do
    read -ra COMP_WORDS <<< "${line%|}"; [[ "$line" == *" |" ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
    _first_order_completion first-order 2> /dev/null
    echo "${COMPREPLY[*]}"
done
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder, place = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    sources = {"picker": PICKER, "loud": LOUD}
    install(place, *(build_wheel(folder, name, {f"{name}.py": text}, {name: name}) for name, text in sources.items()))
    return place


@pytest.fixture(scope="module")
def bash(site, tmp_path_factory):
    """Return a function from lines to what a real bash completes them to, all in one bash."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "first-order"
    program.write_text(f"#!{sys.executable}\n{START}\n")
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(site)}

    def completed(*lines):
        done = subprocess.run(
            [shutil.which("bash"), "--norc", "-c", ASK],
            input="".join(f"{line}|\n" for line in lines),
            capture_output=True,
            text=True,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        return [line.split() for line in done.stdout.splitlines()]

    return completed


def test_a_real_bash_completes_names(bash):
    found = bash(
        "first-order con",
        "first-order generate --backend num",
        "first-order generate --backend picker --device ",
        "first-order generate --backend picker --device ri",
        "first-order generate --backend picker --option ",
        "first-order generate --backend nope --option ",
        "first-order generate --backend loud --device ",
        "first-order convert a.fod to/teacher.",
        "first-order convert a.fod teacher.js",
        "first-order generate --out teacher.",
        "first-order backends pick",
        "first-order generate --engine proc",
        "first-order generate --out ",
    )
    backends, devices, right, options, unknown, broken, *files, named, engines, _ = found[1:]
    assert found[0] == ["convert"]
    assert backends == ["numpy"]
    assert devices == ["left", "right"]
    assert right == ["right"]
    assert options == ["many=", "speed=fast", "speed=slow"]
    assert unknown == broken == []
    assert {"to/teacher.fod", "to/teacher.json", "to/teacher.npz"} <= set(files[0])
    assert {"teacher.json"} <= set(files[1]) <= {"teacher.json", "teacher.jsonl"}
    assert files[2] == ["teacher.fod"]
    assert named == ["picker"]
    assert engines == ["processes"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell):
    environment = {**os.environ, "_FIRST_ORDER_COMPLETE": f"{shell}_source"}
    done = subprocess.run(command(), capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert f"_FIRST_ORDER_COMPLETE={shell}_complete" in done.stdout


@pytest.mark.parametrize("words", ["generate --backend ", "generate --device ", "generate --option ", "convert a t."])
def test_completing_imports_no_framework(words):
    environment = {
        **os.environ,
        "_FIRST_ORDER_COMPLETE": "bash_complete",
        "COMP_WORDS": f"first-order {words}",
        "COMP_CWORD": str(len(f"first-order {words}|".split()) - 1),
    }
    done = subprocess.run([sys.executable, "-c", WATCHED], capture_output=True, text=True, env=environment)
    assert done.stdout.startswith("plain,")
    assert done.stderr == "[]\n"


def test_help_options_lists_what_a_strangers_backend_knows(shell, site, monkeypatch):
    monkeypatch.syspath_prepend(site)
    assert shell.run("generate --help-options --backend picker") == (
        "picker (picker 1.0)\n"
        "  --device         left, right\n"
        "  --option speed=  fast, slow; default fast\n"
        "  --option many=   0, 1, 2 ... 98; default 0\n"
    )
    assert shell.json("generate --help-options --backend picker") == {
        "picker": {
            "listed": True,
            "devices": ["left", "right"],
            "options": {"speed": ["fast", "slow"], "many": {"from": 0, "to": 98}},
        }
    }


def test_help_options_without_a_backend_lists_all(shell, strangers):
    text = shell.run("generate --help-options")
    assert "numpy (probly-data-generator " in text
    assert "plain (plain 1.0): no options\n" in text
    assert "vault (vault 1.0): takes options, but does not list them; see its documentation\n" in text
    assert "Unknown framework: nope" in shell.fails("generate --help-options --backend nope")


def test_a_broken_backend_is_named(shell, site, monkeypatch):
    monkeypatch.syspath_prepend(site)
    assert "no choice" in shell.fails("generate --help-options --backend loud", code=3)


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "numpy"])
def test_ours_list_their_devices_and_options(shell, backend):
    """That ``load_model`` knows these options, the conformance suite says."""
    listed = shell.json(f"generate --help-options --backend {backend}")
    (found,) = listed.values()
    assert any(device.lower().startswith("cpu") for device in found["devices"])
    assert found["options"]
