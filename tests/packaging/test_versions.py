"""The oldest and the newest libraries that the core admits."""

from tests.packaging.environments import ROOT, Environment

FLOORS = ["importlib-metadata==6.0.0", "numpy==1.26.0", "pluggy==1.2.0", "tqdm==4.60.0"]
"""The oldest versions that pyproject.toml admits."""

CODE = """
import numpy as np, pluggy
assert pluggy.__version__ == "1.2.0" and np.__version__ == "1.26.0"
from probly.data_generator import FirstOrderDataGenerator, hookimpl
from probly.data_generator.discovery import rules

class Timing:
    calls = 0
    @hookimpl(wrapper=True)
    def forward(self, model, inputs):
        Timing.calls += 1
        return (yield)

generator = FirstOrderDataGenerator(lambda x: x, batch_size=2, output_mode="logits", wrappers=[Timing()])
rows = np.asarray(generator.generate_distributions(np.zeros((5, 4))))
assert (rows == 0.25).all() and Timing.calls == 3
np.array(generator.generate_distributions(np.zeros((5, 4))), copy=True)

@hookimpl
def forward(model, inputs, batch_size=64):
    return inputs
try:
    rules.check_signature("forward", forward)
except TypeError as error:
    print(error)
"""


def test_the_declared_floors_are_enough(wheels, tmp_path):
    """The oldest versions that pyproject.toml admits pass the suite, too, pluggy's silent defaults included."""
    declared = (ROOT / "pyproject.toml").read_text()
    for floor in FLOORS:
        assert f'"{floor.removesuffix(".0").replace("==", ">=")}"' in declared
    alone = Environment(tmp_path)
    # Later versions of pytest want a later pluggy.
    alone.install(wheels["probly_data_generator"], "pytest==7.4.4", *FLOORS)
    assert "remove the default" in alone.run(CODE)
    alone.run_conformance("numpy")


def test_the_newest_pluggy_passes_the_suite(wheels, tmp_path):
    alone = Environment(tmp_path)
    alone.install("-c", ROOT / "constraints" / "core.txt", wheels["probly_data_generator"], "pytest")
    alone.install("pluggy")
    alone.run_conformance("numpy")
