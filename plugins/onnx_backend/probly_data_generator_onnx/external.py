"""The tensors of a model, wherever they hide, and the further files that it may name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

EMBED = "onnx.save_model(onnx.load(path), other_path) puts all weights into one file"


def tensors(graph: Any) -> Iterator[Any]:
    """Yield every TensorProto of a GraphProto or FunctionProto, also of attributes and subgraphs."""
    yield from getattr(graph, "initializer", ())
    for attribute in _attributes(graph):
        yield from ([attribute.t] if attribute.HasField("t") else [])
        yield from attribute.tensors
        for subgraph in subgraphs(attribute):
            yield from tensors(subgraph)
    for sparse in _own_sparse(graph):
        yield from (sparse.values, sparse.indices)


def sparse_tensors(graph: Any) -> Iterator[Any]:
    """Yield every SparseTensorProto of a GraphProto or FunctionProto, also of attributes and subgraphs."""
    yield from _own_sparse(graph)
    for attribute in _attributes(graph):
        for subgraph in subgraphs(attribute):
            yield from sparse_tensors(subgraph)


def _own_sparse(graph: Any) -> Iterator[Any]:
    yield from getattr(graph, "sparse_initializer", ())
    for attribute in _attributes(graph):
        yield from ([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else [])
        yield from attribute.sparse_tensors


def _attributes(graph: Any) -> Iterator[Any]:
    """Yield the attributes of a graph's own nodes; of a function also those that it has when none are given."""
    for node in graph.node:
        yield from node.attribute
    yield from getattr(graph, "attribute_proto", ())


def nodes_of(graph: Any) -> Iterator[Any]:
    """Yield every node of a GraphProto or FunctionProto, also of subgraphs."""
    yield from graph.node
    for attribute in _attributes(graph):
        for subgraph in subgraphs(attribute):
            yield from nodes_of(subgraph)


def subgraphs(attribute: Any) -> Iterator[Any]:
    """Yield the GraphProtos of an attribute: the branches of an If, the body of a Loop."""
    yield from ([attribute.g] if attribute.HasField("g") else [])
    yield from attribute.graphs


def parts(proto: Any) -> Iterator[Any]:
    """Yield every graph and function of a model that may hold nodes, subgraphs aside."""
    yield proto.graph
    yield from proto.functions
    for training in proto.training_info:
        yield from (training.initialization, training.algorithm)


def external(tensor: Any) -> dict[str, str]:
    """Return where the bytes of a tensor are (location, offset, length), or nothing if they are in the model."""
    if tensor.data_location != onnx.TensorProto.EXTERNAL and not tensor.external_data:
        return {}
    return {entry.key: entry.value for entry in tensor.external_data} or {"location": ""}


def named_files(proto: Any) -> Iterator[str]:
    """Yield the name of every file that a model wants to be read with it."""
    for part in parts(proto):
        for tensor in tensors(part):
            found = external(tensor)
            if found:
                yield found.get("location", "")
        yield from compiled_files(part)


def compiled_files(graph: Any) -> Iterator[str]:
    """Yield the files of nodes that an execution provider has compiled before."""
    for node in nodes_of(graph):
        attributes = {attribute.name: attribute for attribute in node.attribute}
        embedded = "embed_mode" not in attributes or attributes["embed_mode"].i == 1
        if node.op_type == "EPContext" and not embedded and "ep_cache_context" in attributes:
            yield attributes["ep_cache_context"].s.decode("utf-8", "replace")


def check_file(location: str, folder: Path | None, where: str) -> Path:
    """Return the path of a file that a model names.

    Args:
        location: The name.
        folder: The model's own folder, resolved; None if the model is not a file.
        where: The model's name in messages.

    Raises:
        ValueError: It is not inside the model's own folder, or not there.
    """
    if folder is None:
        message = (
            f"{where}: they name another file, {location!r}, and bytes have no folder; pass the model's path, or "
            f"embed the weights: {EMBED}"
        )
        raise ValueError(message)
    relative = Path(location)
    # Windows reads both kinds of slash; elsewhere a backslash would only be an odd file name.
    if not location or relative.is_absolute() or ".." in [*relative.parts, *location.replace("\\", "/").split("/")]:
        raise ValueError(_outside(location, where, "is no path inside that folder"))
    path = _resolved(folder / relative)
    if path is not None and not path.is_relative_to(folder):
        raise ValueError(_outside(location, where, "is a link that leads out of that folder"))
    if path is None or not path.is_file():
        message = f"{where}: its weights are in {location!r}, but there is no such file in {folder}"
        raise ValueError(message)
    return path


def _resolved(path: Path) -> Path | None:
    """Return a path without links, or None where there cannot be a file."""
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # absent or too long a name, a loop of links, a zero byte
        return None


def _outside(location: str, where: str, reason: str) -> str:
    return (
        f"{where}: a model may only name files inside its own folder, but {location!r} {reason}; if you trust it, "
        f"copy all files into one folder, or embed the weights: {EMBED}"
    )


def tensor_array(tensor: Any, folder: Path | None, where: str) -> Any:
    """Return a TensorProto as an array, read from another file of the model if it is there.

    Text comes back as bytes, since an array of objects has none.

    Args:
        tensor: The TensorProto.
        folder: See ``check_file``.
        where: Likewise.
    """
    if tensor.data_type == onnx.TensorProto.STRING:
        return np.frombuffer(tensor.SerializeToString(deterministic=True), np.uint8)
    found = external(tensor)
    if not found:
        return numpy_helper.to_array(tensor)
    with check_file(found.get("location", ""), folder, where).open("rb") as file:
        file.seek(int(found.get("offset", 0)))
        content = file.read(int(found["length"]) if "length" in found else -1)
    return numpy_helper.to_array(onnx.TensorProto(dims=tensor.dims, data_type=tensor.data_type, raw_data=content))
