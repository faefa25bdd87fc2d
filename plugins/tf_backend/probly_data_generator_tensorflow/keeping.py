"""Compiled steps that outlive a run, where it is certain that tracing the model again would give the same graph.

A graph reads its variables when it runs, so new weights need no new graph. What a plain callable closes over may have
changed, and only tracing it again would tell: its step is made anew for each run.
"""

import json
from collections.abc import Iterator, Mapping
from types import FunctionType, MethodType
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import tensorflow as tf

# Of each live model the one that was loaded last: a generator holds it until it has loaded the model again.
_LOADED: WeakValueDictionary[int, Any] = WeakValueDictionary()


def remember(source: Any, loaded: Any) -> None:
    """Keep in mind what a live model was loaded as; ``loaded`` keeps ``source``, and with it its identity, alive."""
    _LOADED[id(source)] = loaded


def last_loaded(source: Any) -> Any:
    """Return what a live model was loaded as, or None where that has been let go."""
    return _LOADED.get(id(source))


class Evidence(NamedTuple):
    """What decides the graph of a model.

    Attributes:
        text: Its configuration.
        variables: What the graph reads when it runs.
    """

    text: str
    variables: tuple[Any, ...]

    def equals(self, other: "Evidence | None") -> bool:
        """Return whether another model has the same graph."""
        if other is None or self.text != other.text or len(self.variables) != len(other.variables):
            return False
        return all(mine is theirs for mine, theirs in zip(self.variables, other.variables, strict=True))


def evidence(source: Any) -> Evidence | None:
    """Return what decides the graph of a live model, or None where more than that may."""
    if isinstance(source, tf.types.experimental.PolymorphicFunction) or _calls_function(source):
        return Evidence("traced by TensorFlow", ())  # which does so once, whatever it closes over
    if type(source).__module__.startswith("keras.src.models.") and not _has_foreign_code(source):
        text = _built_in(source)
        return None if text is None else Evidence(text, tuple(source.variables))
    return None


def _calls_function(source: Any) -> bool:
    call = getattr(type(source), "__call__", None)  # noqa: B004  # not whether it can be called, but what is
    return isinstance(source, tf.Module) and isinstance(call, tf.types.experimental.PolymorphicFunction)


def _has_foreign_code(model: Any) -> bool:
    """Return whether a layer has code that is not Keras's, or state that neither configuration nor variables tell."""
    layers = model._flatten_layers()  # noqa: SLF001  # layers inside layers have no public list
    return any(map(_is_foreign, layers))


def _is_foreign(layer: Any) -> bool:
    # What ``adapt`` learns (a mean, a vocabulary) becomes constants and tables of the graph.
    if hasattr(layer, "adapt") or not _is_kerass(type(layer).call):
        return True
    return any(
        name == "call" or (isinstance(value, FunctionType | MethodType) and not _is_kerass(value))
        for name, value in vars(layer).items()
    )


def _is_kerass(function: Any) -> bool:
    return (getattr(function, "__module__", None) or "").startswith("keras.")


def _built_in(model: Any) -> str | None:
    """Return the configuration of a Keras model as text if it has nothing but Keras's own layers and functions."""
    try:
        config = model.get_config()
        text = json.dumps(config, sort_keys=True)
    except Exception:  # noqa: BLE001  # layers need not be serialisable
        return None
    return text if all(map(_from_keras, _objects(config))) else None


def _objects(config: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(config, Mapping):
        if "class_name" in config:
            yield config
        config = config.values()
    elif not isinstance(config, list | tuple):
        return
    for part in config:
        yield from _objects(part)


def _from_keras(described: Mapping[str, Any]) -> bool:
    name, module = described["class_name"], described.get("module") or ""
    own = module.partition(".")[0] == "keras" and described.get("registered_name") is None
    return (own and name != "Lambda") or name in ("__tuple__", "__keras_tensor__")
