"""A live torch model and a DataLoader with workers of its own, in a worker process: the bits of a single run."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from probly.data_generator import FirstOrderDataGenerator


class Pictures(Dataset):
    """Samples that follow from their index."""

    def __len__(self):
        return 60

    def __getitem__(self, index):
        return torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(index)), index % 4


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Dropout(), torch.nn.Linear(144, 4)
        )

    def forward(self, inputs):
        return self.layers(inputs)


@pytest.mark.filterwarnings("ignore:os.fork.. was called:RuntimeWarning")  # of JAX, if another test has loaded it
def test_a_loader_and_passes_in_a_process_of_their_own(tmp_path):
    model, loader = Net(), DataLoader(Pictures(), batch_size=10, num_workers=1)
    generator = FirstOrderDataGenerator(model, model_name="net", passes=2, seed=3)
    alone = generator.generate_distributions(loader, progress=False)
    shared = generator.generate_distributions(
        loader, progress=False, out=tmp_path / "a.fod", devices=["cpu"], shard_rows=20
    )
    assert np.array_equal(np.asarray(shared), alone.probabilities)
    assert np.array_equal(np.asarray(shared.columns["members"]), alone.members)
    assert shared.labels.tolist() == alone.labels.tolist()
