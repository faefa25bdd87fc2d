"""Memory that does not suffice: batches are halved, and the run continues from the same row."""

import warnings

import numpy as np
import pytest

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.hookspecs import HOST, hookimpl
from probly.data_generator.testing import reference

LOGITS = reference.samples(rows=20, shape=(3,))[0]


def generator(model=lambda batch: batch, **options):
    return FirstOrderDataGenerator(model, **{"backend": "numpy", **options})


def test_out_of_memory_with_one_row_is_the_users_error():
    def model(batch):
        raise MemoryError("not even one")

    with pytest.warns(UserWarning, match="out of memory"), pytest.raises(MemoryError, match="not even one"):
        generator(model, output_mode="logits").generate_distributions(LOGITS)


def test_out_of_memory_is_said_once_and_remembered():
    sizes = []

    def model(batch):
        sizes.append(len(batch))
        if len(batch) > 2:
            raise MemoryError
        return batch

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        distributions = generator(model, output_mode="logits", batch_size=8).generate_distributions(LOGITS)
    assert [str(warning.message).count("out of memory") for warning in caught] == [1]
    np.testing.assert_allclose(distributions.probabilities, reference.softmax(LOGITS), rtol=0, atol=1e-6)
    assert sizes == [8, 4, *[2] * 10]


@pytest.mark.parametrize("output_mode", ["logits", "auto"])
def test_memory_that_runs_out_while_the_device_computes(output_mode):
    """Asynchronous devices fail when a result is fetched, by then with another batch of the old size under way."""
    fetched = []

    class Asynchronous:
        @hookimpl(wrapper=True)
        def to_device(self, data, device):
            if device == HOST:
                fetched.append(len(data))
                if len(data) > 2:
                    raise MemoryError
            return (yield)

    made = generator(output_mode=output_mode, batch_size=8, wrappers=[Asynchronous()])
    with pytest.warns(UserWarning, match="out of memory") as caught:
        distributions = made.generate_distributions(5 * LOGITS)
    np.testing.assert_allclose(distributions.probabilities, reference.softmax(5 * LOGITS), rtol=0, atol=1e-6)
    assert len(caught) == 1
    assert fetched.count(8) <= 2, "the size that fits must be remembered"
    assert min(fetched) == 2, "a batch that was under way must not halve the size again"


def test_samples_that_do_not_stack_are_halved_too():
    samples = [np.full((4, width), width, np.float32) for width in range(1, 9)]
    seen = []

    def model(batch):
        seen.append(len(batch))
        if len(batch) > 2:
            raise MemoryError
        return np.array([[sample.mean(), 0.0] for sample in batch])

    with pytest.warns(UserWarning, match="out of memory"):
        distributions = generator(model, output_mode="logits").generate_distributions(samples)
    expected = reference.softmax([[width, 0] for width in range(1, 9)])
    np.testing.assert_allclose(distributions.probabilities, expected, rtol=0, atol=1e-6)
    assert seen == [8, 4, 2, 2, 2, 2]


def test_memory_that_runs_out_late_halves_what_follows():
    sizes = []

    def model(inputs):
        sizes.append(len(inputs))
        if len(sizes) > 40 and len(inputs) > 2:
            raise MemoryError
        return inputs

    rows = np.random.default_rng(0).dirichlet(np.ones(3), 502).astype(np.float32)
    with pytest.warns(UserWarning, match="batch 40: the device ran out of memory"):
        found = generator(model, output_mode="probs", batch_size=5).generate_distributions(rows)
    np.testing.assert_array_equal(found.probabilities, rows)
    assert set(sizes[42:]) == {1, 2}
