"""The digest of what was learned: the graph and the weights of a stored model, wherever they are."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import onnx

from probly.data_generator.toolkit.digest import NOT_SEEN, digest, digest_files
from probly_data_generator_onnx.external import (
    check_file,
    compiled_files,
    nodes_of,
    parts,
    sparse_tensors,
    tensor_array,
    tensors,
)
from probly_data_generator_onnx.files import Stored

BUILT_IN = ("", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "com.microsoft")
"""The domains of the operators that are ONNX Runtime's own; those of its hardware are below the last one."""


def digest_model(model: Stored | None) -> str:
    """Return the SHA-256 of a model's graph and weights; ``""`` if it cannot be read.

    Names of nodes and weights count; documentation, the exporter's version and the place of the weights do not. One
    large tensor after the other is read, so the memory for all of them is not needed. Operators that a library of
    custom ones brings compute with whatever that library holds, so they are named as not seen.
    """
    if model is None:
        return ""
    proto = model.read()
    found = digest(_digested(model, proto))
    unseen = _custom_operators(proto)
    return f"{found}, {NOT_SEEN}: {', '.join(unseen)}" if unseen else found


def _digested(model: Stored, proto: Any) -> Iterator[tuple[str, Any]]:
    for number, part in enumerate(parts(proto)):
        for tensor in tensors(part):
            yield f"{number} {tensor.name} {tensor.data_type}", tensor_array(tensor, model.folder, model.where)
        for sparse in sparse_tensors(part):
            yield f"{number} dense", np.array(sparse.dims)
        for location in compiled_files(part):
            file = digest_files(check_file(location, model.folder, model.where))
            yield f"{number} compiled {file}", np.empty(0)
        yield f"{number} {getattr(part, 'domain', '')} nodes", np.frombuffer(_structure(part), np.uint8)
    yield " ".join(_versions(proto)), np.empty(0)


def _versions(part: Any) -> list[str]:
    return sorted(f"{imported.domain} {imported.version}" for imported in part.opset_import)


def _structure(part: Any) -> bytes:
    """Return the bytes of a graph without its initializers, documentation and places of external weights."""
    nodes = onnx.GraphProto()
    nodes.node.extend(part.node)
    for node in nodes_of(nodes):
        node.doc_string = ""
        del node.metadata_props[:]
    for tensor in tensors(nodes):
        # The content has been read before; where it is does not matter.
        tensor.CopyFrom(onnx.TensorProto(name=tensor.name))
    if isinstance(part, onnx.GraphProto):
        nodes.input.extend(part.input)
        nodes.output.extend(part.output)
    else:  # a function, whose inputs have names only, and whose attributes may have values of their own
        defaults = [one.SerializeToString(deterministic=True) for one in part.attribute_proto]
        named = [part.name, part.overload, *map(list, (part.input, part.output, part.attribute)), defaults]
        nodes.name = " ".join(map(str, [*named, _versions(part)]))
    return bytes(nodes.SerializeToString(deterministic=True))


def _custom_operators(proto: Any) -> list[str]:
    """Return the operators that are neither ONNX Runtime's own nor functions of the model."""
    functions = {(function.domain, function.name) for function in proto.functions}
    used: Iterable[tuple[str, str]] = {(node.domain, node.op_type) for part in parts(proto) for node in nodes_of(part)}
    return sorted(
        f"the operator {domain}.{name}"
        for domain, name in used
        if (domain, name) not in functions and domain not in BUILT_IN and not domain.startswith("com.microsoft.")
    )
