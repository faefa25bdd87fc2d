"""The names that many blocks of the guide use, by framework, and the rows that must come of them."""

import numpy as np

ROWS, FEATURES, CLASSES = 40, 5, 3
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(ROWS, FEATURES)).astype(np.float32)
Y = RANDOM.integers(0, CLASSES, ROWS)
W = RANDOM.normal(size=(FEATURES, CLASSES)).astype(np.float32)
B = RANDOM.normal(size=CLASSES).astype(np.float32)


def expected(logits=None):
    """Return the softmax of the linear model in float64."""
    logits = X.astype(np.float64) @ W + B if logits is None else logits
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def check_rows(distributions):
    """Compare with the closed form, under every index."""
    assert sorted(distributions) == list(range(ROWS))
    np.testing.assert_allclose([distributions[index] for index in range(ROWS)], expected(), rtol=0, atol=1e-6)


def torch_names():
    """Return what the PyTorch blocks use."""
    import torch
    from torch.utils.data import TensorDataset

    from probly.data_generator.torch_first_order_generator import (
        FirstOrderDataGenerator,
        FirstOrderDataset,
        output_dataloader,
    )

    model = torch.nn.Sequential(torch.nn.Linear(FEATURES, CLASSES))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor(W.T))
        model[0].bias.copy_(torch.tensor(B))
    names = {
        "torch": torch,
        "FirstOrderDataGenerator": FirstOrderDataGenerator,
        "FirstOrderDataset": FirstOrderDataset,
        "output_dataloader": output_dataloader,
        "model": model,
        "dataset": TensorDataset(torch.tensor(X), torch.tensor(Y)),
        "device": "cpu",
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
    }
    names["generator"] = FirstOrderDataGenerator(model)
    names["distributions"] = names["generator"].generate_distributions(names["dataset"])
    return names


def save_torch_model(path):
    """Save a whole model so that torch.load opens it with its safe defaults."""
    import torch

    torch.serialization.add_safe_globals([torch.nn.Sequential, torch.nn.Linear])
    torch.save(torch_names()["model"], path)


def jax_names():
    """Return what the JAX blocks use."""
    import jax
    import jax.numpy as jnp

    from probly.data_generator.jax_first_order_generator import (
        FirstOrderDataGenerator,
        FirstOrderDataset,
        output_dataloader,
    )

    params = {"W": jnp.array(W), "b": jnp.array(B)}

    def forward_pass(x, params):
        return x @ params["W"] + params["b"]

    def model_fn(x):
        return forward_pass(x, params)

    return {
        "jax": jax,
        "jnp": jnp,
        "np": np,
        "FirstOrderDataGenerator": FirstOrderDataGenerator,
        "FirstOrderDataset": FirstOrderDataset,
        "output_dataloader": output_dataloader,
        "params": params,
        "converted_params": params,
        "forward_pass": forward_pass,
        "jax_forward_pass": forward_pass,
        "model_fn": model_fn,
        "dataset": (X, Y),
        "jax_dataset": [(jnp.array(x), int(y)) for x, y in zip(X, Y, strict=True)],
        "images": X,
        "labels": Y,
        "features": X,
        "metadata": Y,
        "batch_size": 4,
    }


def keras_model():
    """Return the linear model in Keras."""
    import keras

    model = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(CLASSES)])
    model.layers[0].set_weights([W, B])
    return model


def tensorflow_names():
    """Return what the TensorFlow blocks use."""
    import tensorflow as tf

    from probly.data_generator.tensorflow_generator import TensorFlowDataGenerator

    return {
        "tf": tf,
        "TensorFlowDataGenerator": TensorFlowDataGenerator,
        "model": keras_model(),
        "create_model": keras_model,
        "dataset": tf.data.Dataset.from_tensor_slices((X, Y)).batch(8),
        "x": X,
        "y": Y,
        "images": X,
        "labels": Y,
        "preprocess_fn": lambda image, label: (image, label),
        "batch_size": 8,
    }


def check_report(report):
    """Compare the promised parts of a report with the closed form."""
    rows = expected()
    assert report["info"]["framework"] == "tensorflow"
    assert report["info"]["dataset_size"] == ROWS
    assert report["info"]["batch_size"] == 32
    assert report["metrics"]["accuracy"] == np.mean(rows.argmax(1) == Y)
    assert sum(report["class_distribution"]["predicted"].values()) == ROWS
    assert sum(report["class_distribution"]["ground_truth"].values()) == ROWS
    np.testing.assert_allclose(report["confidence"]["mean"], rows.max(1).mean(), rtol=1e-5)


def two_cpus():
    """Make two logical devices, for strategies that spread over several."""
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
