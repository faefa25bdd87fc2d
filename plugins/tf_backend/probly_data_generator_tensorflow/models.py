"""From any source to a model that runs: live objects, files, builders."""

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import tensorflow as tf

from probly.data_generator.toolkit.importing import import_model, is_import_path
from probly_data_generator_tensorflow.devices import resolve_device, short_name
from probly_data_generator_tensorflow.files import Shapes, keras_model, saved_model
from probly_data_generator_tensorflow.forward import Step
from probly_data_generator_tensorflow.state import states_of
from probly_data_generator_tensorflow.switched import Drawing, drawing_step
from probly_data_generator_tensorflow.tables import known_columns

# A generator loads its live model again when it runs once more, by then outside the scope that it was made in.
_SCOPES: WeakKeyDictionary[Any, tf.distribute.Strategy] = WeakKeyDictionary()


class TensorFlowModel:
    """What ``load_model`` returns.

    Args:
        function: The model: inputs of a batch to outputs, with everything stochastic off.
        device: Where it runs, if there is no strategy.
        module: What holds the variables.
        shapes: The shape of one sample by input name, where a file tells.
        strategy: Splits each batch over its replicas.
        xla: Whether XLA compiles it.
        folder: Where it was opened, if it is a SavedModel.

    Attributes:
        device: The name of its device; for a strategy the names of all of them, separated by commas.
        step: What is called per batch.
        layers: Those whose outputs are kept beside the model's own, by name.
        options: The backend's options that may change the rows.
        channels: The order of a picture's axes, for the command line.
    """

    channels = "last"

    def __init__(
        self,
        function: Callable[[Any], Any],
        device: str,
        module: Any,
        shapes: Shapes | None = None,
        strategy: tf.distribute.Strategy | None = None,
        *,
        xla: bool = False,
        folder: Path | None = None,
    ) -> None:
        self.module = module
        self.shapes = shapes
        self.folder = folder
        self.device = device if strategy is None else ",".join(map(short_name, strategy.extended.worker_devices))
        self.options = {"xla": True} if xla else {}
        self.step = Step(function, module, device, strategy, xla=xla)
        self.layers: Mapping[str, Any] = {}

    @property
    def variables(self) -> list[Any]:
        """What a model may write to, as far as it is seen; those of a plain function are in its graph."""
        return [*variables_of(self.module), *states_of(self.module)]

    @functools.cached_property
    def drawing(self) -> Drawing:
        """What is called per batch and pass; compiled once for all seeds."""
        return drawing_step(self)

    @property
    def input_shapes(self) -> Shapes:
        """The shape of one sample by input name, as far as it is known; a live model may be built after its loading."""
        return self.shapes or (_keras_shapes(self.module) if is_keras(self.module) else None) or {}

    @property
    def feature_names(self) -> list[str] | None:
        """The columns of a table that the model knows by name: each is an input of its own."""
        return known_columns(self.input_shapes)


def load(source: Any, device: str | None, *, xla: bool = False, trust: bool = False) -> TensorFlowModel:
    """Return the model of any source; a strategy, where there is one, is stronger than ``device``.

    Args:
        source: See the hook.
        device: See the hook.
        xla: Whether XLA compiles the model.
        trust: Whether code from a file may run.

    Raises:
        TypeError: ``source`` is no model.
        ValueError: A Keras model runs on another framework, or a file can only be opened by running code from it.
        FileNotFoundError: There is no such file.
    """
    live = not isinstance(source, str | PathLike)
    target = resolve_device(device)
    if isinstance(source, str) and is_import_path(source):
        source = import_model(source)
    strategy = _strategy(source)
    if isinstance(source, str | PathLike):
        path = Path(source)
        if not path.exists():
            message = f"{path}: there is no such model file or folder"
            raise FileNotFoundError(message)
        if path.is_dir():
            module, function, shapes = saved_model(path, trust=trust)
            return TensorFlowModel(function, target, module, shapes, strategy, xla=xla, folder=path)
        source = keras_model(path, trust=trust)
    if is_keras(source):
        _check_keras(source)
    if live and device is None:
        target = _device_of_weights(source) or target
    if is_keras(source):
        return TensorFlowModel(functools.partial(source, training=False), target, source, None, strategy, xla=xla)
    if not callable(source):
        message = f"expected a Keras model, a callable or a path as model, got {type(source).__name__}"
        raise TypeError(message)
    return TensorFlowModel(_inference(source), target, source, None, strategy, xla=xla)


def is_keras(source: Any) -> bool:
    """Return whether an object is a Keras layer or model, without importing Keras."""
    return any(
        kind.__name__ == "Layer" and kind.__module__.partition(".")[0] in ("keras", "tf_keras")
        for kind in type(source).__mro__
    )


def _check_keras(model: Any) -> None:
    if any(kind.__module__.partition(".")[0] == "tf_keras" for kind in type(model).__mro__):
        return
    runs_on = sys.modules["keras"].config.backend()
    if runs_on != "tensorflow":
        message = f"this Keras model runs on {runs_on!r}, not on TensorFlow; choose backend={runs_on!r}"
        raise ValueError(message)


def _inference(function: Callable[..., Any]) -> Callable[[Any], Any]:
    """Switch off what the convention of an argument called ``training`` switches."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # built in
        return function
    return functools.partial(function, training=False) if "training" in parameters else function


def _keras_shapes(model: Any) -> Shapes | None:
    """Return the shapes that a Keras model declares or has been built with; the first axis is the batch."""
    inputs = getattr(model, "inputs", None)
    if inputs:
        return {tensor.name: tuple(tensor.shape)[1:] for tensor in inputs}
    built_with = (model.get_build_config() or {}).get("input_shape") if hasattr(model, "get_build_config") else None
    if isinstance(built_with, list | tuple) and all(size is None or isinstance(size, int) for size in built_with):
        return {"inputs": tuple(built_with)[1:]}
    return None


def _strategy(source: Any) -> tf.distribute.Strategy | None:
    """Return the strategy in whose scope we are, or were when this model was loaded first, or its variables were."""
    if tf.distribute.has_strategy():
        strategy = tf.distribute.get_strategy()
        if callable(source):
            _remember(source, strategy)
    else:
        strategy = _variables_strategy(source) or (_remembered(source) if callable(source) else None)
    if strategy is not None and len(strategy.extended.worker_devices) != strategy.num_replicas_in_sync:
        message = (
            f"{type(strategy).__name__} runs on several machines, of which each would get a part of the rows only; "
            "give every machine a part of the dataset and a generator outside the scope"
        )
        raise ValueError(message)
    return strategy


def _remember(source: Any, strategy: tf.distribute.Strategy) -> None:
    try:
        _SCOPES[source] = strategy
    except TypeError as error:
        message = (
            f"the strategy of this scope cannot be kept for a {type(source).__name__} ({error}); wrap the model in a "
            'function, or give its class a hash and "__weakref__" in its __slots__'
        )
        raise TypeError(message) from error


def _remembered(source: Any) -> tf.distribute.Strategy | None:
    try:
        return _SCOPES.get(source)
    except TypeError:  # nor could it have been remembered
        return None


def _variables_strategy(source: Any) -> tf.distribute.Strategy | None:
    for variable in variables_of(source):
        # Keras wraps TensorFlow's variable, whose own `value` is a method.
        strategy = getattr(variable, "distribute_strategy", None)
        strategy = strategy or getattr(getattr(variable, "value", None), "distribute_strategy", None)
        if strategy is not None:
            return strategy
    return None


def variables_of(module: Any) -> list[Any]:
    """Return the variables of a Keras model, a tf.Module, a tf.function or a SavedModel; none of anything else."""
    found = getattr(module, "variables", ())
    return list(found) if isinstance(found, list | tuple) else []


def _device_of_weights(source: Any) -> str | None:
    for variable in variables_of(source):
        # Counters and the states of random generators may be on the host for good.
        if tf.as_dtype(variable.dtype).is_floating:
            return short_name(tf.convert_to_tensor(variable).device) or None
    return None
