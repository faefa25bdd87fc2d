"""The models and runs that the tests of OpenVINO share."""

import numpy as np
import openvino
import pytest
from openvino import opset13 as op

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.testing import reference
from tests.frameworks.openvino import mlp_model, model_of

WEIGHTS = reference.mlp_weights()
INPUTS, LABELS = reference.samples(rows=50)
EXPECTED = reference.softmax(reference.mlp_logits(WEIGHTS, INPUTS))


def generator(model, **options):
    return FirstOrderDataGenerator(model, **{"batch_size": 16, **options})


def run(model, dataset=INPUTS, out=None, **options):
    return generator(model, **options).generate_distributions(dataset, out=out, progress=False)


def check(distributions, expected=EXPECTED, tolerance=1e-6):
    np.testing.assert_array_equal(distributions.indices, np.arange(len(expected)))
    np.testing.assert_allclose(distributions.probabilities, expected, rtol=0, atol=tolerance)


def refused(error, pattern, model, dataset=INPUTS, **options):
    with pytest.raises(error, match=pattern) as caught:
        run(model, dataset, **options)
    return str(caught.value)


def identity(dtype=openvino.Type.f32, axes=(3,)):
    """Return a model that returns its inputs as f32."""
    return model_of(lambda x: op.convert(x, openvino.Type.f32), [-1, *axes], dtype)


def save(path, model=None):
    """Write an IR with weights in full, and return its path."""
    openvino.save_model(mlp_model(WEIGHTS) if model is None else model, str(path), compress_to_fp16=False)
    return path
