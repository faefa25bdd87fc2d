"""What the shared tests need from torch: models with given weights, and datasets."""

import torch
from torch.utils.data import DataLoader, Dataset

NAME = "torch"
MODULES = ("torch",)


class CNN(torch.nn.Module):
    """NHWC in, as on every other framework; torch convolves NCHW."""

    def __init__(self, weights):
        super().__init__()
        filters = weights.kernel.shape[3]
        self.conv = torch.nn.Conv2d(weights.kernel.shape[2], filters, 3)
        self.dense = torch.nn.Linear(*weights.dense.shape)
        _set(self.conv, weights.kernel.transpose(3, 2, 0, 1), weights.kernel_bias)
        _set(self.dense, weights.dense.T, weights.dense_bias)

    def forward(self, images):
        features = self.conv(images.permute(0, 3, 1, 2)).relu()
        return self.dense(features.permute(0, 2, 3, 1).flatten(1))


def _set(layer, weight, bias):
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        layer.bias.copy_(torch.tensor(bias))


def mlp(weights):
    """Return the MLP of these weights, with a dropout that must stay off."""
    first, second = torch.nn.Linear(*weights.first.shape), torch.nn.Linear(*weights.second.shape)
    _set(first, weights.first.T, weights.first_bias)
    _set(second, weights.second.T, weights.second_bias)
    return torch.nn.Sequential(first, torch.nn.ReLU(), torch.nn.Dropout(0.5), second)


def cnn(weights):
    """Return the CNN of these weights."""
    return CNN(weights)


def function(callable_on_arrays):
    """Return a model from a function of the framework's own arrays."""
    return callable_on_arrays


def array(values):
    """Return the framework's array."""
    return torch.tensor(values)


class Pairs(Dataset):
    """A per-item dataset."""

    def __init__(self, inputs, labels):
        self.inputs, self.labels = torch.tensor(inputs), torch.tensor(labels)

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        return self.inputs[index], self.labels[index]


def dataset(inputs, labels):
    """Return the framework's own kind of dataset."""
    return Pairs(inputs, labels)


def loader(inputs, labels, batch_size):
    """Return the framework's own kind of loader, in order."""
    return DataLoader(Pairs(inputs, labels), batch_size=batch_size)


def shuffled_loader(inputs, labels, batch_size):
    """Return a loader that shuffles, or None where a shuffled one cannot tell its indices."""
    return DataLoader(Pairs(inputs, labels), batch_size=batch_size, shuffle=True)
