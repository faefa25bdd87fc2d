"""A stateful Keras model on torch; run as a program, since Keras chooses its backend when it is imported."""

import json

import keras
import numpy as np

from probly.data_generator import FirstOrderDataGenerator

INPUTS = np.random.default_rng(0).normal(size=(12, 5, 3)).astype(np.float32)


def found():
    """Return what became of the state, and how far the rows are from those of Keras."""
    layer = keras.layers.LSTM(6, stateful=True)
    layers = [keras.Input(batch_shape=(4, 5, 3)), layer, keras.layers.Dense(3, activation="softmax")]
    model = keras.Sequential(layers)
    generator = FirstOrderDataGenerator(model, batch_size=4, output_mode="probs")
    rows = [generator.generate_distributions(INPUTS, progress=False).probabilities for _ in range(2)]
    left = max(float(abs(keras.ops.convert_to_numpy(state)).max()) for state in layer.states)
    expected = model.predict(INPUTS, batch_size=4, verbose=0)
    return {
        "backend": generator.backend.info.name,
        "same": bool((rows[0] == rows[1]).all()),
        "left": left,
        "miss": float(abs(rows[0] - expected).max()),
    }


if __name__ == "__main__":
    print(json.dumps(found()))
