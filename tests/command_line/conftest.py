"""A folder to run commands in, what may lie in it, and plugins of strangers, really built as wheels and installed."""

import sys

import pytest

from tests.command_line.commands import Shell
from tests.command_line.own_code import CODE
from tests.command_line.plugins import install_all


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    """Give a Shell in a fresh folder, and forget the modules that are imported from there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield Shell(tmp_path, capsys)
    for name in set(sys.modules) - before:
        module = sys.modules[name]
        own = vars(module)  # some libraries put objects of their own among the modules, which answer to any name
        places = [own.get("__file__") or "", *(own.get("__path__") or [])]
        if any(place.startswith(str(tmp_path)) for place in places):
            del sys.modules[name]


@pytest.fixture
def demo(shell):
    """Give a Shell in a folder with the demo's model, data and stores."""
    shell.run("demo")
    return shell


@pytest.fixture
def mine(shell):
    """Give a Shell in a folder with a user's own module."""
    (shell.folder / "mine.py").write_text(CODE)
    return shell


@pytest.fixture(scope="session")
def strangers_site(tmp_path_factory):
    """Install the examples and tiny plugins of every kind into one folder."""
    folders = (tmp_path_factory.mktemp(name) for name in ("wheels", "projects", "site"))
    return install_all(*folders)


@pytest.fixture
def strangers(strangers_site, monkeypatch):
    """Put the plugins of strangers on the path of this process."""
    monkeypatch.syspath_prepend(strangers_site)
    yield strangers_site
    for name, module in list(sys.modules.items()):
        if str(vars(module).get("__file__")).startswith(str(strangers_site)):
            del sys.modules[name]
