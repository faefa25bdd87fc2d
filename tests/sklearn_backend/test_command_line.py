"""`first-order` with a file of scikit-learn."""

import numpy as np
import pandas as pd
import skops.io
from sklearn.linear_model import LogisticRegression

from probly.data_generator.store import open_store
from tests.command_line.commands import finished
from tests.command_line.sessions import CLASSES


def test_a_file_of_scikit_learn(tmp_path):
    random = np.random.default_rng(0)
    inputs, labels = random.normal(size=(90, 4)), np.repeat(CLASSES, 30)
    model = LogisticRegression().fit(inputs, labels)
    skops.io.dump(model, tmp_path / "model.skops")
    pd.DataFrame({**dict(zip("abcd", inputs.T, strict=True)), "label": labels}).to_parquet(tmp_path / "data.parquet")
    words = ["generate", "--backend", "sklearn", "--model", "model.skops", "--data", "data.parquet", "--out", "a.fod"]
    finished(tmp_path, *words)
    store = open_store(tmp_path / "a.fod")
    np.testing.assert_allclose(np.asarray(store), model.predict_proba(inputs), rtol=0, atol=1e-6)
    assert store.class_names == list(CLASSES)
    assert store.labels.tolist() == labels.tolist()
