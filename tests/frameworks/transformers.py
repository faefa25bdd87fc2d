"""The suite on transformers, with models of one's own that take arrays; its own are in tests/transformers_backend."""

import torch
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutput, SequenceClassifierOutput

from probly.data_generator.testing import BackendConformance


class MLP(PreTrainedModel):
    config_class = PreTrainedConfig

    def __init__(self, weights):
        super().__init__(PreTrainedConfig())
        self.first, self.second = (torch.nn.Linear(*part.shape) for part in (weights.first, weights.second))
        self.dropout = torch.nn.Dropout(0.5)
        _set(self.first, weights.first.T, weights.first_bias)
        _set(self.second, weights.second.T, weights.second_bias)

    def forward(self, features):
        return SequenceClassifierOutput(logits=self.second(self.dropout(self.first(features).relu())))


class CNN(PreTrainedModel):
    """NHWC in, as on every other framework; torch convolves NCHW."""

    config_class = PreTrainedConfig

    def __init__(self, weights):
        super().__init__(PreTrainedConfig())
        self.conv = torch.nn.Conv2d(weights.kernel.shape[2], weights.kernel.shape[3], 3)
        self.dense = torch.nn.Linear(*weights.dense.shape)
        _set(self.conv, weights.kernel.transpose(3, 2, 0, 1), weights.kernel_bias)
        _set(self.dense, weights.dense.T, weights.dense_bias)

    def forward(self, pixel_values):
        features = self.conv(pixel_values.permute(0, 3, 1, 2)).relu()
        return ImageClassifierOutput(logits=self.dense(features.permute(0, 2, 3, 1).flatten(1)))


def _set(layer, weight, bias):
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        layer.bias.copy_(torch.tensor(bias))


class Bayesian(PreTrainedModel):
    """A layer with a normal posterior."""

    config_class = PreTrainedConfig

    def __init__(self, mu, rho):
        super().__init__(PreTrainedConfig())
        self.layer = torch.nn.Module()
        self.layer.weight_mu = torch.nn.Parameter(torch.tensor(mu))
        self.layer.weight_rho = torch.nn.Parameter(torch.tensor(rho))

    def forward(self, features):
        return features @ self.layer.weight_mu


class Function(PreTrainedModel):
    """A function of arrays as a model."""

    config_class = PreTrainedConfig

    def __init__(self, function):
        super().__init__(PreTrainedConfig())
        self.function = function

    def forward(self, features):
        return self.function(features)


class Pairs(Dataset):
    """A per-item dataset."""

    def __init__(self, inputs, labels):
        self.inputs, self.labels = torch.tensor(inputs), torch.tensor(labels)

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        return self.inputs[index], self.labels[index]


class TestTransformers(BackendConformance):
    backend = "transformers"
    framework_modules = ("transformers", "torch")

    def mlp(self, weights):
        return MLP(weights)

    def cnn(self, weights):
        return CNN(weights)

    def function(self, function):
        return Function(function)

    def bfloat16(self, example):
        return Function(torch.Tensor.bfloat16)

    def bayesian(self, mu, rho):
        return Bayesian(mu, rho)

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
