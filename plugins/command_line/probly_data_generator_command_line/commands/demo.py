"""``first-order demo``: a model, its data and a store, made of NumPy alone."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from probly.data_generator.distributions import Distributions
from probly.data_generator.formats.choosing import format_of, save
from probly.data_generator.generator import FirstOrderDataGenerator
from probly.data_generator.metrics import report
from probly.data_generator.run.scores import softmax_in_place
from probly_data_generator_command_line.arguments import json_option, subcommand
from probly_data_generator_command_line.errors import InputError
from probly_data_generator_command_line.printing import emit, number

Floats = npt.NDArray[np.float64]

CLASS_NAMES = ["north", "east", "west"]
CENTRES = np.array([[0.0, 1.2], [1.2, -0.6], [-1.2, -0.6]])
"""The classes are Gaussian with these means and unit variance, so p(y|x) is softmax(x . centre - |centre|^2 / 2)."""
MODEL = '''\
"""A softmax regression of two features; made by `first-order demo`."""

from pathlib import Path

import numpy as np


class SoftmaxRegression:
    def __init__(self, weights, bias):
        self.weights, self.bias = weights, bias

    def __call__(self, inputs):
        return inputs @ self.weights + self.bias  # logits, shape (rows, 3)


def build():
    with np.load(Path(__file__).with_name("weights.npz")) as arrays:
        return SoftmaxRegression(arrays["weights"], arrays["bias"])
'''


@subcommand("demo", "first-order demo")
@click.option(
    "--out", default="demo", show_default=True, type=click.Path(path_type=Path), help="A folder that does not exist."
)
@json_option
def demo(out: Path, as_json: bool) -> None:
    """Make a small classifier, test data and a store of its distributions, to try the other commands on.

    The data are drawn from three Gaussians, so the true p(y|x) of every sample is known: truth.npz holds it, and the
    last line says how near the classifier's distributions come. Needs no framework; takes a second.
    """
    format_of(out / "teacher.fod")  # the store may not be installed, which is said before anything is written
    if os.path.lexists(out):
        message = f"--out {out}: exists, and was left as it is; choose another folder, or remove it"
        raise InputError(message)
    inputs, labels = _draw(1000, seed=0)
    weights, bias = _fit(*_draw(500, seed=1))
    out.mkdir(parents=True)
    (out / "model.py").write_text(MODEL, encoding="utf-8")
    np.savez(out / "weights.npz", weights=weights, bias=bias)
    np.savez(out / "test.npz", inputs=inputs, labels=labels)
    truth = Distributions(_truth(inputs), labels=labels, meta={"class_names": CLASS_NAMES})
    save(out / "truth.npz", truth)
    generator = FirstOrderDataGenerator(
        _build(out), backend="numpy", output_mode="logits", model_name="demo", class_names=CLASS_NAMES
    )
    store = generator.generate_distributions((inputs, labels), out=out / "teacher.fod", progress=False)
    distances = np.abs(store.probabilities.astype(float) - truth.probabilities).sum(axis=1) / 2
    numbers = {**report(store)["metrics"], "total_variation": float(distances.mean())}
    emit({"path": str(out), "rows": len(store), **numbers}, _lines(out, len(store), numbers), as_json)


def _draw(rows: int, seed: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, len(CENTRES), rows)
    return CENTRES[labels] + random.normal(size=(rows, CENTRES.shape[1])), labels


def _truth(inputs: Floats) -> Floats:
    """Return the true p(y|x): by Bayes' theorem with equal priors, shape ``(N, 3)``."""
    scores: Floats = inputs @ CENTRES.T - (CENTRES**2).sum(axis=1) / 2
    softmax_in_place(scores)
    return scores


def _fit(inputs: Floats, labels: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the weights and the bias of a softmax regression, by gradient descent on the log-loss."""
    design = np.column_stack([inputs, np.ones(len(inputs))])
    weights = np.zeros((design.shape[1], len(CENTRES)))
    targets = np.eye(len(CENTRES))[labels]
    for _ in range(500):
        rows = design @ weights
        softmax_in_place(rows)
        weights -= design.T @ (rows - targets) / len(inputs)
    return weights[:-1], weights[-1]


def _build(folder: Path) -> Any:
    """Import the model that was written, as --model would."""
    spec = importlib.util.spec_from_file_location("first_order_demo_model", folder / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.build()


def _lines(out: Path, rows: int, numbers: dict[str, Any]) -> list[str]:
    return [
        f"{out / 'model.py'}     a softmax regression: --model {out.as_posix().replace('/', '.')}.model:build",
        f"{out / 'test.npz'}     its test data: --data {out / 'test.npz'}",
        (
            f"{out / 'teacher.fod'}  {rows:,} distributions: accuracy {number(numbers['accuracy'])}, "
            f"mean entropy {number(numbers['mean_entropy'])} nats"
        ),
        f"{out / 'truth.npz'}    the true p(y|x), at a mean total variation of {number(numbers['total_variation'])}",
        "",
        f"Try: first-order inspect {out / 'teacher.fod'}",
    ]
