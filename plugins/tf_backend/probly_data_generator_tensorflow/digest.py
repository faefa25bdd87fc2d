"""What tells one model from another: its variables, the settings of its layers, its functions and its tables."""

import re
from collections.abc import Mapping
from operator import itemgetter
from typing import Any

import numpy as np
import tensorflow as tf

from probly.data_generator.toolkit.contents import SKIP
from probly.data_generator.toolkit.digest import digest_files, digest_state
from probly.data_generator.toolkit.layers import layer_parts
from probly_data_generator_tensorflow.models import TensorFlowModel, is_keras, variables_of

COUNTED = re.compile(r"_\d+$")
"""The number in the name of a function in a graph."""


def digest_of(model: TensorFlowModel) -> str:
    """Return the digest of everything that a live model, or one of a Keras file, computes with.

    A SavedModel tells neither all of its variables nor its constants and tables; its files are read.
    """
    return digest_files(model.folder) if model.folder is not None else digest_state(model.module, parts_of)


def parts_of(value: Any) -> Any:
    """Return the parts of an object of TensorFlow or Keras; see ``toolkit.contents.Look``.

    Examples:
        >>> parts_of(tf.constant([1.0]))
        ['float32', array([1.], dtype=float32)]
        >>> parts_of("text") is None
        True
    """
    if is_keras(value):
        # Keras's variables are also the states of its random generators, which differ each time that it is built.
        inner = value._flatten_layers(include_self=False)  # noqa: SLF001  # Keras has no public name for it
        return layer_parts(value, list(inner), _numbers)
    if isinstance(value, tf.Tensor | tf.Variable):
        return [value.dtype.name, _numbers(value)]
    if isinstance(value, tf.random.Generator):
        return SKIP
    if isinstance(value, tf.lookup.StaticHashTable | tf.lookup.experimental.MutableHashTable):
        keys, values = (part.numpy() for part in value.export())
        return [dict(zip(keys.tolist(), values.tolist(), strict=True))]
    if isinstance(value, tf.dtypes.DType | tf.TensorShape):
        return [str(value)]
    return _function_parts(value)


def _function_parts(value: Any) -> Any:
    if isinstance(value, tf.types.experimental.ConcreteFunction):
        return _graph_parts(value)
    function = getattr(value, "python_function", None)
    if callable(function):  # a tf.function
        return [function]
    if isinstance(value, tf.Module):
        # Names that begin so are what TensorFlow keeps of each object.
        own = {name: part for name, part in vars(value).items() if not name.startswith(("_self_", "_tf_", "_name"))}
        return [own, [_numbers(variable) for variable in variables_of(value)]]
    return None


def _graph_parts(function: Any) -> list[Any]:
    """Return the operations of a graph with their constants, and the values of what it captured.

    Functions in it are called by a name and a number, which counts those that the process has made before.
    """
    definition = function.graph.as_graph_def()
    names = {one.signature.name: COUNTED.sub("", one.signature.name) for one in definition.library.function}
    graphs = [["", *definition.node]]
    graphs += [[names[one.signature.name], *one.node_def] for one in definition.library.function]
    operations = [[name, [_operation(node, names) for node in nodes]] for name, *nodes in graphs]
    captured = [tensor for tensor in function.captured_inputs if tensor.dtype not in (tf.resource, tf.variant)]
    return [sorted(operations, key=itemgetter(0)), captured, list(function.variables)]


def _operation(node: Any, names: Mapping[str, str]) -> list[Any]:
    attributes = {
        name: names[value.func.name] if value.func.name in names else value.SerializeToString(deterministic=True)
        for name, value in node.attr.items()
        if not name.startswith("_")  # what TensorFlow notes for itself
    }
    return [node.name, names.get(node.op, node.op), list(node.input), attributes]


def _numbers(weight: Any) -> np.ndarray[Any, Any]:
    return np.asarray(weight.numpy())
