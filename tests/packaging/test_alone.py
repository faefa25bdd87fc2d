"""Each distribution beside the core alone, in an environment of its own: it works there, and says what it lacks."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import BACKENDS
from tests.packaging.environments import ROOT, Environment

SPREAD = True  # each has an environment of its own, so they may run beside each other
FRAMEWORKS = {
    "torch": "torch", "jax": "jax", "tensorflow": "tensorflow", "onnx": "onnxruntime", "sklearn": "sklearn"
}  # fmt: skip
NEEDED = {"jax": ["flax"]}
"""What a suite needs beside pytest, for its models."""

RUN = """
import importlib.util

assert not [other for other in {absent!r} if importlib.util.find_spec(other)], "another framework is installed"
import probly.data_generator as fod
assert set(fod.list_backends()) == {{"numpy", {name!r}}}, fod.list_backends()
print(fod.__file__)
"""

ABSENT = """
import probly.data_generator as fod
from probly.data_generator import Distributions
rows = Distributions([[0.25, 0.75]])
made = fod.FirstOrderDataGenerator(lambda rows: rows)

def told(action):
    try:
        action()
    except ImportError as error:
        print(type(error).__name__, error)

told(lambda: __import__("probly.data_generator.torch_first_order_generator"))
told(lambda: __import__("probly.data_generator.store"))
told(lambda: __import__("probly.data_generator.report"))
told(lambda: __import__("probly.data_generator.comparison"))
told(lambda: made.generate_distributions([[0.0, 1.0]], out="run.fod"))
told(lambda: made.save_distributions("rows.npz", rows))
told(lambda: made.save_distributions("rows.parquet", rows))
"""


def quick_start():
    """Return the README's block for plain Python and NumPy."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.search(r"^### Anything else.*?^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)[1]


def test_the_core_needs_four_libraries_and_runs_the_quick_start(wheels, tmp_path):
    alone = Environment(tmp_path, wheels["probly_data_generator"])
    assert alone.installed() - {"probly-data-generator"} == {
        "numpy",
        "pluggy",
        "importlib-metadata",
        "tqdm",
        "zipp",  # of importlib-metadata
        "lazy-importer",  # likewise
    }
    alone.run(quick_start(), cwd=tmp_path)
    assert list(tmp_path.glob("*.json")), "it writes JSON"
    said = alone.run(ABSENT, cwd=tmp_path).splitlines()
    assert [re.search(r"pip install \S+", line)[0] for line in said] == [
        "pip install probly-data-generator-torch",
        'pip install "probly-data-generator[store]"',
        *['pip install "probly-data-generator[report]"'] * 2,
        *['pip install "probly-data-generator[store]"'] * 2,
        'pip install "probly-data-generator[parquet]"',
    ]
    done = subprocess.run([alone.python, "-I", "-m", "probly.data_generator"], capture_output=True, text=True)
    assert done.returncode == 2
    assert 'pip install "probly-data-generator[cli]"' in done.stderr


@pytest.mark.parametrize("name", BACKENDS)
def test_each_backend_passes_the_suite(name, wheels, tmp_path):
    plugin = [] if name == "numpy" else [wheels[f"probly_data_generator_{name}"]]
    alone = Environment(tmp_path, wheels["probly_data_generator"], *plugin)
    absent = [module for other, module in FRAMEWORKS.items() if other != name]
    imported = alone.run(RUN.format(name=name, absent=absent)).strip()
    assert Path(imported).is_relative_to(alone.python.parents[1]), "the installed one"
    alone.install("pytest", *NEEDED.get(name, []))
    alone.run_conformance(name)


def test_that_another_framework_is_there_would_be_noticed():
    """The control of the test above: this environment has them all."""
    code = RUN.format(name="numpy", absent=[FRAMEWORKS.get(name, name) for name in BACKENDS])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode != 0
    assert "another framework is installed" in done.stderr


STORE = """
import numpy as np
from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.store import open_store

rows = np.random.default_rng(0).normal(size=(100, 3))
made = FirstOrderDataGenerator(lambda rows: rows, output_mode="logits", batch_size=8)
stored = made.generate_distributions(rows, out="run.fod", progress=False)
open_store("run.fod").verify()
assert stored == made.generate_distributions(rows, progress=False)
for suffix in (".npz", ".safetensors", ".json"):
    made.save_distributions("rows" + suffix, stored)
    assert made.load_distributions("rows" + suffix)[0] == stored
try:
    made.save_distributions("rows.parquet", stored)
except ImportError as error:
    print(error)
"""

REPORT = """
import numpy as np
from probly.data_generator import Distributions
from probly.data_generator.comparison import compare
from probly.data_generator.report import write_report

rows = np.random.default_rng(0).dirichlet(np.ones(3), 50)
made = Distributions(rows, labels=rows.argmax(axis=1))
write_report("report.html", made)
assert compare(made, made)
"""

EVALUATION = """
import numpy as np
from probly.data_generator import Distributions
from probly_data_generator_evaluation import ConvexHulls, coverage, decompose, rank, sample_labels

members = np.random.default_rng(0).dirichlet(np.ones(3), (50, 4))
made = Distributions(members.mean(axis=1))
assert coverage(ConvexHulls(members), made).rate == 1
assert decompose(members).means() and len(sample_labels(made)) == 50
rank(made).save("next.csv")
try:
    rank(made).save("next.parquet")
except ImportError as error:
    print(error)
"""


def test_the_store_works_alone(wheels, tmp_path):
    alone = Environment(tmp_path, wheels["probly_data_generator"], wheels["probly_data_generator_store"])
    assert "pip install" in alone.run(STORE, cwd=tmp_path)


def test_the_report_works_alone(wheels, tmp_path):
    alone = Environment(tmp_path, wheels["probly_data_generator"], wheels["probly_data_generator_report"])
    alone.run(REPORT, cwd=tmp_path)
    assert "50 samples" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_evaluation_works_alone(wheels, tmp_path):
    alone = Environment(tmp_path, wheels["probly_data_generator"], wheels["probly_data_generator_evaluation"])
    assert alone.installed() & {"scipy", "pyarrow", "scikit-learn"} == {"scipy"}
    assert 'pip install "probly-data-generator[parquet]"' in alone.run(EVALUATION, cwd=tmp_path)
    assert (tmp_path / "next.csv").is_file()


def test_the_command_line_works_alone_and_names_what_it_lacks(wheels, tmp_path):
    alone = Environment(tmp_path, wheels["probly_data_generator"], wheels["probly_data_generator_command_line"])
    rows = "from probly.data_generator.formats.choosing import save; save('rows.json', {0: [0.25, 0.75]})"
    alone.run(rows, cwd=tmp_path)
    for arguments, code, says in (
        (["--help"], 0, "generate"),
        (["inspect", "rows.json"], 0, "1"),
        (["backends"], 0, "numpy"),
        (["convert", "rows.json", "rows.npz"], 2, 'pip install "probly-data-generator[store]"'),
        (["report", "rows.json", "--out", "page.html"], 2, 'pip install "probly-data-generator[report]"'),
    ):
        done = alone.command("first-order", *arguments, cwd=tmp_path)
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        assert says in done.stdout + done.stderr
