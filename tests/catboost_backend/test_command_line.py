"""`first-order` with the file of a model and a table."""

import numpy as np
import pandas as pd

from tests.command_line.table_sessions import check_table_session
from tests.frameworks.catboost import fitted


def test_a_file_of_catboost(tmp_path):
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(400, 3)), columns=["age", "dose", "size"])
    frame["town"] = np.array(["Ulm", "Bonn", "Kiel"])[random.integers(0, 3, 400)]
    frame.iloc[::9, 1] = np.nan
    labels = np.where(frame["age"] + (frame["town"] == "Ulm") > 0.5, "yes", "no")
    model = fitted(frame, labels, cat_features=["town"])
    model.save_model(tmp_path / "model.cbm")
    store = check_table_session(tmp_path, "model.cbm", frame, labels, model.predict_proba(frame).astype(np.float32))
    assert store.meta["backend"] == "catboost"
    assert store.class_names == ["no", "yes"]
