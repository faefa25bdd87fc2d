"""The MLP of the reference for JAX, its inputs, and the rows that it must give."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np

from probly.data_generator.discovery.listing import find_backend
from probly.data_generator.discovery.loading import load_backend
from probly.data_generator.jax_first_order_generator import FirstOrderDataGenerator
from probly.data_generator.testing import reference
from tests.frameworks import suite

WEIGHTS = reference.mlp_weights()
INPUTS, LABELS = reference.samples(rows=50)
EXPECTED = reference.softmax(reference.mlp_logits(WEIGHTS, INPUTS))
HOOK = load_backend(find_backend("jax")).hook
FIRST = WEIGHTS.first[:, :3]


def logits(sample):
    """Return the MLP of a sample or of a batch."""
    return jax.nn.relu(sample @ WEIGHTS.first + WEIGHTS.first_bias) @ WEIGHTS.second + WEIGHTS.second_bias


def module():
    """Return the MLP as a flax.nnx module, with a dropout."""
    return suite("jax").mlp(WEIGHTS)


def generator(model, **options):
    """Return a generator with batches of 16: four for the 50 inputs, the last one of 2 rows."""
    return FirstOrderDataGenerator(model, **{"batch_size": 16, **options})


def run(model, dataset=(INPUTS, LABELS), **options):
    """Return the distributions of one run."""
    return generator(model, **options).generate_distributions(dataset, progress=False)


def check(distributions, expected=EXPECTED):
    """Check that rows are what they should be, in order."""
    np.testing.assert_array_equal(distributions.indices, np.arange(len(expected)))
    np.testing.assert_allclose(distributions.probabilities, expected, rtol=0, atol=1e-6)


def softmax_of(weight):
    """Return the rows of the model ``inputs @ weight``."""
    return reference.softmax(INPUTS.astype(float) @ weight)


def load(model, device="cpu", **options):
    """Return what the hook ``load_model`` makes of a model."""
    return HOOK.load_model(source=model, device=device, options=options)


def put(data, device="cpu"):
    """Return a nest on a device."""
    return HOOK.to_device(data=data, device=device)


def forward(model, inputs, batch_size):
    """Return what a loaded model answers to one batch."""
    return HOOK.forward(model=model, inputs=inputs, batch_size=batch_size)


def batches(dataset, batch_size=16, start=0, stop=None, input_getter=None):
    """Return the batches of a dataset."""
    return HOOK.iterate_batches(
        dataset=dataset,
        batch_size=batch_size,
        input_getter=input_getter,
        index_getter=None,
        label_getter=None,
        batched=None,
        model=None,
        start=start,
        stop=stop,
    )


def python(*arguments, **environment):
    """Run an interpreter with warnings as errors, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.splitlines()
