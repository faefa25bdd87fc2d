"""What a student is trained on: several targets, the largest probabilities, a view per epoch."""

import numpy as np
import pytest

from probly.data_generator import Distributions, FirstOrderDataset, output_dataloader
from probly.data_generator.formats.choosing import format_of
from probly.data_generator.store import open_store, save
from probly.data_generator.targets import SparseTargets, sparse_targets

RANDOM = np.random.default_rng(0)
MEMBERS = RANDOM.dirichlet(np.ones(6), size=(10, 3)).astype(np.float32)
LOGITS = RANDOM.normal(size=(10, 6)).astype(np.float32)
INPUTS = RANDOM.normal(size=(10, 4))
TEACHER = Distributions(MEMBERS.mean(axis=1), columns={"members": MEMBERS, "logits": LOGITS})
SAMPLES = [(value, place % 6) for place, value in enumerate(INPUTS)]


@pytest.fixture(params=["memory", "store", "other order"])
def teacher(request, tmp_path):
    if request.param == "memory":
        return TEACHER
    if request.param == "store":
        save(tmp_path / "a.fod", TEACHER)
        return open_store(tmp_path / "a.fod")
    order = RANDOM.permutation(10)
    columns = {name: column[order] for name, column in TEACHER.columns.items()}
    return Distributions(TEACHER.probabilities[order], order, columns=columns)


def test_batches_have_the_targets_in_the_order_that_is_asked_for(teacher):
    targets = ["members", "logits", "top-2", "probabilities"]
    loader = output_dataloader(SAMPLES, teacher, batch_size=4, shuffle=True, seed=1, targets=targets)
    seen = []
    for inputs, _labels, members, logits, top, rows in loader:
        places = [int(np.abs(INPUTS - value).sum(axis=1).argmin()) for value in inputs]
        seen += places
        np.testing.assert_array_equal(members, MEMBERS[places])
        np.testing.assert_array_equal(logits, LOGITS[places])
        np.testing.assert_array_equal(rows, TEACHER.probabilities[places])
        order = np.argsort(-rows, axis=1)[:, :2]
        np.testing.assert_array_equal(top.classes, order)
        np.testing.assert_array_equal(top.probabilities, np.take_along_axis(rows, order, axis=1))
        np.testing.assert_allclose(top.tail, 1 - top.probabilities.sum(axis=1), rtol=0, atol=1e-7)
        assert (top.classes.dtype, top.probabilities.dtype, top.tail.dtype) == (np.int64, np.float32, np.float32)
    assert sorted(seen) == list(range(10)) != seen
    inputs, only = next(iter(output_dataloader(SAMPLES, teacher, labels=False, targets=["logits"])))
    np.testing.assert_array_equal(only, LOGITS)


def test_each_pass_is_given_the_next_member(teacher):
    loader = output_dataloader(SAMPLES, teacher, batch_size=4, targets=["view", "probabilities"])
    for epoch in [0, 1, 2, 0, 1]:
        views = np.concatenate([view for _, _, view, _ in loader])
        np.testing.assert_array_equal(views, MEMBERS[:, epoch])
    loader.set_epoch(7)
    assert np.array_equal(np.concatenate([view for _, _, view, _ in loader]), MEMBERS[:, 1])
    assert loader.epoch == 8


class Views:
    """A dataset that gives each sample as a member saw it."""

    def __init__(self):
        self.epochs = []

    def set_epoch(self, epoch):
        self.epochs.append(epoch)

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return INPUTS[index] + self.epochs[-1], index


def test_a_dataset_that_has_views_is_told_which():
    loader = output_dataloader(Views(), TEACHER, targets=["view"], batch_size=10)
    for epoch in range(4):
        ((inputs, labels, view),) = loader
        np.testing.assert_array_equal(inputs, INPUTS[labels] + epoch)
        np.testing.assert_array_equal(view, MEMBERS[:, epoch % 3])
    shared = Views()
    one, other = (output_dataloader(shared, TEACHER, targets=["view"], batch_size=5) for _ in range(2))
    other.set_epoch(1)
    for batches in zip(one, other, strict=True):  # in turn
        for epoch, (inputs, labels, view) in enumerate(batches):
            np.testing.assert_array_equal(inputs, INPUTS[labels] + epoch)
            np.testing.assert_array_equal(view, MEMBERS[labels, epoch])
    alone = Views()
    list(output_dataloader([*SAMPLES], TEACHER))
    FirstOrderDataset(alone, TEACHER).set_epoch(1)
    assert alone.epochs == []  # without views, its epochs are its owner's


@pytest.mark.parametrize(
    ("targets", "error", "said"),
    [
        ("top-2", TypeError, "targets: expected a list of names, got 'top-2'"),
        ([3], TypeError, r"expected a list of names, got \[3\]"),
        ([], ValueError, "expected at least one name"),
        (["logit"], ValueError, "there is no 'logit'; there are probabilities, members, logits, view and top-<k>"),
        (["top-0"], ValueError, "there is no 'top-0'"),
        (["top-7"], ValueError, "top-7: a row has 6 classes; ask for at most top-6"),
    ],
)
def test_targets_that_there_are_not_are_refused(targets, error, said):
    for make in (FirstOrderDataset, output_dataloader):
        with pytest.raises(error, match=said):
            make(SAMPLES, TEACHER, targets=targets)


def test_views_need_members():
    with pytest.raises(ValueError, match=r"there is no 'view'.*kept by runs of several models, passes or views"):
        output_dataloader(SAMPLES, Distributions(TEACHER.probabilities), targets=["view"])


def test_a_store_of_the_largest_gives_those_and_no_others(tmp_path):
    format_of("a.fod").write(tmp_path / "a.fod", TEACHER, {}, "top-2")
    store = open_store(tmp_path / "a.fod")
    ((_, _, found),) = output_dataloader(SAMPLES, store, targets=["top-2"])
    expected = sparse_targets(TEACHER.probabilities, 2)
    np.testing.assert_array_equal(found.classes, expected.classes)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=1e-3)
    np.testing.assert_allclose(found.tail, expected.tail, atol=1e-3)
    with pytest.raises(ValueError, match="top-3: the store keeps the 2 largest of a row"):
        output_dataloader(SAMPLES, store, targets=["top-3"])


@pytest.mark.parametrize("count", [1, 3, 5])
def test_the_largest_and_the_tail_are_the_whole_row(count):
    rows = np.float32([[0.2] * 5, [0, 0, 1, 0, 0], [0.5, 0.25, 0.125, 0.125, 0]])
    found = sparse_targets(rows, count)
    assert isinstance(found, SparseTargets)
    np.testing.assert_allclose(found.probabilities.sum(axis=1) + found.tail, 1, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found.probabilities, -np.sort(-rows, axis=1)[:, :count])
    np.testing.assert_array_equal(np.take_along_axis(rows, found.classes, axis=1), found.probabilities)
    assert (found.tail == 0).all() == (count == 5)


def test_columns_are_gathered_by_index():
    some = Distributions([[0.5, 0.5]] * 3, [9, 2, 5], columns={"logits": [[9.0], [2.0], [5.0]]})
    assert some.gather_column("logits", [5, 9, 5]).tolist() == [[5.0], [9.0], [5.0]]
    with pytest.raises(KeyError, match="No distribution for index 3"):
        some.gather_column("logits", [3])
    with pytest.raises(KeyError, match="there is no column 'members'; there are logits"):
        some.gather_column("members", [5])
