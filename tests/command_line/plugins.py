"""Plugins of strangers: a backend, a wrapper and a format that refuse things, commands that work and that do not."""

from pathlib import Path

from tests.tiny import build_projects, build_wheel, install

EXAMPLES = Path(__file__).parents[2] / "examples"
GROUP = "probly.data_generator.{}"

# A backend with files of its own, whose package says in two modules what is wrong with the user's input.
SHELF = {
    "shelf/__init__.py": "",
    "shelf/backend.py": """
        import pathlib
        import types

        import numpy as np
        from probly.data_generator.hookspecs import hookimpl
        from shelf import checks


        @hookimpl
        def recognizes(source):
            return isinstance(source, pathlib.Path) and source.suffix == ".shelf"


        @hookimpl
        def load_model(source, device, options):
            checks.check_device(device)
            weights = np.array(options.get("scale", 1.0) * float(pathlib.Path(source).read_text()))
            return types.SimpleNamespace(device="shelf:0", weights=weights)


        @hookimpl
        def forward(model, inputs, batch_size):
            checks.check_inputs(inputs)
            return inputs * model.weights
        """,
    "shelf/checks.py": """
        def check_device(device):
            if device not in (None, "shelf:0"):
                raise ValueError(f"device {device!r} is not available; available: shelf:0")


        def check_inputs(inputs):
            if inputs.shape[1] == 2:
                raise ValueError("expected three features, got two; choose others with --inputs-key")
            if inputs.shape[1] == 4:
                raise RuntimeError("a broken shelf")
        """,
}
# A backend whose files run code when they are opened, and one that takes no options at all.
VAULT = """
import pathlib
import pickle
import types

from probly.data_generator.hookspecs import hookimpl
from probly.data_generator.toolkit.options import checked_options
from probly.data_generator.toolkit.trust import TRUST_OPTION, untrusted


@hookimpl
def recognizes(source):
    return isinstance(source, pathlib.Path) and source.suffix == ".vault"


@hookimpl
def load_model(source, device, options):
    if not checked_options(options, TRUST_OPTION, "vault")["trust"]:
        raise untrusted(source, "a vault is a pickle, which runs any code")
    return types.SimpleNamespace(device="cpu", scale=pickle.loads(pathlib.Path(source).read_bytes()))


@hookimpl
def forward(model, inputs, batch_size):
    return model.scale * inputs
"""
PLAIN = """
import types

from probly.data_generator.hookspecs import hookimpl


@hookimpl
def load_model(source, device):
    return types.SimpleNamespace(device="cpu")


@hookimpl
def forward(model, inputs, batch_size):
    return inputs
"""
WRAPPER = """
from probly.data_generator.hookspecs import hookimpl

CALLS = []


class Counting:
    def __init__(self, hook):
        self.hook = hook

    @hookimpl(wrapper=True)
    def forward(self, inputs):
        CALLS.append(len(inputs))
        if inputs.shape[1] == 5:
            raise ValueError("this wrapper counts no five features")
        return (yield)
"""
FORMAT = """
def read(path):
    raise ValueError(f"{path}: picky reads nothing")


def write(path, distributions, meta):
    raise TypeError(f"{path}: picky writes nothing")
"""
# A format that takes the rows of a run as they come: a line of JSON for each, and one that says that it is complete.
LINES = """
import contextlib
import json

import numpy as np
from probly.data_generator import Distributions


class Lines:
    first_stored = decided = None
    safe_rows = 0

    def __init__(self, path, options):
        self.path, self.options = path, options
        self.lines = path.read_text().splitlines() if path.exists() else []
        self.first_needed = len(self.lines)

    def needs(self, indices):
        return bool((indices >= self.first_needed).any())

    def stored(self, indices):
        return None

    def begin(self, classes, meta, *others):
        self.meta = {**meta, "encoding asked for": self.options["encoding"]}

    def write(self, indices, rows, columns):
        lines = [json.dumps([int(index), row.tolist()]) for index, row in zip(indices, rows)]
        with self.path.open("a") as file:
            file.writelines(line + "\\n" for line in lines[max(0, self.first_needed - int(indices[0])) :])

    def finish(self):
        with self.path.open("a") as file:
            file.write(json.dumps(self.meta) + "\\n")
        return read(self.path)


@contextlib.contextmanager
def open_sink(path, identity, options):
    yield read(path) if path.exists() and path.read_text().endswith("}\\n") else Lines(path, options)


def read(path):
    *rows, meta = map(json.loads, path.read_text().splitlines())
    return Distributions(np.float32([row for _, row in rows]), [index for index, _ in rows], meta=meta)


def write(path, distributions, meta):
    raise TypeError(f"{path}: lines are written by runs only")
"""
COMMANDS = {
    "exits": ("import sys\n\nsys.exit(0)\n", "tiny_exits:command"),
    "missing": ("import module_of_nobody\n", "tiny_missing:command"),
    "function": ("def command():\n    pass\n", "tiny_function:command"),
    "refusing": (
        "import click\n\n\n@click.command()\ndef command():\n    raise ValueError('refused by its author')\n",
        "tiny_refusing:command",
    ),
    "buggy": ("import click\n\n\n@click.command()\ndef command():\n    {}['key']\n", "tiny_buggy:command"),
}


def install_all(folder, copies, site):
    """Build the examples and everything above, install it into a folder, and return that."""
    wheels = build_projects(folder, copies, EXAMPLES / "format_jsonl", EXAMPLES / "command_entropy")
    assert len(wheels) == 2

    def tiny(name, modules, entry_points, group):
        wheels.append(build_wheel(folder, name, modules, entry_points, group=GROUP.format(group)))

    tiny("shelf", SHELF, {"shelf": "shelf.backend"}, "backends")
    tiny("vault", {"vault.py": VAULT}, {"vault": "vault"}, "backends")
    tiny("plain", {"plain.py": PLAIN}, {"plain": "plain"}, "backends")
    tiny("counting", {"counting.py": WRAPPER}, {"counting": "counting:Counting"}, "wrappers")
    tiny("lines", {"lines.py": LINES}, {"lines": "lines"}, "formats")
    tiny("picky", {"picky.py": FORMAT}, {"picky": "picky"}, "formats")
    for name, (source, value) in COMMANDS.items():
        tiny(f"tiny-{name}", {f"tiny_{name}.py": source}, {name: value}, "commands")
    for name in ("one", "other"):
        tiny(
            f"tiny-{name}", {f"tiny_{name}.py": COMMANDS["refusing"][0]}, {"twice": f"tiny_{name}:command"}, "commands"
        )
    install(site, *wheels)
    return site
