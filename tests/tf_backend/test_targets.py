"""Several targets and views through tf.data."""

import numpy as np
import pytest
import tensorflow as tf

from probly.data_generator import Distributions
from probly.data_generator.targets import SparseTargets
from probly.data_generator.tensorflow_generator import FirstOrderDataset, output_dataloader

MEMBERS = np.random.default_rng(0).dirichlet(np.ones(6), size=(10, 3)).astype(np.float32)
TEACHER = Distributions(MEMBERS.mean(axis=1), columns={"members": MEMBERS})
INPUTS, LABELS = np.arange(10, dtype=np.float32), np.arange(10) % 6
KINDS = {
    "arrays": lambda: (INPUTS, LABELS),
    "samples": lambda: list(zip(INPUTS, LABELS, strict=True)),
    "pipeline": lambda: tf.data.Dataset.from_tensor_slices((INPUTS, LABELS)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_targets_are_those_of_their_samples(kind):
    loader = output_dataloader(KINDS[kind](), TEACHER, batch_size=4, shuffle=True, targets=["members", "top-2"])
    assert len(loader) == 3
    seen = []
    for inputs, _labels, members, top in loader:
        places = inputs.numpy().astype(int)
        seen += places.tolist()
        np.testing.assert_array_equal(members, MEMBERS[places])
        assert type(top) is SparseTargets
        rows = TEACHER.probabilities[places]
        np.testing.assert_array_equal(top.probabilities, np.sort(rows, axis=1)[:, :-3:-1])
        np.testing.assert_array_equal(np.take_along_axis(rows, top.classes.numpy(), axis=1), top.probabilities)
        np.testing.assert_allclose(top.tail, 1 - top.probabilities.numpy().sum(axis=1), atol=1e-6)
    assert sorted(seen) == list(range(10))


@pytest.mark.parametrize("kind", ["arrays", "samples"])
def test_each_iteration_is_given_the_next_member(kind):
    loader = output_dataloader(KINDS[kind](), TEACHER, batch_size=4, targets=["view"])
    for epoch in range(4):
        views = np.concatenate([view for _, _, view in loader])
        np.testing.assert_array_equal(views, MEMBERS[:, epoch % 3])


def test_a_pipeline_has_no_epochs():
    with pytest.raises(ValueError, match="'view' takes another member in each epoch"):
        output_dataloader(KINDS["pipeline"](), TEACHER, targets=["view"])
    dataset = FirstOrderDataset(KINDS["pipeline"](), TEACHER, targets=["view"])
    dataset.set_epoch(1)
    np.testing.assert_array_equal(dataset[3][2], MEMBERS[3, 1])
