"""The keys of samples that datasets have: their own, and the files of a folder of pictures."""

import itertools

import numpy as np
import pytest

from probly.data_generator import FirstOrderDataGenerator, StoreError
from probly.data_generator.run.sample_keys import dataset_keys
from probly.data_generator.store import open_store

NAMES = ["cat/a.png", "cat/b.png", "dog/a.png", "dog/b.png"]
ROWS = np.float32([[0.75, 0.25], [0.5, 0.5], [0.25, 0.75], [1, 0]])


class ImageFolder:
    """The shape of torchvision's, which cannot be installed beside the torch of these tests.

    Its documented attributes: ``root``, ``classes``, ``samples`` (pairs of path and label) and ``imgs``, the same list.
    """

    def __init__(self, root="/data/pets"):
        self.root, self.classes = root, ["cat", "dog"]
        self.imgs = self.samples = [(f"{root}/{name}", place // 2) for place, name in enumerate(NAMES)]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return ROWS[index], self.samples[index][1]


class Subset:
    """The shape of torch's."""

    def __init__(self, dataset, indices):
        self.dataset, self.indices = dataset, indices

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, index):
        return self.dataset[self.indices[index]]


class Loader:
    """The shape of torch's, which shuffles."""

    def __init__(self, dataset, order=(3, 1, 0, 2)):
        self.dataset, self.order = dataset, order
        self.batch_sampler = [list(order[:2]), list(order[2:])]
        self.sampler, self.batch_size = order, 2

    def __iter__(self):
        for places in self.batch_sampler:
            samples = [self.dataset[place] for place in places]
            yield np.stack([value for value, _ in samples]), np.asarray([label for _, label in samples])


def run(data, **options):
    out = options.pop("out", None)
    generator = FirstOrderDataGenerator(lambda rows: rows, backend="numpy", batch_size=2, **options)
    return generator.generate_distributions(data, progress=False, out=out)


def test_an_image_folder_gives_its_files(tmp_path):
    assert run(ImageFolder()).sample_keys.tolist() == NAMES
    run(ImageFolder(), out=tmp_path / "a.fod")
    store = open_store(tmp_path / "a.fod")
    assert store.sample_keys.tolist() == NAMES
    assert store.class_names == ["cat", "dog"]
    assert run(ImageFolder(), out=tmp_path / "a.fod").sample_keys.tolist() == NAMES


def test_keys_stand_beside_the_rows_of_their_files_through_subsets_and_loaders():
    some = run(Subset(Subset(ImageFolder(), [3, 2, 0]), np.array([2, 0])))
    assert some.sample_keys.tolist() == ["cat/a.png", "dog/b.png"]
    np.testing.assert_array_equal(some.probabilities, ROWS[[0, 3]])
    shuffled = run(Loader(ImageFolder()))
    assert shuffled.sample_keys.tolist() == NAMES
    np.testing.assert_array_equal(shuffled.probabilities, ROWS)


def test_what_is_said_wins_and_what_is_not_known_is_not_guessed():
    generator = FirstOrderDataGenerator(lambda rows: rows, backend="numpy")
    given = generator.generate_distributions(ImageFolder(), keys=[1, 2, 3, 4], progress=False)
    assert given.sample_keys.tolist() == [1, 2, 3, 4]
    own = itertools.count(5)
    assert run(ImageFolder(), index_getter=lambda sample: next(own)).sample_keys is None
    shorter = ImageFolder()
    shorter.samples = shorter.imgs = shorter.samples[:3]
    shorter.__class__ = type("Longer", (ImageFolder,), {"__len__": lambda _: 4})
    assert dataset_keys(shorter) is None
    assert dataset_keys(Subset(Subset(ImageFolder(), []), [])) is None
    assert dataset_keys(ROWS) is dataset_keys((ROWS, [0, 1, 0, 1])) is dataset_keys(iter(ROWS)) is None


@pytest.mark.parametrize("keys", [["a", "b", "c", "d"], (4, 3, 2, 1)])
def test_a_dataset_may_say_its_keys(keys):
    class Named(ImageFolder):
        sample_keys = keys

    assert run(Named()).sample_keys.tolist() == list(keys)


@pytest.mark.parametrize("complete", [True, False])
def test_a_store_that_was_begun_without_keys_goes_on_without(tmp_path, complete):
    class Nameless(ImageFolder):
        root = property(lambda self: None, lambda self, value: None)  # as if an earlier version had run

    Nameless.__qualname__ = ImageFolder.__qualname__
    run(Nameless(), out=tmp_path / "a.fod")
    if not complete:
        (tmp_path / "a.fod/manifest.json").unlink()
    found = run(ImageFolder(), out=tmp_path / "a.fod")
    assert found.sample_keys is None
    np.testing.assert_array_equal(found.probabilities, ROWS)
    with pytest.raises(StoreError, match="begun by another run; keys"):
        FirstOrderDataGenerator(lambda rows: rows, backend="numpy", batch_size=2).generate_distributions(
            ImageFolder(), out=tmp_path / "a.fod", keys=NAMES, progress=False
        )


def test_files_outside_of_the_root_keep_their_path():
    moved = ImageFolder()
    moved.root = "/elsewhere"
    assert dataset_keys(moved).tolist() == [f"/data/pets/{name}" for name in NAMES]
