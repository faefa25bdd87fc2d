"""PyTorch: the models, the loop by hand, and what others do instead."""

import data
import numpy as np
import ours
import torch
from frameworks import torch_peers
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset


class Block(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.skip = nn.Identity()
        if stride != 1 or before != after:
            self.skip = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x):
        return torch.relu(self.body(x) + self.skip(x))


def resnet():
    layers = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    for before, after, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
        layers += [Block(before, after, stride), Block(after, after, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 10),
    )


def linear():
    return nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10))


def make_model(row):
    torch.manual_seed(data.SEED)
    return {"linear": linear, "cnn": cnn, "resnet": resnet}[row.model]().eval()


class Images(data.Images, Dataset):
    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return torch.from_numpy(image).permute(2, 0, 1), label


def factories(row, samples, workers):
    """Return functions that make the contestants of a row, by name."""
    model = make_model(row)
    if row.data == "arrays":
        inputs, labels = data.arrays(samples, row.shape)
        dataset = TensorDataset(torch.from_numpy(inputs).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels))
        found = {"hand": lambda: hand_sliced(model, dataset, row), **ours.factories(row, model, dataset)}
        if row.sink == "memory" and row.model != "resnet":
            loader = DataLoader(dataset, row.batch)
            found["loader"] = lambda: hand_loader(model, loader, row)
            found["Lightning predict"] = lambda: torch_peers.lightning_predict(model, loader)
        return found
    dataset = data.images(row, samples, Images)
    alone, with_workers = (DataLoader(dataset, row.batch, num_workers=number) for number in (0, workers))
    if row.data == "loader":
        given_the_loader = ours.factories(row, model, with_workers)["ours"]
        runs = {**ours.factories(row, model, dataset, num_workers=workers), "ours, given the loader": given_the_loader}
    else:
        runs = ours.factories(row, model, dataset)
    return {
        "hand": lambda: hand_per_item(model, dataset, row),
        "loader": lambda: hand_loader(model, alone, row),
        f"loader, {workers} workers": lambda: hand_loader(model, with_workers, row),
        "Lightning predict": lambda: torch_peers.lightning_predict(
            model, with_workers if row.data == "loader" else alone
        ),
        "Hugging Face pipeline": lambda: torch_peers.hugging_face_pipeline(model, dataset, row.batch),
        **runs,
    }


def hand_sliced(model, dataset, row):
    inputs = dataset.tensors[0]

    @torch.inference_mode()
    def run(folder):
        rows = np.empty((len(inputs), 10), np.float32)
        for start in range(0, len(inputs), row.batch):
            stop = start + row.batch
            rows[start:stop] = model(inputs[start:stop]).softmax(-1).numpy()
        return rows

    return run


def hand_per_item(model, dataset, row):
    @torch.inference_mode()
    def run(folder):
        rows = np.empty((len(dataset), 10), np.float32)
        for start in range(0, len(dataset), row.batch):
            stop = min(start + row.batch, len(dataset))
            batch = torch.stack([dataset[index][0] for index in range(start, stop)])
            rows[start:stop] = model(batch).softmax(-1).numpy()
        return rows

    return run


def hand_loader(model, loader, row):
    @torch.inference_mode()
    def run(folder):
        rows = np.empty((len(loader.dataset), 10), np.float32)
        start = 0
        for inputs, _ in loader:
            stop = start + len(inputs)
            rows[start:stop] = model(inputs).softmax(-1).numpy()
            start = stop
        return rows

    return run


def settings():
    """Return what tells this process from another one."""
    return {"torch": torch.__version__, "threads": torch.get_num_threads(), "device": "cpu"}
