"""Tiny distributions, really built as wheels and really installed, for what only installed plugins can show."""

import subprocess
import sys
import textwrap
import zipfile

GROUP = "probly.data_generator.backends"

GOOD_BACKEND = """
import numpy as np
from probly.data_generator import numpy_backend as numpy_
from probly.data_generator.hookspecs import hookimpl

load_model = numpy_.load_model
iterate_batches = numpy_.iterate_batches
to_device = numpy_.to_device
forward = numpy_.forward
posterior_params = numpy_.posterior_params
"""


def build_wheel(folder, name, modules, entry_points, version="1.0", group=GROUP, requires=()):
    """Write a pure-Python wheel and return its path; ``modules`` maps file names to source."""
    module_name = name.replace("-", "_")
    info = f"{module_name}-{version}.dist-info"
    required = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    lines = "".join(f"{key} = {value}\n" for key, value in entry_points.items())
    files = {path: textwrap.dedent(source) for path, source in modules.items()} | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{required}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[{group}]\n{lines}",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    wheel = folder / f"{module_name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, source in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, source)
    return wheel


def install(site, *wheels):
    """Install wheels into a folder with pip."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(site)]
    subprocess.run([*command, *map(str, wheels)], check=True, capture_output=True)
