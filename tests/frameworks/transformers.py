"""The suite on transformers, with models of one's own that take arrays; its own are in tests/transformers_backend."""

import torch
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from tests.frameworks import torch as suite_on_torch


class Classifier(PreTrainedModel):
    """What transformers makes of a torch network: scores with a name."""

    config_class = PreTrainedConfig

    def __init__(self, network):
        super().__init__(PreTrainedConfig())
        self.network = network

    def forward(self, features):
        return SequenceClassifierOutput(logits=self.network(features))


class Function(PreTrainedModel):
    """A function of arrays as a model."""

    config_class = PreTrainedConfig

    def __init__(self, function):
        super().__init__(PreTrainedConfig())
        self.function = function

    def forward(self, features):
        return self.function(features)


class TestTransformers(suite_on_torch.TestTorch):
    backend = "transformers"
    framework_modules = ("transformers", "torch")

    def mlp(self, weights):
        return Classifier(super().mlp(weights))

    def cnn(self, weights):
        return Classifier(super().cnn(weights))

    def function(self, function):
        return Function(function)

    def bfloat16(self, example):
        return Function(torch.Tensor.bfloat16)

    def bayesian(self, mu, rho):
        return Classifier(super().bayesian(mu, rho))
