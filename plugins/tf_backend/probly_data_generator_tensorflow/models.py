"""From any source to a model that runs: live objects, files, builders."""

import functools
import inspect
import sys
import zipfile
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import tensorflow as tf

from probly.data_generator.toolkit.importing import import_model, is_import_path
from probly_data_generator_tensorflow import keeping
from probly_data_generator_tensorflow.forward import Step
from probly_data_generator_tensorflow.saved_models import Shapes, saved_model
from probly_data_generator_tensorflow.tensors import resolve_device, short_name

# A generator loads its live model again when it runs, by then outside the scope that it was made in.
_SCOPES: WeakKeyDictionary[Any, tf.distribute.Strategy] = WeakKeyDictionary()


class TensorFlowModel:
    """What ``load_model`` returns.

    Args:
        function: The model: inputs of a batch to outputs, with everything stochastic off.
        device: Where it runs, if there is no strategy.
        module: What holds the variables.
        input_shapes: The shape of one sample by input name, where known.
        strategy: Splits each batch over its replicas.
        xla: Whether XLA compiles the step.

    Attributes:
        device: The name of its device; for a strategy the names of all of them, separated by commas.
        step: What is called per batch.
        options: The backend's options that may change the rows.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        device: str,
        module: Any,
        input_shapes: Shapes | None = None,
        strategy: tf.distribute.Strategy | None = None,
        *,
        xla: bool = False,
    ) -> None:
        self.module = module
        self.input_shapes = input_shapes or {}
        self.device = device if strategy is None else ",".join(map(short_name, strategy.extended.worker_devices))
        self.channels = "last"
        """The order of a picture's axes, for the command line."""
        self.options = {"xla": True} if xla else {}
        # Keras's way to say so, compile(run_eagerly=True), serves for any callable.
        self.step = Step(function, device, strategy, eager=getattr(module, "run_eagerly", False) is True, xla=xla)
        self.evidence: keeping.Evidence | None = None

    def keep_step(self, before: "TensorFlowModel | None") -> None:
        """Go on with the compiled step of an earlier run of the same model if it would be compiled to the same."""
        self.evidence = keeping.evidence(self.module)
        keeping.remember(self.module, self)
        if before is None or self.evidence is None or not self.evidence.equals(before.evidence):
            return
        if self.step.settings == before.step.settings:
            self.step = before.step


def load(source: Any, device: str | None, *, xla: bool = False) -> TensorFlowModel:
    """Return the model of any source; a strategy, where there is one, is stronger than ``device``.

    Raises:
        TypeError: ``source`` is no model.
        ValueError: A Keras model runs on another framework, or a file can only be opened by running code from it.
        FileNotFoundError: There is no such file.
    """
    target = resolve_device(device)
    if isinstance(source, str) and is_import_path(source):
        source = import_model(source)
    strategy = _strategy(source)
    if isinstance(source, str | PathLike):
        return _load_path(Path(source), target, strategy, xla=xla)
    before = keeping.last_loaded(source)
    loaded = _live(source, target, strategy, xla=xla)
    loaded.keep_step(before)
    return loaded


def _live(source: Any, device: str, strategy: tf.distribute.Strategy | None, *, xla: bool) -> TensorFlowModel:
    if is_keras(source):
        _check_keras(source)
        return TensorFlowModel(
            functools.partial(source, training=False), device, source, _keras_shapes(source), strategy, xla=xla
        )
    if not callable(source):
        message = f"expected a Keras model, a callable or a path as model, got {type(source).__name__}"
        raise TypeError(message)
    return TensorFlowModel(_inference(source), device, source, None, strategy, xla=xla)


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
    for variable in getattr(source, "variables", ()) if is_keras(source) or isinstance(source, tf.Module) else ():
        # Keras wraps TensorFlow's variable, whose own `value` is a method.
        strategy = getattr(variable, "distribute_strategy", None)
        strategy = strategy or getattr(getattr(variable, "value", None), "distribute_strategy", None)
        if strategy is not None:
            return strategy
    return None


def _load_path(path: Path, device: str, strategy: tf.distribute.Strategy | None, *, xla: bool) -> TensorFlowModel:
    if not path.exists():
        message = f"{path}: there is no such model file or folder"
        raise FileNotFoundError(message)
    if path.is_dir():
        loaded, function, shapes = saved_model(path)
        return TensorFlowModel(function, device, loaded, shapes, strategy, xla=xla)
    if path.name.endswith(".weights.h5"):
        message = f"{path}: holds weights, not a model; build the model, call load_weights and pass the model"
        raise ValueError(message)
    if path.suffix not in (".keras", ".h5", ".hdf5"):
        message = f"{path}: expected a .keras or .h5 file or a SavedModel folder, got the suffix {path.suffix!r}"
        raise ValueError(message)
    return _live(_load_keras(path), device, strategy, xla=xla)


def _check_format(path: Path) -> None:
    import h5py  # type: ignore[import-untyped]  # only where a file is opened; Keras requires it

    expected, fits = ("zip", zipfile.is_zipfile) if path.suffix == ".keras" else ("HDF5", h5py.is_hdf5)
    if not fits(path):
        message = f"{path}: is no Keras model, or is damaged: expected a {expected} file"
        raise ValueError(message)


def _load_keras(path: Path) -> Any:
    runs_on = getattr(tf.keras, "config", tf.keras.backend).backend()
    if runs_on != "tensorflow":
        message = (
            f"{path}: Keras runs on {runs_on!r}; set KERAS_BACKEND=tensorflow before Keras is imported, or load the "
            f"model yourself and pass it with backend={runs_on!r}"
        )
        raise ValueError(message)
    _check_format(path)
    try:
        return tf.keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        if "safe_mode" in str(error) or "unsafe" in str(error):
            message = (
                f"{path}: holds Python code (a Lambda layer), which is not run; if you trust it, load it yourself with "
                "keras.models.load_model(path, safe_mode=False) and pass the model"
            )
            raise ValueError(message) from error
        error.add_note(
            f"{path} cannot be opened; if it has layers of your own, import them (registered with "
            "keras.saving.register_keras_serializable), or load it with custom_objects=... and pass the model"
        )
        raise
