"""Hidden layers: results of a graph's own nodes, made outputs of a copy of it in memory."""

import copy
import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import onnx

from probly_data_generator_onnx.arrays import BFLOAT16_TYPE
from probly_data_generator_onnx.models import start_session

if TYPE_CHECKING:
    from probly_data_generator_onnx.models import OnnxModel

FOLDER = "session.model_external_initializers_file_folder_path"
"""ONNX Runtime's name for where weights outside the bytes of a model are."""
MOST_NAMES = 20


def keep_layers(model: "OnnxModel", layers: Sequence[str]) -> "OnnxModel":
    """Return a model whose outputs come with results of nodes; its session is another one, of the same settings.

    Raises:
        ValueError: The graph has no such result, or cannot be read again.
    """
    if model.stored is None:
        message = "keep: the session does not show its graph: pass the path or the bytes of the model instead"
        raise ValueError(message)
    proto = model.stored.read()
    for layer in layers:
        _check(layer, proto.graph)
    own = {value.name for value in proto.graph.output}
    # Without a type, which ONNX Runtime infers.
    proto.graph.output.extend(onnx.ValueInfoProto(name=layer) for layer in layers if layer not in own)
    settings = model.session.get_session_options()  # a copy
    if model.stored.folder is not None:
        settings.add_session_config_entry(FOLDER, str(model.stored.folder))
    content, where = proto.SerializeToString(), model.stored.where
    kept = copy.copy(model)  # which knows the outputs that are the model's own
    kept.session, kept.layers = start_session(content, settings, model.on, where, proto), layers
    kept.bfloat16 |= any(value.type == BFLOAT16_TYPE for value in kept.session.get_outputs())
    return kept


def _check(layer: str, graph: Any) -> None:
    """Refuse a name that is no result of a node of the main graph; those in branches and loops leave it by others."""
    results = [name for node in graph.node for name in node.output if name]
    if layer in results:
        return
    nodes = {node.name: node.output[0] for node in graph.node if node.name}
    close = [nodes[layer]] if layer in nodes else difflib.get_close_matches(layer, results)
    asked = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    shown = ", ".join(map(repr, results[:MOST_NAMES]))
    more = f" and {len(results) - MOST_NAMES} more" if len(results) > MOST_NAMES else ""
    message = f"keep: no node of the graph has the output {layer!r}; {asked}The outputs of its nodes are {shown}{more}"
    raise ValueError(message)
