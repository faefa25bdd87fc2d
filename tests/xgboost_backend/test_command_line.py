"""`first-order` with the file of a booster and a table."""

import numpy as np
import pandas as pd
import xgboost

from tests.command_line.table_sessions import check_table_session
from tests.frameworks.xgboost import trained


def test_a_file_of_xgboost(tmp_path):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(400, 4)), columns=["age", "dose", "size", "rest"])
    frame.iloc[::9, 1] = np.nan
    labels = frame[["age", "size", "rest"]].to_numpy().argmax(axis=1)
    booster = trained(frame, labels)
    booster.save_model(tmp_path / "model.json")
    store = check_table_session(tmp_path, "model.json", frame, labels, booster.predict(xgboost.DMatrix(frame)))
    assert store.meta["backend"] == "xgboost"
