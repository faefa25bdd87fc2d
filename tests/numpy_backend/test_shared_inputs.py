"""Estimators get the caller's memory, read-only and uncopied, where that does no harm; functions get copies."""

import ctypes
import warnings

import numpy as np
import pytest

from probly.data_generator import FirstOrderDataGenerator

INPUTS = np.random.default_rng(0).dirichlet(np.ones(3), 40).astype(np.float32)
DOUBLED = np.stack([INPUTS[:, 0], 1 - INPUTS[:, 0]], axis=1)


class Estimator:
    """Keeps what it was given, and works on it with a function of the inputs and the number of the call."""

    def __init__(self, work=lambda inputs, call: None):
        self.work, self.seen = work, []

    def predict_proba(self, inputs):
        self.work(inputs, len(self.seen))
        self.seen.append(inputs)
        return np.stack([inputs[:, 0], 1 - inputs[:, 0]], axis=1)


def run(model, inputs=INPUTS):
    given = inputs.copy() if type(inputs) is np.ndarray else inputs
    generator = FirstOrderDataGenerator(model, batch_size=10, backend="numpy", output_mode="probs")
    rows = generator.generate_distributions(given, progress=False).probabilities
    np.testing.assert_array_equal(given, INPUTS)
    return given, rows


def shared(model, given):
    return [np.shares_memory(seen, given) for seen in model.seen]


def halve(inputs, call):
    inputs[:, 0] /= 2


def halve_late(inputs, call):
    if call == 2:
        inputs[:, 0] /= 2


def zero_past_numpy(inputs, call):
    ctypes.memset(inputs.ctypes.data, 0, inputs.nbytes)


def warn_of_read_only(inputs, call):
    if not inputs.flags.writeable:
        warnings.warn("The given NumPy array is not writable", stacklevel=1)


def test_an_estimator_sees_the_callers_memory_and_cannot_write_to_it():
    model = Estimator()
    given, rows = run(model)
    np.testing.assert_allclose(rows, DOUBLED, rtol=0, atol=1e-6)
    assert shared(model, given) == [False, True, True, True]
    assert [seen.flags.writeable for seen in model.seen] == [True, False, False, False]
    assert given.flags.writeable


def test_a_mapped_file_is_not_copied(tmp_path):
    np.save(tmp_path / "x.npy", INPUTS)
    model = Estimator()
    mapped, rows = run(model, np.load(tmp_path / "x.npy", mmap_mode="r"))
    np.testing.assert_allclose(rows, DOUBLED, rtol=0, atol=1e-6)
    assert shared(model, mapped) == [False, True, True, True]


def test_a_function_gets_copies():
    model = Estimator()
    given, rows = run(model.predict_proba)
    np.testing.assert_allclose(rows, DOUBLED, rtol=0, atol=1e-6)
    assert shared(model, given) == [False] * 4
    assert all(seen.flags.writeable for seen in model.seen)


@pytest.mark.parametrize(
    ("work", "views"),
    [
        (halve, [False, False, False, False]),
        (halve_late, [False, True, False, False]),
        (zero_past_numpy, [False, False, False, False]),
        (warn_of_read_only, [False, True, False, False, False]),  # the second batch twice
    ],
)
def test_an_estimator_that_minds_gets_copies(work, views):
    model = Estimator(work)
    given, rows = run(model)
    parts = [INPUTS[start : start + 10].copy() for start in range(0, 40, 10)]
    for call, part in enumerate(parts):
        work(part, call)
    expected = np.concatenate(parts)[:, 0]
    np.testing.assert_allclose(rows, np.stack([expected, 1 - expected], axis=1), rtol=0, atol=1e-6)
    assert shared(model, given) == views


def test_other_warnings_are_passed_on():
    def warn(inputs, call):
        warnings.warn(f"call {call}", stacklevel=1)

    model = Estimator(warn)
    with pytest.warns(UserWarning, match="call") as caught:
        given, _ = run(model)
    assert [str(warning.message) for warning in caught] == ["call 0", "call 1", "call 2", "call 3"]
    assert shared(model, given) == [False, True, True, True]


def test_an_estimator_that_fails_says_why_itself():
    def fail(inputs, call):
        if call == 1:
            raise KeyError("no such column")

    with pytest.raises(KeyError, match="no such column") as caught:
        run(Estimator(fail))
    assert caught.value.__notes__ == ["raised in backend 'numpy', batch 1"]


def test_an_estimator_that_reshapes_its_inputs_gets_copies():
    class Model(Estimator):
        def predict_proba(self, inputs):
            shape = inputs.shape
            rows = super().predict_proba(inputs.copy())
            if inputs.flags.writeable:
                inputs.shape = (inputs.size, 1)
            assert len(rows) == shape[0]
            self.seen[-1] = inputs
            return rows

    model = Model()
    given, rows = run(model)
    np.testing.assert_allclose(rows, DOUBLED, rtol=0, atol=1e-6)
    assert shared(model, given) == [False] * 4


def test_nan_among_the_inputs_is_no_change():
    inputs = INPUTS.copy()
    inputs[3, 2] = np.nan
    model = Estimator()
    FirstOrderDataGenerator(model, batch_size=10, backend="numpy", output_mode="probs").generate_distributions(
        inputs, progress=False
    )
    assert shared(model, inputs) == [False, True, True, True]


def test_an_array_of_another_library_is_copied():
    class Foreign:
        def __init__(self, values):
            self.values, self.shape, self.dtype = values, values.shape, values.dtype

        def __array__(self, dtype=None, copy=None):
            return self.values

        def __getitem__(self, key):
            return Foreign(self.values[key])

    inputs = Foreign(INPUTS.copy())
    model = Estimator(halve)
    FirstOrderDataGenerator(model, batch_size=10, backend="numpy", output_mode="probs").generate_distributions(
        inputs, progress=False
    )
    np.testing.assert_array_equal(inputs.values, INPUTS)
