"""How a model is called in JAX: with the whole batch, or spread where it only takes several inputs."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.testing.reference import softmax

X = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
Y = np.arange(9) % 3


def run(model, dataset):
    generator = FirstOrderDataGenerator(model, backend="jax", output_mode="logits", batch_size=4)
    return generator.generate_distributions(dataset, progress=False)


class Pair(nnx.Module):
    def __call__(self, left, right):
        return left - 2 * right


class Bound(linen.Module):
    @linen.compact
    def __call__(self, left, right):
        return left - 2 * right


@pytest.mark.parametrize(
    "model",
    [lambda left, right: left - 2 * right, lambda pair: pair[0] - 2 * pair[1], Pair(), Bound().bind({})],
    ids=["two arguments", "one argument", "nnx", "linen"],
)
def test_two_inputs(model):
    right = X[::-1].copy()
    samples = [((left, other), label) for left, other, label in zip(X, right, Y, strict=True)]
    for dataset in (((X, right), Y), samples):
        found = run(model, dataset)
        np.testing.assert_allclose(found.probabilities, softmax(X - 2 * right), rtol=0, atol=1e-6)
        np.testing.assert_array_equal(found.labels, Y)


def test_named_inputs_without_the_label():
    found = run(lambda left, right: left - 2 * right, {"right": X, "left": X, "label": Y})
    np.testing.assert_allclose(found.probabilities, softmax(-X), rtol=0, atol=1e-6)


def test_the_number_of_inputs_is_named():
    with pytest.raises(TypeError, match=r"takes 2 inputs \(left, right\), but a batch has 1"):
        run(Pair(), X)


def test_a_module_beside_its_variables_is_refused_without_showing_them():
    with pytest.raises(TypeError, match=r"a tuple of a Bound and more; .*module\.bind\(variables\)") as caught:
        run((Bound(), {"params": jnp.zeros((1000, 1000))}), X)
    assert len(str(caught.value)) < 200
