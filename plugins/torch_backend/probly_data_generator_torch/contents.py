"""What a Module, a TorchScript module or a tensor is made of, as far as it tells one model from another."""

import enum
import functools
import re
from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch

from probly.data_generator.toolkit.contents import SKIP
from probly.data_generator.toolkit.layers import layer_parts

BOOKKEEPING = frozenset(vars(torch.nn.Module()))
"""What torch keeps in every Module: its parts are looked at one by one, its mode and most of its hooks not at all."""
GRAPH_BOOKKEEPING = frozenset({
    *vars(torch.fx.GraphModule({}, torch.fx.Graph())), "meta", "shape_env", "range_constraints", "validate_inputs",
    "_in_spec", "_out_spec", "train", "eval",
})  # fmt: skip
"""What torch keeps of a traced graph beside its code."""
SAYS_NOTHING = frozenset({"name_or_path", "_name_or_path", "transformers_version", "warnings_issued"})
"""Attributes that say where a model came from, or what its user was told."""
PLAIN = (
    str, bytes, int, float, complex, type(None), type, enum.Enum, np.ndarray, np.generic, torch.Tensor, torch.dtype,
    torch.nn.Module, FunctionType, BuiltinFunctionType, MethodType,
)  # fmt: skip
ELSEWHERE = re.compile(r"\.___torch_mangle_\d+|, device=\S+?(?=[,)])|(CPU|CUDA)(?=\w*Type\{)|\s#.*$", re.MULTILINE)
"""What is not the model in the text of a graph: numbers that count what the process has compiled before, devices, and
places in source files."""


def parts_of(value: Any) -> Any:
    """Return the parts of an object of torch; see ``toolkit.contents.Look``.

    Examples:
        >>> parts_of(torch.zeros(2))
        ['torch.float32', (2,), array([0, 0, 0, 0, 0, 0, 0, 0], dtype=uint8)]
        >>> parts_of("text") is None
        True
    """
    if isinstance(value, torch.Tensor):
        return _tensor_parts(value)
    if isinstance(value, torch.jit.ScriptModule | torch.jit.ScriptFunction):
        return _script_parts(value)
    if isinstance(value, torch.nn.Module):
        return _module_parts(value)
    if isinstance(value, torch.ScriptObject):
        return _handle_parts(value)
    return _small_parts(value)


def _small_parts(value: Any) -> Any:
    if isinstance(value, torch.device | torch.Generator):  # where a model is does not matter
        return SKIP
    if isinstance(value, torch._ops.OpOverload | torch._ops.OpOverloadPacket):  # noqa: SLF001  # no public names
        return [str(value)]
    compiled = getattr(value, "_torchdynamo_orig_callable", None) if isinstance(value, FunctionType) else None
    return None if compiled is None else [compiled]


def _tensor_parts(tensor: torch.Tensor) -> list[Any]:
    tensor = tensor.detach()
    if tensor.is_quantized:
        return [str(tensor.dtype), *_quantised_parts(tensor)]
    if hasattr(tensor, "__tensor_flatten__"):  # one that is made of several, such as a quantised weight of torchao
        names, context = tensor.__tensor_flatten__()
        return [context, *(getattr(tensor, name) for name in names)]
    if tensor.layout is torch.sparse_coo:
        found = tensor.coalesce()
        return [tuple(tensor.shape), found.indices(), found.values()]
    if tensor.layout is not torch.strided:
        return ["sparse", tensor.to_sparse_coo()]  # type: ignore[no-untyped-call]  # it has no types
    if tensor.is_nested:
        return ["nested", *tensor.unbind()]
    # NumPy has not all of torch's dtypes, but it has their bytes.
    content = tensor.resolve_conj().resolve_neg().cpu().contiguous().reshape(-1).view(torch.uint8)
    return [str(tensor.dtype), tuple(tensor.shape), content.numpy()]


def _quantised_parts(tensor: torch.Tensor) -> list[Any]:
    scheme = tensor.qscheme()
    if scheme in (torch.per_tensor_affine, torch.per_tensor_symmetric):
        return [tensor.int_repr(), tensor.q_scale(), tensor.q_zero_point()]
    scales = tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points()
    return [tensor.int_repr(), tensor.q_per_channel_axis(), *scales]


def _handle_parts(handle: Any) -> Any:
    """Return the state of an object of C++, such as packed weights; None where it does not tell."""
    try:
        return [handle.__getstate__()]
    except Exception:  # noqa: BLE001  # RuntimeError, AttributeError, or what its library raises
        return None


def _module_parts(module: torch.nn.Module) -> list[Any]:
    compiled = getattr(module, "_orig_mod", None)
    if isinstance(compiled, torch.nn.Module):  # of torch.compile
        return [compiled]
    if any(kind.__module__.partition(".")[0] == "keras" for kind in type(module).__mro__):
        inner = module._flatten_layers(include_self=False)  # type: ignore[operator]  # noqa: SLF001
        return layer_parts(module, list(inner), lambda weight: weight.value.detach())
    own, known = vars(module), BOOKKEEPING
    parts: list[Any] = []
    if isinstance(module, torch.fx.GraphModule):
        known = known | GRAPH_BOOKKEEPING
        parts.append(re.sub(r"device\(type='\w+'(, index=\d+)?\)", "device", str(module.code)))
    if _keeps_more(module):
        parts.append(module.state_dict())
    hooks = [*own["_forward_pre_hooks"].values(), *own["_forward_hooks"].values()]
    attributes = {
        name: value
        for name, value in own.items()
        if name not in known and name not in SAYS_NOTHING and (_is_plain(value) or not name.startswith("_"))
    }
    # The order of the parts of a Sequential is that of their computing.
    return [*parts, own["_parameters"], own["_buffers"], list(own["_modules"].items()), hooks, attributes]


def _keeps_more(module: torch.nn.Module) -> bool:
    """Return whether a Module saves more than its parameters and buffers, as quantised ones do."""
    kind = type(module)
    saves = kind._save_to_state_dict is not torch.nn.Module._save_to_state_dict  # noqa: SLF001  # what they override
    return saves or kind.get_extra_state is not torch.nn.Module.get_extra_state


def _is_plain(value: Any) -> bool:
    """Return whether a value is one that a layer computes with; under a private name, others serve its framework."""
    if isinstance(value, Mapping):
        return all(_is_plain(key) and _is_plain(part) for key, part in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_plain, value))
    return isinstance(value, PLAIN)


def _script_parts(module: Any) -> list[Any]:
    """Return the graph of TorchScript with all calls in place, and what it reads: constants and attributes, in order.

    Its file would tell more, but holds names that count what the process has compiled before.
    """
    graph = module.inlined_graph
    text = ELSEWHERE.sub("", str(graph))
    numbers: dict[str, str] = {}
    numbered = re.sub(r"%[\w.]+", lambda match: numbers.setdefault(match[0], f"%{len(numbers)}"), text)
    read = list(_read(module, graph, {}))
    # A call of an interface stays a call: what the module behind it reads is in no graph of ours.
    return [numbered, read, module.state_dict() if "prim::CallMethod" in text else None]


def _read(module: Any, block: Any, places: dict[str, list[str]]) -> Iterator[Any]:
    """Yield the constants of a graph and the attributes of its module that it reads, those of inner blocks included."""
    for node in block.nodes():
        if node.kind() == "prim::Constant" and node.hasAttribute("value"):
            yield from _constant(node)
        elif node.kind() == "prim::GetAttr":
            path = [*places.get(node.inputsAt(0).debugName(), ()), node.s("name")]
            places[node.output().debugName()] = path
            value = functools.reduce(getattr, path, module)
            if not isinstance(value, torch.jit.ScriptModule) and path[-1] != "training":
                # A copy has plain tensors in place of parameters.
                yield [".".join(path), value.detach() if isinstance(value, torch.Tensor) else value]
        for inner in node.blocks():
            yield from _read(module, inner, places)


def _constant(node: Any) -> Iterator[Any]:
    """Yield what the text of a graph does not show of a constant."""
    kind = node.kindOf("value")
    if kind == "t":
        yield node.t("value")
    elif kind == "ts":
        yield list(node.ts("value"))
    elif kind == "ival":
        yield node.ival("value")
