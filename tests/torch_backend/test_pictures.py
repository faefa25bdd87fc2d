"""Datasets and loaders whose samples are still pictures of Pillow: all ways to read them say the same."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from probly.data_generator.torch_first_order_generator import FirstOrderDataGenerator


class Pictures(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return Image.fromarray(np.full((2, 2, 3), 60 * index, np.uint8)), index % 2


def tensor(picture):
    return torch.from_numpy(np.asarray(picture, np.float32) / 255)


class Bright(torch.nn.Module):
    def forward(self, pictures):
        means = pictures.flatten(1).mean(dim=1)
        return torch.stack([means, 1 - means], dim=1)


def run(dataset, **settings):
    return FirstOrderDataGenerator(Bright(), **settings).generate_distributions(dataset, progress=False)


def samples():
    pictures = Pictures()
    return [pictures[index] for index in range(len(pictures))]


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (Pictures, {}),
        (Pictures, {"options": {"num_workers": 1}}),
        (lambda: DataLoader(Pictures(), batch_size=2), {}),
        (samples, {}),
        (lambda: [picture for picture, _ in samples()], {}),
        (lambda: [{"image": picture} for picture, _ in samples()], {}),
    ],
    ids=["dataset", "workers", "loader", "pairs", "pictures", "mappings"],
)
@pytest.mark.filterwarnings("ignore:os.fork.. was called:RuntimeWarning")  # of JAX, if another test has loaded it
def test_pictures_without_a_transform_are_named(make, settings):
    with pytest.raises(
        TypeError, match=r"^the samples hold PIL images, which are no tensors yet; give the dataset"
    ) as e:
        run(make(), **settings)
    assert not any("do not stack" in note for note in getattr(e.value, "__notes__", []))


def test_the_advice_works():
    rows = run(Pictures(), input_getter=lambda sample: tensor(sample[0])).probabilities
    np.testing.assert_allclose(rows[:, 0], np.arange(4) * 60 / 255, atol=1e-6)


def test_other_errors_of_a_loader_are_left_alone():
    loader = DataLoader([object(), object()], batch_size=2)
    with pytest.raises(TypeError, match="default_collate: batch must contain"):
        run(loader)
