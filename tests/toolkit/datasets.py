"""Datasets and loaders whose rows are known, and the run over them."""

import numpy as np

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.testing import reference

ROWS = 20
LOGITS = reference.samples(rows=ROWS, shape=(3,))[0]
EXPECTED = reference.softmax(LOGITS)


def run(dataset, **options):
    generator = FirstOrderDataGenerator(np.asarray, backend="numpy", output_mode="logits", **options)
    return generator.generate_distributions(dataset, progress=False)


def check(distributions, indices=None):
    indices = np.arange(ROWS) if indices is None else indices
    np.testing.assert_array_equal(distributions.indices, indices)
    np.testing.assert_allclose(distributions.probabilities, EXPECTED[indices], rtol=0, atol=1e-6)


class MapStyle:
    def __init__(self, length=ROWS):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return LOGITS[index], index


class Loader:
    """A loader of the common shape: a dataset and a batch_sampler, collating to lists."""

    num_workers = 0

    def __init__(self, batches, dataset=None):
        self.dataset = MapStyle() if dataset is None else dataset
        self.batch_sampler = batches
        self.sampler = None

    def collate(self, chosen):
        return [LOGITS[chosen], np.asarray(chosen)]

    def __iter__(self):
        for chosen in self.batch_sampler:
            yield self.collate(chosen)
