"""`first-order` with the file of a booster and a table."""

import numpy as np
import pandas as pd

from tests.command_line.table_sessions import check_table_session
from tests.frameworks.lightgbm import trained


def test_a_file_of_lightgbm(tmp_path):
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(400, 3)), columns=["age", "dose", "size"])
    frame["town"] = pd.Categorical(np.array(["Ulm", "Bonn", "Kiel"])[random.integers(0, 3, 400)])
    frame.iloc[::9, 1] = np.nan
    labels = (frame["age"] + (frame["town"] == "Ulm") > 0.5).to_numpy(int) + (frame["size"] > 0).to_numpy(int)
    booster = trained(frame, labels)
    booster.save_model(tmp_path / "model.txt")
    expected = booster.predict(frame).astype(np.float32)
    store = check_table_session(tmp_path, "model.txt", frame.assign(town=frame["town"].astype(str)), labels, expected)
    assert store.meta["backend"] == "lightgbm"
