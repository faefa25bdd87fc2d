"""Keras models on JAX; run as a program, since Keras chooses its backend when it is imported. It prints JSON."""

import json

import keras
import numpy as np

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.testing import reference

WEIGHTS = reference.mlp_weights()
INPUTS, LABELS = reference.samples(rows=50)
EXPECTED = reference.softmax(reference.mlp_logits(WEIGHTS, INPUTS))


class Bayes(keras.layers.Layer):
    def build(self, shape):
        self.add_weight(shape=(2,), name="kernel_mu"), self.add_weight(shape=(2,), name="kernel_rho")

    def call(self, inputs):
        return inputs


def mlp():
    """Return the MLP of the reference, with layers that training would change."""
    layers = [
        keras.Input((5,)), keras.layers.Dense(16, activation="relu", name="first"), keras.layers.Dropout(0.5),
        keras.layers.Dense(3, name="second"), keras.layers.BatchNormalization(epsilon=0.0),
    ]  # fmt: skip
    model = keras.Sequential(layers)
    model.get_layer("first").set_weights(WEIGHTS[:2])
    model.get_layer("second").set_weights(WEIGHTS[2:])
    return model


def rows(generator):
    """Return the rows of one run."""
    return generator.generate_distributions((INPUTS, LABELS), progress=False).probabilities


def members():
    """Return what became of passes and of a hidden layer."""
    dropout, norm = keras.layers.Dropout(0.25, name="dropout"), keras.layers.BatchNormalization(name="norm")
    recurrent = [keras.layers.Reshape((5, 1)), keras.layers.LSTM(3, dropout=0.5)]
    model = keras.Sequential([keras.Input((5,)), dropout, norm, *recurrent])
    norm.set_weights([np.full(5, value, np.float32) for value in (2.0, 0.5, 0.25, 4.0)])
    before = [np.asarray(variable.value) for variable in model.variables]
    generators = [
        FirstOrderDataGenerator(model, batch_size=16, passes=40, seed=seed, output_mode="logits") for seed in (1, 1, 2)
    ]
    keep = ["features:dropout", "features:norm"]
    first, again, other = (
        one.generate_distributions(np.ones((50, 5), np.float32), progress=False, keep=keep) for one in generators
    )
    after = [np.asarray(variable.value) for variable in model.variables]
    dropped = first.columns["features:dropout"]
    normed = (dropped - 0.25) / np.sqrt(4.0 + 1e-3) * 2.0 + 0.5
    return {
        "same": bool(np.array_equal(first.members, again.members)),
        "different": len(np.unique(first.members[0, :, 0])) > 5 and not np.array_equal(first.members, other.members),
        "unchanged": all(np.array_equal(*pair) for pair in zip(before, after, strict=True)),
        "values": sorted({round(float(value), 4) for value in np.unique(dropped)}),
        "dropped": float((dropped == 0).mean()),
        "miss of norm": float(abs(first.columns["features:norm"] - normed).max()),
    }


def found():
    """Return what became of a model."""
    model = mlp()
    before = [np.asarray(value) for value in model.get_weights()]
    generator = FirstOrderDataGenerator(model, batch_size=16)
    first = rows(generator)
    after = [np.asarray(value) for value in model.get_weights()]
    model.get_layer("second").set_weights([value * 0 for value in WEIGHTS[2:]])
    try:
        generator.get_posterior_distributions()
    except ValueError as error:
        refused = str(error)
    bayes = keras.Sequential([keras.Input((5,)), Bayes(name="bayes")])
    posterior = FirstOrderDataGenerator(bayes).get_posterior_distributions()
    return {
        "backend": generator.backend.info.name,
        "device": generator.current_device,
        "miss": float(abs(first - EXPECTED).max()),
        "unchanged": all(np.array_equal(*pair) for pair in zip(before, after, strict=True)),
        "spread after new weights": float(rows(generator).std()),
        "refused": refused,
        "members": members(),
        "posterior": {layer: sorted(pair) for layer, pair in posterior.items()},
    }


if __name__ == "__main__":
    print(json.dumps(found()))
