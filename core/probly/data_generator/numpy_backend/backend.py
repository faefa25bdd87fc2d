"""The framework-agnostic backend: any callable, and any object with ``predict_proba``.

An ordinary plugin of the same contract as every other one, found through the same entry points; datasets, arrays and
devices are the core's own answers.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from probly.data_generator.hookspecs import HOST, hookimpl
from probly.data_generator.label_values import class_name, plain_classes
from probly.data_generator.toolkit.calling import call_with
from probly.data_generator.toolkit.digest import digest_state
from probly.data_generator.toolkit.importing import import_model
from probly.data_generator.toolkit.outputs import pick_scores
from probly.data_generator.toolkit.posterior import pair_mu_rho
from probly.data_generator.toolkit.tables import declared_columns


class NumpyModel(NamedTuple):
    """What ``load_model`` returns.

    Attributes:
        function: What is called per batch.
        source: The object it belongs to.
        class_names: The name of each column, if there is one.
        device: The only one.
    """

    function: Callable[[Any], Any]
    source: Any
    class_names: list[str] | None
    device: str = "cpu"

    @property
    def classes(self) -> list[Any] | None:
        """What the labels of each column are, where the model says so."""
        return None if self.function is self.source else plain_classes(getattr(self.source, "classes_", None))

    @property
    def output_mode(self) -> str | None:
        """What the scores are: those of ``predict_proba`` are never softmaxed."""
        return None if self.function is self.source else "probs"

    def is_current(self) -> bool:
        """Return whether the classes are those that were read: a model may be fitted after its generator was made."""
        return self.class_names == _class_names(self.source, self.function)

    @property
    def feature_names(self) -> list[str] | None:
        """The columns of a table that the model knows by name, for the command line."""
        return declared_columns(self.source)


@hookimpl
def load_model(source: Any, device: str | None) -> NumpyModel:
    """Accept a callable, an object with ``predict_proba``, or ``"module:attribute"``."""
    if device not in (None, "cpu", HOST):
        message = f"device {device!r} is not available to backend 'numpy'; available: 'cpu'"
        raise ValueError(message)
    if isinstance(source, str | Path):
        source = import_model(str(source))
    function = getattr(source, "predict_proba", source)
    if not callable(function):
        message = f"expected a callable or an object with predict_proba as model, got {type(source).__name__}"
        if isinstance(source, tuple):
            message += "; an ensemble is a list of models"
        raise TypeError(message)
    return NumpyModel(function, source, _class_names(source, function))


def _class_names(source: Any, function: Any) -> list[str] | None:
    classes = plain_classes(getattr(source, "classes_", None)) if function is not source else None
    return None if classes is None else [class_name(one) for one in classes]


@hookimpl
def forward(model: NumpyModel, inputs: Any, batch_size: int | None) -> Any:
    """Call the model once; pure Python numbers, and what NumPy can read, become an array of scores."""
    outputs = call_with(model.function, inputs)
    if outputs is None:
        return pick_scores(outputs)  # None is no answer of a hook: this says that it is none of a model, either
    if batch_size is None or not (isinstance(outputs, list | tuple) or hasattr(outputs, "__array__")):
        return outputs
    if model.output_mode and isinstance(outputs, list) and outputs and np.ndim(outputs[0]) == 2:
        message = (
            f"Model must return one array; predict_proba returned a list of {len(outputs)}, one per output of a "
            "multi-output classifier; take one of them with output_transform=lambda outputs: outputs[0]"
        )
        raise TypeError(message)
    try:
        array = np.asarray(outputs)
        # An array of objects may hold nothing but numbers, as one of a table with columns of several kinds does.
        return np.asarray(array.tolist()) if array.dtype.kind == "O" else array
    except ValueError as error:
        message = f"Model must return rows of one length, got lists of different lengths ({error})"
        raise TypeError(message) from error


@hookimpl
def posterior_params(model: NumpyModel) -> dict[str, dict[str, Any]]:
    """Pair the attributes ``*_mu`` and ``*_rho`` of the model object."""
    layers = pair_mu_rho(getattr(model.source, "__dict__", {}).items())
    return {layer: {name: np.array(value) for name, value in pair.items()} for layer, pair in layers.items()}


@hookimpl
def weight_digest(model: NumpyModel) -> str:
    """Return the digest of an object's attributes; those of a plain function cannot be seen."""
    return digest_state(model.source)


@hookimpl
def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the host's memory did not suffice."""
    return isinstance(error, MemoryError)


@hookimpl
def available_devices() -> list[str]:
    """Return the one device that there is."""
    return ["cpu"]


@hookimpl
def choices() -> dict[str, list[str]]:
    """Return the one device that there is; there are no options."""
    return {"device": ["cpu"]}
