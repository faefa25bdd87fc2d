"""`first-order` with a file of scikit-learn."""

import numpy as np
import pandas as pd
import skops.io
from sklearn.linear_model import LogisticRegression

from probly.data_generator.store import open_store
from tests.command_line.commands import finished
from tests.command_line.conftest import shell as shell  # noqa: PLC0414  # a fixture is found by its name
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


CODE = """
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

random = np.random.default_rng(0)
FRAME = pd.DataFrame({"age": random.normal(size=60), "town": ["Ulm", "Bonn", "Kiel"] * 20})
FRAME["dose"] = random.normal(size=60)
LABELS = np.where(FRAME.age - 2 * FRAME.dose + (FRAME.town == "Ulm") > 0, "yes", "no")


def build():
    picked = ColumnTransformer([("n", StandardScaler(), ["dose", "age"]), ("t", OneHotEncoder(), ["town"])])
    return make_pipeline(picked, LogisticRegression()).fit(FRAME, LABELS)
"""


def test_a_pipeline_gets_the_columns_that_it_was_fitted_with(shell):
    (shell.folder / "towns.py").write_text(CODE)
    import towns

    shuffled = towns.FRAME.assign(label=towns.LABELS, number=1).sample(frac=1, random_state=0)
    shuffled[["dose", "number", "label", "town", "age"]].to_parquet("data.parquet")
    shell.run("generate --backend sklearn --model towns:build --data data.parquet --out a.fod")
    store = open_store("a.fod")
    expected = towns.build().predict_proba(shuffled[["age", "town", "dose"]])
    np.testing.assert_allclose(np.asarray(store), expected, rtol=0, atol=1e-6)
    assert store.labels.tolist() == shuffled.label.tolist()
    shuffled.drop(columns="town").to_parquet("less.parquet")
    line = "generate --backend sklearn --model towns:build --data less.parquet --out b.fod"
    assert "knows its columns by name, age, town, dose" in shell.fails(line)
