"""Datasets and loaders whose samples are still pictures of Pillow: all ways to read them say the same."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from probly.data_generator.store import open_store
from probly.data_generator.torch_first_order_generator import FirstOrderDataGenerator
from tests.command_line.conftest import shell as shell  # noqa: PLC0414  # a fixture is found by its name


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


TIMM = """
import torch


class Bright(torch.nn.Module):
    pretrained_cfg = {  # as models of timm have it
        "input_size": (3, 4, 4), "crop_pct": 0.8, "interpolation": "bicubic", "mean": (0.5,) * 3, "std": (0.25,) * 3,
    }

    def forward(self, pictures):
        means = pictures.flatten(1).mean(dim=1)
        return torch.stack([means, -means], dim=1)
"""


def test_the_command_line_does_what_a_live_model_says_of_its_pictures(shell):
    (shell.folder / "net.py").write_text(TIMM)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 9, 12, 3), dtype=np.uint8)
    for name, picture in zip(("cat", "dog"), pixels, strict=True):
        (shell.folder / "pets" / name).mkdir(parents=True)
        Image.fromarray(picture).save(shell.folder / "pets" / name / "a.png")
    line = "generate --model net:Bright --data pets --backend torch"
    said = shell.json(f"{line} --out own.fod")["data"]["pictures"]
    assert said.startswith("RGB, shorter side to 5 (bicubic), centre 4 x 4, float32 in [0, 1], minus 0.5, 0.5, 0.5")
    # 12 x 9 becomes 6 x 5; of the margins of 2 and 1, 1 and 0 (the even number beside 0.5) stand before the centre.
    resized = [
        Image.fromarray(picture).resize((6, 5), Image.Resampling.BICUBIC).crop((1, 0, 5, 4)) for picture in pixels
    ]
    means = np.stack([(np.asarray(picture) / 255 - 0.5) / 0.25 for picture in resized]).reshape(2, -1).mean(axis=1)
    expected = 1 / (1 + np.exp(-2 * means))
    np.testing.assert_allclose(open_store("own.fod").probabilities[:, 0], expected, rtol=0, atol=1e-6)
    given = shell.json(f"{line} --out given.fod --image-size 4")["data"]["pictures"]
    assert given == "RGB, shorter side to 4, centre 4 x 4, float32 in [0, 1], (channels, height, width)"


class ImageFolder(Dataset):
    """The shape of torchvision's, which cannot be installed beside the torch of these tests."""

    def __init__(self):
        self.root, self.classes = "/data/pets", ["cat", "dog"]
        self.imgs = self.samples = [(f"/data/pets/{name}.png", int(name > "d")) for name in ("cat/a", "dog/a", "dog/b")]

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return torch.full((3, 2, 2), index / 4), self.samples[index][1]


def test_files_are_the_keys_of_rows_through_torchs_subsets_and_loaders():
    names = ["cat/a.png", "dog/a.png", "dog/b.png"]
    assert run(ImageFolder()).sample_keys.tolist() == names
    torch.manual_seed(0)
    for dataset, order in ((ImageFolder(), [0, 1, 2]), (torch.utils.data.Subset(ImageFolder(), [2, 0]), [2, 0])):
        found = run(DataLoader(dataset, batch_size=2, shuffle=True))
        assert found.sample_keys.tolist() == [names[place] for place in order]
        np.testing.assert_allclose(found.probabilities[:, 0], np.float32(order) / 4)
        assert found.class_names == ["cat", "dog"]
