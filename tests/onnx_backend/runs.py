"""The models and runs that the tests of ONNX Runtime share."""

import numpy as np
import onnx
import pytest

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.testing import reference
from tests.frameworks.onnx import mlp_model, model_of, session

WEIGHTS = reference.mlp_weights()
INPUTS, LABELS = reference.samples(rows=50)
EXPECTED = reference.softmax(reference.mlp_logits(WEIGHTS, INPUTS))
IMAGE_WEIGHTS = reference.cnn_weights(channels=3)
IMAGES = reference.samples(rows=6, shape=(8, 8, 3))[0]
IMAGE_ROWS = reference.softmax(reference.cnn_logits(IMAGE_WEIGHTS, IMAGES))
LIVE = session(mlp_model(WEIGHTS))


def generator(model, **options):
    return FirstOrderDataGenerator(model, **{"backend": "onnx", "batch_size": 16, **options})


def run(model, dataset, out=None, **options):
    return generator(model, **options).generate_distributions(dataset, out=out, progress=False)


def check(distributions, expected=EXPECTED, tolerance=1e-6):
    np.testing.assert_array_equal(distributions.indices, np.arange(len(expected)))
    np.testing.assert_allclose(distributions.probabilities, expected, rtol=0, atol=tolerance)


def refused(error, pattern, model, dataset=INPUTS, **options):
    with pytest.raises(error, match=pattern) as caught:
        run(model, dataset, **options)
    return str(caught.value)


def identity(kind, output=None, axes=(3,)):
    nodes = [("Cast", "x", "y", {"to": output or kind})]
    return model_of(nodes, {"x": (kind, ["N", *axes])}, {"y": (output or kind, ["N", *axes])})


def external_model(folder, location="weights.data", name="model.onnx"):
    """Write a model whose weights are in a file of their own, under any claimed name."""
    onnx.save(mlp_model(WEIGHTS), folder / name, save_as_external_data=True, location="weights.data", size_threshold=0)
    proto = onnx.load(folder / name, load_external_data=False)
    for tensor in proto.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    (folder / name).write_bytes(proto.SerializeToString())
    return folder / name
