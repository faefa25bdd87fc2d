"""The names of the classes, where an exporter of scikit-learn models left them in the graph."""

from typing import Any

from onnx import TensorProto, numpy_helper

SAME_ORDER = {"Cast", "Identity", "Reshape"}
"""What exporters put between a classifier and the model's output."""
LABEL_TYPES = {TensorProto.STRING, TensorProto.INT64, TensorProto.INT32}


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
