"""What pages and messages say of installing works as it is written."""

import ast
import re
import shlex

import pytest

from probly.data_generator import installing
from probly.data_generator.installing import CORE, install_advice, install_command
from tests.packaging.environments import PROJECTS, ROOT, Environment, clean
from tests.packaging.environments import project as declared
from tests.packaging.install_texts import COMMAND, files, written

FILES = [path for path in files() if "pip install" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_are_written_as_they_work_today(path):
    """`make install-texts` writes them anew."""
    text = path.read_text(encoding="utf-8")
    assert written(text) == text


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_installed_of_ours_is_there(path):
    """Every distribution and every extra that a command names is one of ours."""
    for match in COMMAND.finditer(path.read_text(encoding="utf-8")):
        for word in shlex.split(match[1]):
            name, _, extras = word.rstrip("].,").partition("[")
            if name.startswith(CORE):
                project = declared(name.replace("-", "_"))
                assert set(filter(None, extras.split(","))) <= project.get("optional-dependencies", {}).keys(), word


def test_the_code_has_no_command_of_its_own():
    for path in files():
        if path.suffix == ".py":
            strings = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if _is_text(node)]
            assert not [node.value for node in strings if "run: pip" in node.value], path


def _is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_one_constant_switches_the_texts(monkeypatch):
    monkeypatch.setattr(installing, "RELEASED", False)
    before = f'`pip install --find-links dist "{CORE}[store]" pandas`, or pip install torch; see pip install.'
    wheels = f'(in a checkout, where "make wheels" fills {installing.WHEELS})'
    assert install_command(f"{CORE}[store]") == f'pip install --find-links dist "{CORE}[store]"'
    assert install_advice(f"{CORE}-store") == f"run: pip install --find-links dist {CORE}-store {wheels}"
    assert written(before) == before
    monkeypatch.setattr(installing, "RELEASED", True)
    after = f'`pip install "{CORE}[store]" pandas`, or pip install torch; see pip install.'
    assert written(before) == after
    assert install_command(f"{CORE}[store]") == f'pip install "{CORE}[store]"'
    assert install_advice(f"{CORE}-store") == f"run: pip install {CORE}-store"
    monkeypatch.setattr(installing, "RELEASED", False)
    assert written(after) == before


def test_others_are_installed_as_ever():
    assert install_command("pandas>=2", "orjson", options=["--upgrade"]) == 'pip install --upgrade "pandas>=2" orjson'
    assert install_advice("datasets") == "run: pip install datasets"


def test_a_newcomer_installs_from_the_wheels_and_runs_the_demo(wheels, tmp_path):
    """The commands of the README, by pip, with the package index, in a fresh environment."""
    (tmp_path / "dist").symlink_to(next(iter(wheels.values())).parent)
    commands = re.findall(r"^pip install .*standard.*$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    _, _, *wanted = shlex.split(commands[0], comments=True)
    place = wanted.index("--find-links")
    assert wanted[place + 1] == "dist"
    fresh = Environment(tmp_path)
    fresh.install(*wanted[:place], *wanted[place + 2 :], options=["--find-links", tmp_path / "dist"])
    ours = {name for name in fresh.installed() if name.startswith(CORE)}
    assert ours == {CORE, *(f"{CORE}-{name}" for name in ("command-line", "report", "store"))}
    for line in ("demo", "verify demo/teacher.fod", "backends numpy"):
        done = fresh.command("first-order", *line.split(), cwd=tmp_path, env=clean())
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_checkout_of_wheels_lacks_nothing(wheels):
    assert len({wheel.name.split("-")[1] for wheel in wheels.values()}) == 1, "one version"
    assert len(wheels) == len(PROJECTS)
