"""The suite on torch."""

import torch
from torch.utils.data import DataLoader, Dataset

from probly.data_generator.testing import BackendConformance


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


class Bayesian(torch.nn.Module):
    """A layer with a normal posterior."""

    def __init__(self, mu, rho):
        super().__init__()
        self.weight_mu = torch.nn.Parameter(torch.tensor(mu))
        self.weight_rho = torch.nn.Parameter(torch.tensor(rho))

    def forward(self, inputs):
        return inputs @ self.weight_mu


class Pairs(Dataset):
    """A per-item dataset."""

    def __init__(self, inputs, labels):
        self.inputs, self.labels = torch.tensor(inputs), torch.tensor(labels)

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        return self.inputs[index], self.labels[index]


class TestTorch(BackendConformance):
    backend = "torch"
    framework_modules = ("torch",)

    def mlp(self, weights):
        first, second = torch.nn.Linear(*weights.first.shape), torch.nn.Linear(*weights.second.shape)
        _set(first, weights.first.T, weights.first_bias)
        _set(second, weights.second.T, weights.second_bias)
        return torch.nn.Sequential(first, torch.nn.ReLU(), torch.nn.Dropout(0.5), second)

    def cnn(self, weights):
        return CNN(weights)

    def bfloat16(self, example):
        return torch.Tensor.bfloat16

    def bayesian(self, mu, rho):
        return torch.nn.Sequential(torch.nn.Linear(2, len(mu)), Bayesian(mu, rho))

    def array(self, values):
        return torch.tensor(values)

    def dataset(self, inputs, labels):
        return Pairs(inputs, labels)

    def loader(self, inputs, labels, batch_size):
        return DataLoader(Pairs(inputs, labels), batch_size=batch_size)

    def shuffled_loader(self, inputs, labels, batch_size):
        return DataLoader(Pairs(inputs, labels), batch_size=batch_size, shuffle=True)

    def model_state(self, model):
        return {
            "training": [module.training for module in model.modules()],
            "weights": [tensor.numpy(force=True) for tensor in model.state_dict().values()],
            "devices": [str(tensor.device) for tensor in model.state_dict().values()],
            "trainable": [parameter.requires_grad for parameter in model.parameters()],
            "gradients": [parameter.grad for parameter in model.parameters()],
            "random state": torch.get_rng_state().numpy(),
        }

    def keeps_gradients(self, array):
        return array.requires_grad
