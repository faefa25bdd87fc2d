"""How a dataset is told from another one, and what that can miss."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from probly.data_generator.discovery.listing import find_backend
from probly.data_generator.discovery.loading import load_backend
from probly.data_generator.generator import FirstOrderDataGenerator
from probly.data_generator.run.identity import SAMPLES, describe_dataset
from probly.data_generator.toolkit import digest
from tests.store.stores import Images

NUMPY = load_backend(find_backend("numpy"))


class Tensors:
    """A dataset of a framework's own, whose samples may be made of more than its tensors."""

    def __init__(self, tensor, add=0.0):
        self.tensor, self.add = tensor, add

    def __len__(self):
        return len(self.tensor)

    def __getitem__(self, index):
        return self.tensor[index] + self.add


def seeing(dataset):
    """Answer for a backend that knows the class."""
    return digest.digest([("", dataset.tensor)]) if isinstance(dataset, Tensors) else None


SEEING = SimpleNamespace(has=lambda hook: hook == "data_digest", hook=SimpleNamespace(data_digest=seeing))


def test_a_dataset_that_its_backend_knows_is_told_apart_exactly():
    many = np.zeros((SAMPLES * 50, 2))
    changed_row = many.copy()
    changed_row[17] = 1  # not among the samples
    one, other = (describe_dataset(Tensors(rows), SEEING) for rows in (many, changed_row))
    assert one == describe_dataset(Tensors(many.copy()), SEEING)
    assert one["type"] == "Tensors"
    assert other["data"] != one["data"]
    assert other["content"] == one["content"]
    # The tensors are not all that a subclass's samples depend on.
    added = describe_dataset(Tensors(many, add=1.0), SEEING)
    assert added["data"] == one["data"]
    assert added["content"] != one["content"]
    for dataset, backend in ((Images(), SEEING), (Tensors(many), NUMPY)):
        assert "data" not in describe_dataset(dataset, backend)


def test_the_share_of_changes_that_a_sample_misses_is_the_documented_one():
    random, length, share, missed = np.random.default_rng(0), 2000, 0.05, 0
    original = describe_dataset(Images(np.zeros((length, 1)), np.zeros(length)), NUMPY)
    for _ in range(100):
        inputs = (random.random((length, 1)) < share).astype(float)
        missed += describe_dataset(Images(inputs, np.zeros(length)), NUMPY) == original
    assert missed / 100 == pytest.approx((1 - share) ** SAMPLES, abs=0.1)


def test_random_samples_do_not_count_as_another_dataset():
    class Augmented(Images):
        def __getitem__(self, index):
            return self.inputs[index] + np.random.default_rng().normal(size=3), 0

    assert describe_dataset(Augmented(), NUMPY)["content"] == "random"


def test_an_iterator_is_not_used_up():
    numbers = iter(range(5))
    describe_dataset(numbers, NUMPY)
    assert list(numbers) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("extra", [0, 1, 5 << 20])
def test_the_digest_of_a_large_array_tells_every_byte(monkeypatch, extra):
    monkeypatch.setattr(digest, "BLOCK_BYTES", 1 << 20)
    data = np.random.default_rng(0).integers(0, 256, (1 << 20) + extra, dtype=np.uint8)
    before = digest.digest([("x", data)])
    assert digest.digest([("x", data.copy())]) == before
    for place in (0, len(data) // 2, len(data) - 1):
        changed = data.copy()
        changed[place] ^= 1
        assert digest.digest([("x", changed)]) != before
    swapped = data.reshape(-1, 1).copy()
    assert digest.digest([("x", swapped)]) != before


class Failing:
    """A dataset of which one sample cannot be read, at all or the first times."""

    def __init__(self, times):
        self.times = times

    def __len__(self):
        return 3

    def __getitem__(self, index):
        if index == 1 and self.times:
            self.times -= 1
            raise OSError("damaged")
        return np.full(2, 0.5)


class Model:
    def predict_proba(self, rows):
        return rows


def test_a_dataset_whose_samples_fail_is_reported_by_its_own_error(tmp_path):
    generator = FirstOrderDataGenerator(Model(), backend="numpy")
    with pytest.raises(OSError, match="damaged"), warnings.catch_warnings(record=True) as caught:
        generator.generate_distributions(Failing(9), out=tmp_path / "a.fod", progress=False)
    assert caught == []
    with pytest.warns(UserWarning, match="the samples of the dataset cannot be seen"):
        generator.generate_distributions(Failing(1), out=tmp_path / "b.fod", progress=False)


def test_of_a_dataset_without_samples_all_is_seen(tmp_path):
    generator = FirstOrderDataGenerator(Model(), backend="numpy")
    for _ in range(2):
        assert len(generator.generate_distributions([], out=tmp_path / "a.fod", progress=False)) == 0
