"""The digest of what was learned: the graph and the weights of a stored model, wherever they are."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx

from probly.data_generator.toolkit.digest import digest
from probly_data_generator_onnx.external import parts, tensor_array, tensors
from probly_data_generator_onnx.files import Stored


def digest_model(model: Stored | None) -> str:
    """Return the SHA-256 of a model's graph and weights; ``""`` if it cannot be read.

    Names of nodes and weights count; documentation, the exporter's version and the place of the weights do not. One
    large tensor after the other is read, so the memory for all of them is not needed.
    """
    return "" if model is None else digest(_digested(model))


def _digested(model: Stored) -> Iterator[tuple[str, Any]]:
    proto = model.read()
    for number, part in enumerate(parts(proto)):
        for tensor in tensors(part):
            yield f"{number} {tensor.name} {tensor.data_type}", tensor_array(tensor, model.folder, model.where)
        yield f"{number} {getattr(part, 'domain', '')} nodes", np.frombuffer(_structure(part), np.uint8)
    versions = sorted(f"{imported.domain} {imported.version}" for imported in proto.opset_import)
    yield " ".join(versions), np.empty(0)


def _structure(part: Any) -> bytes:
    """Return the bytes of a graph without its initializers, documentation and places of external weights."""
    nodes = onnx.GraphProto()
    nodes.node.extend(part.node)
    for node in nodes.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for tensor in tensors(nodes):
        # The content has been read before; where it is does not matter.
        tensor.CopyFrom(onnx.TensorProto(name=tensor.name))
    if isinstance(part, onnx.GraphProto):
        nodes.input.extend(part.input)
        nodes.output.extend(part.output)
    else:  # a function, whose inputs have names only
        nodes.name = f"{part.name} {list(part.input)} {list(part.output)} {list(part.attribute)}"
    return bytes(nodes.SerializeToString(deterministic=True))
