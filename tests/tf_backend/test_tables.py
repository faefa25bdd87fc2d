"""Models with an input per column get a table by the names of its columns, from Python and from the command line."""

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.store import open_store
from tests.command_line.conftest import shell as shell  # noqa: PLC0414  # a fixture is found by its name

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

FRAME = pd.DataFrame(
    {
        "dose": np.linspace(-1, 1, 20),
        "town": ["Ulm", "Bonn"] * 10,
        "label": np.arange(20) % 2,
        "age": np.arange(20),
        "note": ["none"] * 20,
    }
)


@pytest.fixture(scope="module")
def model():
    """Logits (age / 10 + (town is Ulm), dose), in an order of inputs that is not that of the table."""
    inputs = [
        keras.Input((1,), name="age"),
        keras.Input((1,), name="town", dtype="string"),
        keras.Input((), name="dose"),
    ]
    town = keras.layers.StringLookup(vocabulary=["Bonn", "Ulm"], output_mode="int")(inputs[1])
    first = inputs[0] / 10 + keras.ops.cast(keras.ops.equal(town, 2), "float32")
    return keras.Model(inputs, keras.ops.concatenate([first, keras.ops.reshape(inputs[2], (-1, 1))], axis=1))


@pytest.fixture(scope="module")
def rows():
    logits = np.stack([FRAME.age / 10 + (FRAME.town == "Ulm"), FRAME.dose], axis=1)
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def run(model, dataset):
    return FirstOrderDataGenerator(model, output_mode="logits", batch_size=8).generate_distributions(
        dataset, progress=False
    )


@pytest.mark.parametrize("convert", [lambda frame: frame, pa.Table.from_pandas], ids=["pandas", "arrow"])
def test_a_table_goes_by_the_names_of_its_columns(model, rows, convert):
    np.testing.assert_allclose(run(model, convert(FRAME)), rows, atol=1e-6)
    found = run(model, (convert(FRAME), FRAME.label.to_numpy()))
    np.testing.assert_allclose(found, rows, atol=1e-6)
    assert found.labels.tolist() == FRAME.label.tolist()
    np.testing.assert_allclose(
        run(model, {name: FRAME[name].tolist() for name in ("town", "age", "dose")}), rows, atol=1e-6
    )


def test_the_command_line_gives_a_file_of_keras_the_columns_that_it_knows(model, rows, shell):
    model.save("model.keras")
    FRAME.to_parquet("data.parquet")
    said = shell.json("generate --model model.keras --data data.parquet --out a.fod --output-mode logits")["data"]
    assert said["inputs"].startswith("age, town, dose: a data frame, as the model knows them, int64, ")
    assert said["not used"] == "note"
    np.testing.assert_allclose(open_store("a.fod").probabilities, rows, atol=1e-6)
    FRAME.drop(columns="age").to_parquet("data.parquet")
    assert "the table lacks 'age'" in shell.fails("generate --model model.keras --data data.parquet --out b.fod")


def test_what_a_tensor_cannot_hold_is_named(model):
    with pytest.raises(
        ValueError, match="the model takes the columns age, town, dose, the table lacks age; it has dose"
    ):
        run(model, FRAME.drop(columns="age"))
    with pytest.raises(ValueError, match="column 'town': a tensor holds numbers or texts, without a gap among texts"):
        run(model, FRAME.assign(town=["Ulm", None] * 10))


def test_a_model_of_one_input_gets_a_table_of_numbers_as_before():
    one = keras.Sequential([keras.Input((2,)), keras.layers.Activation("linear")])
    numbers = FRAME[["age", "dose"]]
    logits = numbers.to_numpy(np.float32)
    logits = logits - logits.max(axis=1, keepdims=True)
    np.testing.assert_allclose(run(one, numbers), np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), atol=1e-6)
