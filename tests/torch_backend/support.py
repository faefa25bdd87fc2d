"""The model, the samples and the rows that the tests of this folder compare with."""

import numpy as np
import torch
from torch.utils.data import IterableDataset

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.testing import reference
from tests.frameworks import suite

framework = suite("torch")
WEIGHTS = reference.mlp_weights()
INPUTS, LABELS = reference.samples(rows=50)
EXPECTED = reference.softmax(reference.mlp_logits(WEIGHTS, INPUTS))
DOUBLED = reference.softmax(reference.mlp_logits(WEIGHTS, 2 * INPUTS))
TENSORS = (torch.tensor(INPUTS), torch.tensor(LABELS))
PAIRS = framework.dataset(INPUTS, LABELS)


def mlp():
    """Return the model that EXPECTED is computed with."""
    return framework.mlp(WEIGHTS)


OTHER_EXPECTED = reference.softmax(reference.mlp_logits(reference.mlp_weights(seed=9), INPUTS))


def build():
    """Return a model with other weights than those of EXPECTED."""
    return framework.mlp(reference.mlp_weights(seed=9))


def run(dataset, model=None, *, out=None, **settings):
    settings = {"backend": "torch", "batch_size": 16, **settings}
    made = FirstOrderDataGenerator(mlp() if model is None else model, **settings)
    return made.generate_distributions(dataset, progress=False, out=out)


def check(distributions, indices=None, expected=EXPECTED):
    indices = np.arange(50) if indices is None else np.asarray(indices)
    np.testing.assert_array_equal(distributions.indices, indices)
    np.testing.assert_allclose(distributions.probabilities, expected[indices], rtol=0, atol=1e-6)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(*TENSORS, strict=True))


class StreamWithLength(Stream):
    def __len__(self):
        return 50
