"""The suite that every backend passes, with the models of abacus; the rest of it is right for NumPy arrays."""

import abacus

from probly.data_generator.testing import BackendConformance


class TestAbacus(BackendConformance):
    backend = "abacus"
    framework_modules = ("abacus",)
    cannot = frozenset({"posterior", "bfloat16"})

    def mlp(self, weights):
        return abacus.Network([(weights.first, weights.first_bias), (weights.second, weights.second_bias)])

    def cnn(self, weights):
        return abacus.Network([(weights.dense, weights.dense_bias)], (weights.kernel, weights.kernel_bias))
