"""The data, models and runs that the tests of CatBoost share."""

import numpy as np
import pandas as pd

from probly.data_generator import FirstOrderDataGenerator
from tests.frameworks.catboost import fitted

RANDOM = np.random.default_rng(0)
ROWS = 60
INPUTS = RANDOM.normal(size=(ROWS, 4))
INPUTS[::7, 0] = np.nan
LABELS = np.nan_to_num(INPUTS[:, :3], nan=0.5).argmax(axis=1)
NAMES = np.array(["a", "b", "c"])[LABELS]
FRAME = pd.DataFrame(INPUTS, columns=["age", "dose", "size", "rest"], index=RANDOM.permutation(ROWS))
TOWNS = pd.DataFrame(
    {
        "size": RANDOM.normal(size=ROWS),
        "town": np.array(["Ulm", "Bonn", "Kiel"])[RANDOM.integers(0, 3, ROWS)],
        "rooms": RANDOM.integers(3, 6, ROWS),
    }
)
IN_ULM = np.where((TOWNS["town"] == "Ulm") ^ (TOWNS["rooms"] == 4), "yes", "no")
MODEL = fitted(FRAME, NAMES)


def run(model, data=FRAME, **options):
    """Return the distributions of one run."""
    generator = FirstOrderDataGenerator(model, **{"batch_size": 16, **options})
    return generator.generate_distributions(data, progress=False)
