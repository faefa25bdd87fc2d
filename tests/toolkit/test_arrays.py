"""NumPy in and out: what is copied, what is passed on, what is upcast."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from probly.data_generator.toolkit.arrays import own_copies, to_host

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)


class Foreign:
    """An array of another library, which shows its own memory."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values


@pytest.mark.parametrize(
    "make",
    [np.array, Foreign, pd.DataFrame, scipy.sparse.csr_array, scipy.sparse.coo_matrix],
)
def test_what_can_be_written_to_is_copied(make):
    values = VALUES.copy()
    given = make(values)
    (copied,) = own_copies((given,))
    assert type(copied) is (np.ndarray if make in (np.array, Foreign) else type(given))
    if scipy.sparse.issparse(copied):
        copied.data[:] = -1
    elif isinstance(copied, pd.DataFrame):
        copied.loc[:] = -1
    else:
        copied[:] = -1
    left = given.toarray() if scipy.sparse.issparse(given) else np.asarray(given)
    np.testing.assert_array_equal(left, VALUES)


def test_leaves_that_are_no_arrays_are_passed_on():
    nest = {"text": "x", "nothing": None, "number": 1.5, "scalar": np.float64(2.5), "word": np.str_("x")}
    for function in (own_copies, to_host):
        moved = function(nest)
        assert {name: type(value) for name, value in moved.items()} == {
            name: type(value) for name, value in nest.items()
        }
        assert moved == nest


def test_half_precision_is_upcast_on_the_host_only():
    halves = VALUES.astype(np.float16)
    hosted = to_host({"x": halves})["x"]
    assert hosted.dtype == np.float32
    np.testing.assert_array_equal(hosted, VALUES)
    assert own_copies(halves).dtype == np.float16


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.bool_, object])
def test_other_dtypes_stay_on_the_host(dtype):
    assert to_host(VALUES.astype(dtype)).dtype == dtype
