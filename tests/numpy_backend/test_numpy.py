"""The agnostic backend: any callable and any object with ``predict_proba``, which get copies and are called once."""

import warnings

import numpy as np
import pytest

from probly.data_generator import FirstOrderDataGenerator, SimpleDataLoader, StoreError
from probly.data_generator.temperature import Temperature
from probly.data_generator.testing import reference

LOGITS = 3 * reference.samples(rows=40, shape=(3,))[0]
ROWS = reference.softmax(LOGITS).astype(np.float32)
LABELS = np.arange(40) % 3


class Estimator:
    """An object with ``predict_proba``, which does something to its inputs first."""

    classes_ = ("no", "yes", "maybe")

    def __init__(self, work=lambda inputs: inputs):
        self.work = work

    def predict_proba(self, inputs):
        return self.work(inputs)


def generator(model, **options):
    return FirstOrderDataGenerator(model, **{"batch_size": 16, "backend": "numpy", **options})


def run(model, dataset=ROWS, **options):
    return generator(model, **options).generate_distributions(dataset, progress=False)


def both(work):
    """Return a function, and an object whose method it is."""
    return {"function": work, "estimator": Estimator(work)}


# What is a model


@pytest.mark.parametrize("kind", ["function", "estimator"])
def test_rows_are_those_of_the_model(kind):
    distributions = run(both(lambda inputs: inputs)[kind], (ROWS, LABELS))
    np.testing.assert_array_equal(distributions.probabilities, ROWS)
    np.testing.assert_array_equal(distributions.labels, LABELS)
    assert distributions.class_names == (["no", "yes", "maybe"] if kind == "estimator" else None)
    assert distributions.meta["device"] == "cpu"


def test_logits_become_their_softmax():
    np.testing.assert_allclose(run(lambda inputs: inputs, LOGITS).probabilities, ROWS, rtol=0, atol=1e-6)


def test_classes_that_are_no_text_are_called_by_it():
    model = Estimator()
    model.classes_ = np.array([3, 7, 100])
    assert run(model).class_names == ["3", "7", "100"]


def test_a_model_is_imported_by_its_path():
    np.testing.assert_array_equal(run(f"{__name__}:Estimator").probabilities, ROWS)


@pytest.mark.parametrize(("model", "kind"), [(3, "int"), ([3], "int"), (None, "NoneType")])
def test_what_cannot_be_called_is_refused(model, kind):
    with pytest.raises(TypeError, match=f"expected a callable or an object with predict_proba as model, got {kind}"):
        generator(model)


def test_there_is_one_device():
    for device in (None, "cpu", "host"):
        assert generator(Estimator(), device=device).current_device == "cpu"
    with pytest.raises(ValueError, match="device 'cuda' is not available to backend 'numpy'; available: 'cpu'"):
        generator(Estimator(), device="cuda")


# What it may return


def test_lists_become_arrays():
    np.testing.assert_array_equal(run(lambda inputs: inputs.tolist()).probabilities, ROWS)
    with pytest.raises(TypeError, match="Model must return rows of one length, got lists of different lengths"):
        run(lambda inputs: [[0.5, 0.5], *([[1.0]] * (len(inputs) - 1))])


def test_arrays_of_objects_are_read_if_they_hold_numbers():
    np.testing.assert_array_equal(run(lambda inputs: inputs.astype(object)).probabilities, ROWS)
    with pytest.raises(TypeError, match=r"Model must return an array of real numbers, got .* dtype object"):
        run(lambda inputs: np.full((len(inputs), 2), None))
    with pytest.raises(TypeError, match="class labels"):
        run(lambda inputs: inputs.argmax(1).astype(object))


@pytest.mark.parametrize("options", [{}, {"output_transform": lambda outputs: outputs}])
def test_a_model_that_returns_nothing_is_told_what_to_return(options):
    with pytest.raises(TypeError, match=r"Model must return one array with a row per input.*got NoneType"):
        run(lambda inputs: None, **options)


def test_output_transform_gets_lists_and_tuples_as_they_are():
    seen = []

    def transform(outputs):
        seen.append(type(outputs))
        return outputs[1]

    distributions = run(lambda inputs: ("ignored", inputs), output_transform=transform)
    np.testing.assert_array_equal(distributions.probabilities, ROWS)
    assert seen == [tuple] * 3


@pytest.mark.parametrize("output_mode", ["auto", "logits", "transform"])
def test_the_same_buffer_for_every_batch_gives_right_rows(output_mode):
    """Rows are collected one batch late, when the model has written the next ones into its memory."""
    memory = np.empty((16, 3), np.float32)

    def model(inputs):
        answers = memory[: len(inputs)]
        answers[:] = inputs
        return answers

    inputs = LOGITS if output_mode == "logits" else ROWS
    options = {"output_transform": lambda outputs: outputs} if output_mode == "transform" else {}
    if output_mode != "transform":
        options["output_mode"] = output_mode
    np.testing.assert_allclose(run(model, inputs, **options).probabilities, ROWS, rtol=0, atol=1e-6)


# What it may do to its inputs


def halve(inputs):
    inputs /= 2
    return inputs * 2


def sources(values):
    """Return the same samples in every kind of source, with the array that must stay as it is."""
    mapped = values.copy()
    return [values, (values, LABELS), list(values), SimpleDataLoader((mapped, LABELS), batch_size=16)]


@pytest.mark.parametrize("kind", ["function", "estimator"])
@pytest.mark.parametrize("source", range(4), ids=["array", "pair", "list", "loader"])
def test_inputs_are_copied_and_never_changed(kind, source):
    values = ROWS.copy()
    dataset = sources(values)[source]
    seen = []

    def work(inputs):
        seen.append(inputs)
        return halve(inputs)

    distributions = run(both(work)[kind], dataset)
    np.testing.assert_allclose(distributions.probabilities, ROWS, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(values, ROWS)
    assert not any(np.shares_memory(inputs, values) for inputs in seen)
    if source == 3:
        np.testing.assert_array_equal(dataset.dataset[0], ROWS)


def test_nests_are_copied_and_never_changed():
    values = {"left": ROWS.copy(), "right": (ROWS.copy(), LABELS.copy())}

    def model(inputs):
        rows = inputs["left"].copy()
        for array in (inputs["left"], *inputs["right"]):
            array[:] = -1
        return rows

    np.testing.assert_array_equal(run(model, values).probabilities, ROWS)
    for array, expected in zip((values["left"], *values["right"]), (ROWS, ROWS, LABELS), strict=True):
        np.testing.assert_array_equal(array, expected)


def test_a_mapped_file_is_read_and_not_written_to(tmp_path):
    np.save(tmp_path / "x.npy", ROWS)
    for mode in ("r", "r+"):
        distributions = run(halve, np.load(tmp_path / "x.npy", mmap_mode=mode))
        np.testing.assert_allclose(distributions.probabilities, ROWS, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), ROWS)


def test_an_array_of_another_library_is_copied():
    class Foreign:
        def __init__(self, values):
            self.values, self.shape, self.dtype = values, values.shape, values.dtype

        def __array__(self, dtype=None, copy=None):
            return self.values

        def __getitem__(self, key):
            return Foreign(self.values[key])

    inputs = Foreign(ROWS.copy())
    np.testing.assert_allclose(run(halve, inputs).probabilities, ROWS, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(inputs.values, ROWS)


def test_samples_that_do_not_stack_come_as_a_list():
    samples = [row[: 2 + number % 2] for number, row in enumerate(ROWS)]
    distributions = run(lambda inputs: [[len(row) - 2.0, 3.0 - len(row)] for row in inputs], samples)
    np.testing.assert_array_equal(distributions.probabilities, [[number % 2, 1 - number % 2] for number in range(40)])


# How often it is called


@pytest.mark.parametrize(
    ("kind", "scores", "options"),
    [
        ("estimator", ROWS, {"output_mode": "auto"}),
        ("estimator", ROWS, {"output_mode": "probs"}),
        ("function", ROWS, {"output_mode": "auto"}),
        ("function", LOGITS, {"output_mode": "auto"}),
        ("function", LOGITS, {"output_mode": "logits"}),
        ("function", LOGITS, {"output_transform": Temperature(1.0)}),
        ("function", LOGITS, {"output_transform": reference.softmax}),
    ],
)
def test_a_model_sees_every_batch_once(kind, scores, options):
    seen = []

    def model(inputs):
        seen.append(inputs.copy())
        return inputs

    made = generator(both(model)[kind], **options)
    assert seen == [], "nothing is called before the data are there"
    distributions = made.generate_distributions(scores, progress=False)
    np.testing.assert_allclose(distributions.probabilities, ROWS, rtol=0, atol=1e-6)
    assert [len(inputs) for inputs in seen] == [16, 16, 8]
    np.testing.assert_array_equal(np.concatenate(seen), scores)


# Errors


def test_an_error_of_the_model_passes_with_a_note():
    calls = []

    def fail(inputs):
        calls.append(len(inputs))
        if len(calls) == 2:
            raise KeyError("no such column")
        return inputs

    with pytest.raises(KeyError, match="no such column") as caught:
        run(Estimator(fail))
    assert caught.value.__notes__ == ["raised in backend 'numpy', batch 1, whose first sample is 16"]
    assert calls == [16, 16], "and it is not tried again"


def test_warnings_of_the_model_are_passed_on():
    def warn(inputs):
        warnings.warn(f"{len(inputs)} rows", stacklevel=1)
        return inputs

    with pytest.warns(UserWarning, match="rows") as caught:
        run(Estimator(warn))
    assert [str(warning.message) for warning in caught] == ["16 rows", "16 rows", "8 rows"]


def test_a_lack_of_memory_halves_the_batch():
    seen = []

    def model(inputs):
        seen.append(len(inputs))
        if len(inputs) > 4:
            raise MemoryError
        return inputs

    with pytest.warns(UserWarning, match="out of memory"):
        np.testing.assert_array_equal(run(model).probabilities, ROWS)
    assert seen == [16, 8, *[4] * 10]


# Posteriors and weights


class Bayesian(Estimator):
    def __init__(self, seed=0):
        super().__init__()
        random = np.random.default_rng(seed)
        self.weight_mu, self.weight_rho, self.scale = random.normal(size=(3, 3)), random.normal(size=(3, 3)), 2.0


def test_posteriors_are_the_attributes_mu_and_rho_as_copies():
    model = Bayesian()
    posterior = generator(model).get_posterior_distributions()
    np.testing.assert_equal(posterior, {"model": {"mu": model.weight_mu, "rho": model.weight_rho}})
    posterior["model"]["mu"][:] = 0
    assert (model.weight_mu != 0).all()
    for other in (Estimator(), lambda inputs: inputs):
        with pytest.raises(ValueError, match="no Bayesian layer"):
            generator(other).get_posterior_distributions()
    del model.weight_rho
    with pytest.raises(ValueError, match="found weight_mu without weight_rho"):
        generator(model).get_posterior_distributions()


def test_a_store_is_continued_with_the_same_attributes_only(tmp_path):
    first = generator(Bayesian()).generate_distributions(ROWS, out=tmp_path / "a.fod", progress=False)
    again = generator(Bayesian()).generate_distributions(ROWS, out=tmp_path / "a.fod", progress=False)
    assert again == first
    with pytest.raises(StoreError, match="model digest"):
        generator(Bayesian(seed=1)).generate_distributions(ROWS, out=tmp_path / "a.fod", progress=False)
