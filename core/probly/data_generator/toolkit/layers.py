"""Layers that tell their settings by ``get_config()`` and keep their weights in a list, whatever they run on."""

import enum
from collections.abc import Callable, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np

from probly.data_generator.toolkit.functions import is_installed

SAYS_NOTHING = frozenset({
    "name", "trainable", "built", "supports_masking", "stop_training", "training", "autocast", "compiled", "history",
    "loss", "train_function", "test_function", "predict_function", "build_config", "optimizer",
})  # fmt: skip
"""Settings and attributes that do not change what a layer computes in inference."""
OF_LIBRARIES = ("activation", "recurrent_activation", "function", "bin_boundaries")
"""What the settings of a library's own layers show incompletely: functions by name, boundaries that were learned not
at all."""
PLAIN = (str, bytes, int, float, complex, np.ndarray, np.generic, enum.Enum, FunctionType, BuiltinFunctionType)


def layer_parts(layer: Any, inner: list[Any], read: Callable[[Any], Any]) -> list[Any]:
    """Return the parts of a layer or model; see ``toolkit.contents.Look``.

    Names of layers count what the process has made before, so they are left out, and replaced where settings refer to
    them.

    Args:
        layer: It has ``weights``, and ``get_config`` if it can.
        inner: All layers that it is made of, at any depth, itself not included.
        read: Returns a weight as a NumPy array.
    """
    parts = [layer, *inner]
    named = [*parts, *(one for part in parts for one in getattr(part, "operations", ()))]  # some are no layers
    names = {getattr(one, "name", None): f"layer {number}" for number, one in reversed(list(enumerate(named)))}
    described = [[_kind(one), _settings(one, names), _attributes(one), _vocabulary(one)] for one in parts]
    return [*described, [read(weight) for weight in layer.weights]]


def _kind(layer: Any) -> str:
    return type(layer).__qualname__


def _settings(layer: Any, names: Mapping[Any, str]) -> Any:
    try:
        return _without_names(layer.get_config(), names)
    except Exception:  # noqa: BLE001  # of a class of the user's that cannot be saved; its attributes tell
        return "no settings"


def _without_names(value: Any, names: Mapping[Any, str]) -> Any:
    if isinstance(value, Mapping):
        if value.get("class_name") == "__lambda__":  # the function itself is an attribute; this holds where it stood
            return "a function"
        return {key: _without_names(part, names) for key, part in value.items() if key not in SAYS_NOTHING}
    if isinstance(value, list | tuple):
        return [_without_names(part, names) for part in value]
    return names.get(value, value) if isinstance(value, str) else value


def _attributes(layer: Any) -> dict[str, Any]:
    own = vars(layer)
    if is_installed(type(layer).__module__):
        return {name: own[name] for name in OF_LIBRARIES if name in own}
    return {
        name: value
        for name, value in own.items()
        if name not in SAYS_NOTHING and not name.startswith("_") and _is_plain(value)
    }


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_is_plain(key) and _is_plain(part) for key, part in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_plain, value))
    # Methods lead back to the layer itself.
    return isinstance(value, PLAIN) and not isinstance(value, MethodType)


def _vocabulary(layer: Any) -> Any:
    """Return the words that a layer has learned to look up."""
    if not hasattr(layer, "get_vocabulary"):
        return None
    try:
        return [str(word) for word in layer.get_vocabulary()]
    except Exception:  # noqa: BLE001  # it has none yet
        return None
