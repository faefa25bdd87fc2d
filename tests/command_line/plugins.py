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
    wheels = build_projects(folder, copies, EXAMPLES / "format_csv", EXAMPLES / "command_entropy")
    assert len(wheels) == 2

    def tiny(name, modules, entry_points, group):
        wheels.append(build_wheel(folder, name, modules, entry_points, group=GROUP.format(group)))

    tiny("shelf", SHELF, {"shelf": "shelf.backend"}, "backends")
    tiny("counting", {"counting.py": WRAPPER}, {"counting": "counting:Counting"}, "wrappers")
    tiny("picky", {"picky.py": FORMAT}, {"picky": "picky"}, "formats")
    for name, (source, value) in COMMANDS.items():
        tiny(f"tiny-{name}", {f"tiny_{name}.py": source}, {name: value}, "commands")
    for name in ("one", "other"):
        tiny(
            f"tiny-{name}", {f"tiny_{name}.py": COMMANDS["refusing"][0]}, {"twice": f"tiny_{name}:command"}, "commands"
        )
    install(site, *wheels)
    return site
