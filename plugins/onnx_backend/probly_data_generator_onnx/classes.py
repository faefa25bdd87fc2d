"""The classes that exporters leave: their names in the graph or the metadata, and maps in place of columns."""

import ast
import json
from collections.abc import Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper

SAME_ORDER = {"Cast", "Identity", "Reshape"}
"""What exporters put between a classifier and the model's output."""
LABEL_TYPES = {TensorProto.STRING, TensorProto.INT64, TensorProto.INT32}
NAMES = ("names", "class_names", "classes", "labels", "id2label")
"""The keys of the metadata under which exporters leave the names; "names" is that of Ultralytics."""
LONGEST = 1 << 20
"""Longer texts in the metadata are not read: Python's parser takes a hundred times their memory."""


def class_labels(graph: Any) -> list[Any] | None:
    """Return the class of each column, or None where the graph does not say it, or says it in several ways.

    A ZipMap or a classifier of the domain ai.onnx.ml names them in an attribute; other exported classifiers look the
    label up in a list of classes by its position.

    Args:
        graph: A GraphProto.
    """
    producers = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    found: list[list[Any]] = []
    for output in graph.output:
        node = producers.get(output.name)
        while node is not None and node.op_type in SAME_ORDER:
            node = producers.get(node.input[0])
        labels = None if node is None else _labels(node, constants, output)
        if labels and labels not in found:
            found.append(labels)
    return found[0] if len(found) == 1 else None


def _labels(node: Any, constants: dict[str, Any], output: Any) -> list[Any] | None:
    for attribute in node.attribute:
        if attribute.name.startswith("classlabels_"):
            return [label.decode() for label in attribute.strings] or list(attribute.ints)
    is_label = output.type.tensor_type.elem_type in LABEL_TYPES
    if is_label and node.op_type == "ArrayFeatureExtractor" and node.input[0] in constants:
        return [_plain(label) for label in numpy_helper.to_array(constants[node.input[0]]).ravel().tolist()]
    return None


def _plain(label: Any) -> Any:
    return label.decode() if isinstance(label, bytes) else label


def metadata_names(metadata: Mapping[str, str]) -> list[str] | None:
    """Return the names of the columns that a model's metadata hold, or None where they hold none, or contradict.

    Args:
        metadata: What exporters wrote: a list of names, or a map from column to name that misses no column, as JSON or
            as Python writes it.

    Examples:
        >>> metadata_names({"names": "{1: 'dog', 0: 'cat'}", "stride": "32"})
        ['cat', 'dog']
        >>> metadata_names({"names": "{1: 'dog', 2: 'cat'}"}) is None
        True
    """
    found: list[list[str]] = []
    for key in NAMES:
        names = _in_order(_value(metadata.get(key, "")))
        if names and names not in found:
            found.append(names)
    return found[0] if len(found) == 1 else None


def _value(text: str) -> Any:
    if len(text) > LONGEST:
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # of a stranger's text
            continue
    return None


def _in_order(names: Any) -> list[str] | None:
    if isinstance(names, dict):
        places = {str(key): name for key, name in names.items()}
        names = [places.get(str(place)) for place in range(len(names))]
    named = isinstance(names, list) and len(names) > 1 and all(isinstance(name, str) for name in names)
    return names if named else None


def column_outputs(names: Sequence[str], labels: Sequence[Any] | None) -> list[str] | None:
    """Return the outputs that are one column each, in the order of the classes, or None where there are none.

    Exporters that are asked for one output per class name each after its class, behind a letter for its type.

    Args:
        names: The names of the outputs that hold numbers.
        labels: The class of each column, where known.

    Examples:
        >>> column_outputs(["sno", "syes", "output_label"], ["yes", "no"])
        ['syes', 'sno']
        >>> column_outputs(["probabilities"], ["yes", "no"]) is None
        True
    """
    for prefix in ("s", "i", ""):
        wanted = [f"{prefix}{label}" for label in labels or ()]
        if len(wanted) > 1 and set(wanted) <= set(names):
            return wanted
    return None


def map_columns(maps: Sequence[dict[Any, float]], labels: Sequence[Any] | None) -> Any:
    """Return maps from class to probability as an array with a column per class.

    Args:
        maps: One per row, all with the same classes.
        labels: The order of the columns; by default that of the maps, which ONNX Runtime sorts.

    Raises:
        ValueError: A row has other classes.

    Examples:
        >>> map_columns([{"a": 0.25, "b": 0.75}, {"a": 1.0, "b": 0.0}], ["b", "a"])
        array([[0.75, 0.25],
               [0.  , 1.  ]])
    """
    order = list(maps[0]) if labels is None else list(labels)
    pick = itemgetter(*order) if len(order) > 1 else lambda row: (row[order[0]],)
    try:
        # The lists of a million rows are one flat stream of numbers, and never a list of lists.
        flat = np.fromiter(chain.from_iterable(map(pick, maps)), np.float64, count=len(maps) * len(order))
    except KeyError as error:
        message = f"a row has no class {error}, expected {order}; set output_transform"
        raise ValueError(message) from error
    if any(len(row) != len(order) for row in maps):
        message = f"a row has other classes than {order}; set output_transform"
        raise ValueError(message)
    return flat.reshape(len(maps), len(order))
