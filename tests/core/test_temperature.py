"""softmax(logits / T) in every framework, and what a store knows of T."""

import pickle

import numpy as np
import pytest

from probly.data_generator import FirstOrderDataGenerator, InvalidOutputError, StoreError
from probly.data_generator.run.identity import describe_function
from probly.data_generator.temperature import Temperature
from tests.conftest import BACKENDS

LOGITS = np.random.default_rng(0).normal(scale=5, size=(20, 4)).astype(np.float32)


def softmax(scores):
    rows = np.exp(scores - scores.max(axis=1, keepdims=True))
    return rows / rows.sum(axis=1, keepdims=True)


def same(inputs):
    return inputs


def generate(transform, data=LOGITS, backend="numpy", model=same, **options):
    generator = FirstOrderDataGenerator(model, output_transform=transform, backend=backend, batch_size=8)
    return generator.generate_distributions(data, progress=False, **options)


def framework_model(backend, *, half=False):
    """Return a model that gives its inputs back as an array of the framework, in half precision if asked to."""
    if backend == "torch":
        return lambda inputs: inputs.bfloat16() if half else inputs
    if backend == "jax":
        return lambda inputs: inputs.astype("bfloat16") if half else inputs
    if backend == "tensorflow":
        import tensorflow as tf

        return lambda inputs: tf.cast(inputs, tf.bfloat16 if half else tf.float32)
    return lambda inputs: inputs.astype(np.float16) if half else inputs


ARRAYS = [name for name in ("numpy", "torch", "jax", "tensorflow") if name in BACKENDS]


@pytest.mark.parametrize("backend", ARRAYS)
@pytest.mark.parametrize("temperature", [0.25, 1, 4.0, 1000.0])
def test_rows_are_the_softmax_of_the_divided_logits(backend, temperature):
    model = framework_model(backend)
    rows = generate(Temperature(temperature), backend=backend, model=model).probabilities
    np.testing.assert_allclose(rows, softmax(LOGITS.astype(float) / temperature), rtol=0, atol=1e-6)


@pytest.mark.parametrize("backend", ARRAYS)
def test_half_precision_is_upcast_before_the_division(backend):
    whole = np.float32([[95, 97, 101, 103]] * 3)  # bfloat16 and float16 hold these, but not a third of them
    model = framework_model(backend, half=True)
    rows = generate(Temperature(3.0), whole, backend=backend, model=model).probabilities
    np.testing.assert_allclose(rows, softmax(whole.astype(float) / 3), rtol=0, atol=1e-6)


@pytest.mark.parametrize("backend", ARRAYS)
def test_a_single_logit_becomes_two_columns(backend):
    model = framework_model(backend)
    rows = generate(Temperature(2.0), LOGITS[:, :1], backend=backend, model=model).probabilities
    np.testing.assert_allclose(rows[:, 1], 1 / (1 + np.exp(-LOGITS[:, 0].astype(float) / 2)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("backend", ARRAYS)
def test_probabilities_are_refused_unless_they_are_said_to_be_logits(backend):
    model = framework_model(backend)
    rows = softmax(LOGITS)
    with pytest.raises(InvalidOutputError, match="needs logits, but the first batch holds probabilities"):
        generate(Temperature(2.0), rows, backend=backend, model=model)
    with pytest.warns(UserWarning, match="holds probabilities already"):
        found = generate(Temperature(2.0, "logits"), rows, backend=backend, model=model).probabilities
    np.testing.assert_allclose(found, softmax(rows / 2), rtol=0, atol=1e-6)


def test_outputs_with_logits_are_unwrapped_and_labels_refused():
    rows = generate(Temperature(2.0), model=lambda inputs: {"logits": inputs, "loss": 0.0}).probabilities
    np.testing.assert_allclose(rows, softmax(LOGITS / 2), rtol=0, atol=1e-6)
    with pytest.raises(TypeError, match="looks like class labels"):
        generate(Temperature(2.0), model=lambda inputs: inputs.argmax(axis=1))


@pytest.mark.parametrize("temperature", [0, -1.0, np.inf, np.nan, "2", None, True])
def test_only_finite_numbers_above_0_are_temperatures(temperature):
    with pytest.raises(ValueError, match="finite number above 0"):
        Temperature(temperature)


def test_probs_is_no_mode_of_a_temperature():
    with pytest.raises(ValueError, match="Invalid output_mode 'probs' with a temperature"):
        Temperature(2.0, "probs")


def test_each_temperature_is_known_by_its_number():
    assert describe_function(Temperature(2)) == describe_function(Temperature(2.0))
    assert describe_function(Temperature(2)) == {"name": "Temperature(2.0)", "code": None}
    assert describe_function(Temperature(2)) != describe_function(Temperature(2.5))
    assert repr(pickle.loads(pickle.dumps(Temperature(0.1)))) == "Temperature(0.1)"


def test_a_store_is_not_gone_on_with_at_another_temperature(tmp_path):
    first = generate(Temperature(2.0), out=tmp_path / "a.fod")
    assert generate(Temperature(2.0), out=tmp_path / "a.fod") == first
    for other in (Temperature(3.0), None):
        with pytest.raises(StoreError, match=r"output_transform.*Temperature\(2.0\)"):
            generate(other, out=tmp_path / "a.fod")


def test_probabilities_of_a_classifier_take_no_temperature():
    class Classifier:
        classes_ = ("a", "b", "c", "d")

        def predict_proba(self, inputs):
            return inputs

    with pytest.raises(ValueError, match="a temperature needs logits, but the model returns probabilities"):
        generate(Temperature(2.0), model=Classifier())
    assert generate(softmax, model=Classifier()).class_names is None


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name == "sklearn"])  # the option is its own
def test_class_names_of_logits_are_kept(backend):
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(LOGITS, np.array(list("abcd"))[np.arange(20) % 4])
    made = FirstOrderDataGenerator(
        model, backend=backend, options={"scores": "decision_function"}, output_transform=Temperature(2.0)
    )
    found = made.generate_distributions(LOGITS, progress=False)
    assert found.class_names == ["a", "b", "c", "d"]
    np.testing.assert_allclose(found.probabilities, softmax(model.decision_function(LOGITS) / 2), rtol=0, atol=1e-6)
