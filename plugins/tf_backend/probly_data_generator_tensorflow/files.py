"""Opening files: code from them runs only on the user's word, ``.keras`` and ``.h5`` files of Keras 3 hold none.

A SavedModel is a program: its operations read and write files, some when it is opened. Which of its functions is the
model, and in which mode it runs, has to be found out.
"""

import functools
import inspect
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from probly.data_generator.toolkit.trust import untrusted
from probly_data_generator_tensorflow.unsafe import asks_for_more

Shapes = dict[str, tuple[int | None, ...]]
KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")

SAVED_MODEL = "a SavedModel is a program, which can read and write files when it is opened and when it runs"
UNSAFE = "Keras would run code or functions that it names, or open other files (Lambda, TFSMLayer, a vocabulary, links)"
LEGACY = "Keras 2 (tf_keras) runs Python code that its files hold or name"


def keras_model(path: Path, *, trust: bool = False) -> Any:
    """Return the model of a file of Keras.

    Args:
        path: The file.
        trust: Whether code from it may run.

    Raises:
        ValueError: It is no such file, is damaged, holds Python code, or Keras runs on another framework.
    """
    if path.name.endswith(".weights.h5"):
        message = f"{path}: holds weights, not a model; build the model, call load_weights and pass the model"
        raise ValueError(message)
    if path.suffix not in KERAS_SUFFIXES:
        message = f"{path}: expected a .keras or .h5 file or a SavedModel folder, got the suffix {path.suffix!r}"
        raise ValueError(message)
    runs_on = getattr(tf.keras, "config", tf.keras.backend).backend()
    if runs_on != "tensorflow":
        message = (
            f"{path}: Keras runs on {runs_on!r}; set KERAS_BACKEND=tensorflow before Keras is imported, or load the "
            f"model yourself and pass it with backend={runs_on!r}"
        )
        raise ValueError(message)
    _check_format(path)
    if not trust and tf.keras.Model.__module__.startswith("tf_keras."):
        raise untrusted(path, LEGACY)
    if not trust and asks_for_more(path):
        raise untrusted(path, UNSAFE)
    try:
        return tf.keras.models.load_model(path, compile=False, safe_mode=not trust)
    except Exception as error:
        if not trust and ("safe_mode" in str(error) or "unsafe" in str(error)):
            raise untrusted(path, UNSAFE) from error
        error.add_note(
            f"{path} cannot be opened; if it has layers of your own, import them (registered with "
            "keras.saving.register_keras_serializable), or load it with custom_objects=... and pass the model"
        )
        raise


def _check_format(path: Path) -> None:
    import h5py  # type: ignore[import-untyped]  # only where a file is opened; Keras requires it

    expected, fits = ("zip", zipfile.is_zipfile) if path.suffix == ".keras" else ("HDF5", h5py.is_hdf5)
    if not fits(path):
        message = f"{path}: is no Keras model, or is damaged: expected a {expected} file"
        raise ValueError(message)


def saved_model(path: Path, *, trust: bool = False) -> tuple[Any, Callable[[Any], Any], Shapes | None]:
    """Return what a SavedModel folder holds, its model as a function of the inputs, and the shapes of these.

    Args:
        path: The folder.
        trust: Whether what is in it may run.

    Raises:
        ValueError: It is none or is not trusted; or it has no model, or one that was saved in training mode only.
    """
    if not any(path.glob("saved_model.*")):
        message = f"{path}: expected a .keras or .h5 file or a SavedModel folder, got a folder without saved_model.pb"
        raise ValueError(message)
    if not trust:
        raise untrusted(path, SAVED_MODEL)
    loaded = tf.saved_model.load(str(path))
    signature = loaded.signatures.get("serve") or loaded.signatures.get("serving_default")
    shapes = None if signature is None else _signature_shapes(signature)
    # `serve` is what Keras exports: like the model itself, it takes its inputs as they are.
    function = getattr(loaded, "serve", None)
    if function is None and signature is not None:
        _check_signature(path, loaded, signature)
        function = functools.partial(_call_signature, signature)
    if function is None and callable(loaded):
        function = _in_inference_mode(path, loaded)
    if function is None:
        message = f"{path}: expected a SavedModel with a serving signature or a __call__, got {dir(loaded)[:5]}"
        raise ValueError(message)
    return loaded, function, shapes


def _in_inference_mode(path: Path, loaded: Any) -> Callable[[Any], Any]:
    """Switch off what the convention of an argument called ``training`` switches."""
    call = loaded.__call__  # the object's own signature is (*args, **kwargs)
    try:
        parameters = inspect.signature(call).parameters
    except (TypeError, ValueError):
        parameters = None
    if parameters is None or any(one.kind is one.VAR_POSITIONAL for one in parameters.values()):
        message = (
            f"{path}: cannot tell whether its __call__ has an argument `training`, which must be False; save it with "
            "signatures=, a tf.function of the inputs alone"
        )
        raise ValueError(message)
    if "training" not in parameters:
        return loaded  # type: ignore[no-any-return]  # TensorFlow has no types
    if len(_training_traces(call)) == len(call.concrete_functions):
        raise ValueError(_saved_in_training(path))
    return functools.partial(loaded, training=False)


def _check_signature(path: Path, loaded: Any, signature: Any) -> None:
    """Refuse the signature that ``save`` makes of a ``__call__`` whose ``training`` is True by default."""
    if callable(loaded) and hasattr(loaded.__call__, "concrete_functions"):
        called = {function.signature.name for function in signature.graph.as_graph_def().library.function}
        if called & _training_traces(loaded.__call__):
            raise ValueError(_saved_in_training(path))


def _training_traces(call: Any) -> set[str]:
    """Return the names of the traces that a restored function has for ``training=True``."""
    names = set()
    parameters = inspect.signature(call)
    for trace in call.concrete_functions:
        args, kwargs = trace.structured_input_signature
        if parameters.bind_partial(*args, **kwargs).arguments.get("training") is True:
            names.add(trace.name.decode())
    return names


def _saved_in_training(path: Path) -> str:
    return (
        f"{path}: the model was saved in training mode, with training=True only; call it with training=False before "
        "tf.saved_model.save, or save it with signatures=, a tf.function that does so"
    )


def _signature_shapes(signature: Any) -> Shapes | None:
    specs = signature.structured_input_signature[1]
    if any(spec.shape.rank in (None, 0) for spec in specs.values()):
        return None
    return {name: tuple(specs[name].shape)[1:] for name in sorted(specs)}  # a loaded signature has no order


def _call_signature(signature: Any, inputs: Any) -> Any:
    names = sorted(signature.structured_input_signature[1])
    if not isinstance(inputs, Mapping):
        if len(names) != 1:
            message = f"the SavedModel has the inputs {names}; expected a mapping with these names as input"
            raise TypeError(message)
        inputs = {names[0]: inputs}
    outputs = signature(**inputs)
    return next(iter(outputs.values())) if len(outputs) == 1 else outputs
