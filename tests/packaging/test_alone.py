"""Each distribution beside the core alone, in an environment of its own: it works there, and says what it lacks."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from probly.data_generator.installing import install_advice
from tests.conftest import BACKENDS
from tests.packaging.environments import CORE, ROOT, Alone, backends, project
from tests.packaging.linked import needed, ours_with

NEEDED = {"jax": ["flax"]}
"""What a suite needs beside pytest, for its models."""

RUN = """
import importlib.metadata
import probly.data_generator as fod
others = {{name.lower() for name in {others!r}}}
here = {{distribution.name.lower() for distribution in importlib.metadata.distributions()}}
assert not others & here, f"other frameworks are installed: {{others & here}}"
assert {{info.distribution for info in fod.list_backends().values()}} == {ours!r}, fod.list_backends()
assert {name!r} in fod.list_backends()
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
    """Return the block of the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.search(r"^## Quick start.*?^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)[1]


def question(name, wheels):
    """Return code that ends in an error where a backend, and those of ours that it requires, are not alone."""
    ours = {
        backend: ours_with(wheels, [CORE, *([] if backend == "numpy" else [backends()[backend]])])
        for backend in BACKENDS
    }
    frameworks = set().union(*(needed([], found) for found in ours.values()))
    others = sorted(frameworks - needed(["pytest", *NEEDED.get(name, [])], ours[name]).keys())
    stems = {wheel.name.split("-")[0] for wheel in ours[name]}
    return RUN.format(name=name, others=others, ours={project(stem)["name"] for stem in stems})


def test_the_core_needs_four_libraries_and_runs_the_quick_start(wheels, tmp_path):
    alone = Alone(tmp_path, wheels, CORE)
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
    extras = ["store", "report", "report", "store", "store", "parquet"]
    wanted = ["probly-data-generator-torch", *(f"probly-data-generator[{extra}]" for extra in extras)]
    for line, distribution in zip(said, wanted, strict=True):
        assert line.endswith(install_advice(distribution))
    done = subprocess.run([alone.python, "-I", "-m", "probly.data_generator"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.rstrip().endswith(install_advice("probly-data-generator[cli]"))


@pytest.mark.parametrize("name", BACKENDS)
def test_each_backend_passes_the_suite(name, wheels, tmp_path):
    """In an environment with its framework alone, which the control below shows to be one."""
    alone = Alone(tmp_path, wheels, {"numpy": CORE, **backends()}[name], wanted=["pytest", *NEEDED.get(name, [])])
    imported = alone.run(question(name, wheels)).strip()
    assert Path(imported).is_relative_to(alone.python.parents[1]), "the installed one"
    alone.run_conformance(name)


def test_that_another_framework_is_there_would_be_noticed(wheels):
    """The control of the test above: this environment has them all."""
    done = subprocess.run([sys.executable, "-c", question("numpy", wheels)], capture_output=True, text=True)
    assert done.returncode != 0
    assert "other frameworks are installed" in done.stderr


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
    alone = Alone(tmp_path, wheels, "probly_data_generator_store")
    assert alone.run(STORE, cwd=tmp_path).rstrip().endswith(install_advice("probly-data-generator[parquet]"))


def test_the_report_works_alone(wheels, tmp_path):
    alone = Alone(tmp_path, wheels, "probly_data_generator_report")
    alone.run(REPORT, cwd=tmp_path)
    assert "50 samples" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_evaluation_works_alone(wheels, tmp_path):
    alone = Alone(tmp_path, wheels, "probly_data_generator_evaluation")
    assert alone.installed() & {"scipy", "pyarrow", "scikit-learn"} == {"scipy"}
    assert alone.run(EVALUATION, cwd=tmp_path).rstrip().endswith(install_advice("probly-data-generator[parquet]"))
    assert (tmp_path / "next.csv").is_file()


def test_the_command_line_works_alone_and_names_what_it_lacks(wheels, tmp_path):
    alone = Alone(tmp_path, wheels, "probly_data_generator_command_line")
    rows = "from probly.data_generator.formats.choosing import save; save('rows.json', {0: [0.25, 0.75]})"
    alone.run(rows, cwd=tmp_path)
    for arguments, code, says in (
        (["--help"], 0, "generate"),
        (["inspect", "rows.json"], 0, "1"),
        (["backends"], 0, "numpy"),
        (["convert", "rows.json", "rows.npz"], 2, install_advice("probly-data-generator[store]")),
        (["report", "rows.json", "--out", "page.html"], 2, install_advice("probly-data-generator[report]")),
    ):
        done = alone.command("first-order", *arguments, cwd=tmp_path)
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        assert says in done.stdout + done.stderr
