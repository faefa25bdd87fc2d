"""What a module keeps from batch to batch, such as a hidden state: each run begins with the same, and gives it back."""

import threading
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, Final

import torch

from probly.data_generator.toolkit.samples import Batch, Batches

_LARGEST: Final = 2**24
"""The numbers of a tensor of which a run makes no copy: weights of one's own kind, memory banks."""
_INTERNAL: Final = frozenset(vars(torch.nn.Module()))


class _Kept:
    """What one module holds beside its weights, before a run.

    Values are kept as they are, tensors that may be written to as copies, lists and dicts of tensors by their parts.
    """

    def __init__(self, part: torch.nn.Module) -> None:
        self.attributes = _attributes(part)
        self.buffers = _buffers(part)
        self.parts = {name: value.copy() for name, value in self.attributes.items() if isinstance(value, list | dict)}
        found = [*_tensors(list(self.attributes.values())), *_tensors(list(self.buffers.values())), *_own(part)]
        self.tensors = [(tensor, _version(tensor), _copy(tensor)) for tensor in found]

    def differs(self, part: torch.nn.Module) -> bool:
        """Return whether a tensor was written to, or is another one now."""
        now, buffers = _attributes(part), _buffers(part)
        other = {name for name in now.keys() | self.attributes if now.get(name) is not self.attributes.get(name)}
        return (
            any(_version(tensor) != version for tensor, version, _ in self.tensors)
            or any(_same_size_but_other(before, now.get(name)) for name, before in self.parts.items())
            or any(_holds_tensors([now.get(name), self.attributes.get(name)]) for name in other)
            or any(buffers.get(name) is not self.buffers.get(name) for name in buffers.keys() | self.buffers)
        )

    def give_back(self, part: torch.nn.Module) -> str | None:
        """Put everything back if a tensor is another one now; return what could not be, or None.

        Numbers and the like only go with it: one that counts calls may well be read after the run.
        """
        # What is written to by way of .data, as Bayesian layers do with their noise, leaves no trace but its content.
        written = [one for one in self.tensors if _version(one[0]) != one[1] or not _equal(one[0], one[2])]
        if not written and not self.differs(part):
            return None
        now = _attributes(part)
        others = {name for name in now.keys() | self.attributes if now.get(name) is not self.attributes.get(name)}
        for name in others:
            if name in self.attributes:
                _set(part, name, self.attributes[name])
            elif _holds_tensors(now[name]):
                del vars(part)[name]
        _set_buffers(part, self.buffers)
        for name, before in self.parts.items():
            if _same_size_but_other(before, self.attributes[name]):
                _refill(self.attributes[name], before)
        with torch.no_grad():
            for tensor, _, copied in written:
                if copied is not None:
                    tensor.copy_(copied)
        large = [tensor for tensor, _, copied in written if copied is None]
        if not large:
            return None
        return f"{type(part).__name__} wrote to a tensor of the shape {tuple(large[0].shape)}, too large for a copy"


def _attributes(part: torch.nn.Module) -> dict[str, Any]:
    if isinstance(part, torch.jit.ScriptModule):  # its attributes, buffers among them, are not in its __dict__
        names: Any = getattr(getattr(part, "_concrete_type", None), "get_attributes", dict)()
        return {name: getattr(part, name) for name in names if name not in _INTERNAL}
    return {name: value for name, value in vars(part).items() if name not in _INTERNAL}


def _set(part: torch.nn.Module, name: str, value: Any) -> None:
    if isinstance(part, torch.jit.ScriptModule):
        setattr(part, name, value)
    else:
        vars(part)[name] = value  # __setattr__ of a module sorts what it gets


def _buffers(part: torch.nn.Module) -> dict[str, torch.Tensor | None]:
    # named_buffers() leaves out those that are None.
    return {} if isinstance(part, torch.jit.ScriptModule) else dict(part._buffers)  # noqa: SLF001


def _set_buffers(part: torch.nn.Module, buffers: dict[str, torch.Tensor | None]) -> None:
    if not isinstance(part, torch.jit.ScriptModule):
        part._buffers.clear()  # noqa: SLF001
        part._buffers.update(buffers)  # noqa: SLF001


def _tensors(value: Any, depth: int = 3) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple | dict) and depth:
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _tensors(inner, depth - 1)


def _holds_tensors(value: Any) -> bool:
    return next(_tensors(value), None) is not None


def _own(part: torch.nn.Module) -> list[torch.Tensor]:
    """Return the tensors of a Keras model that are not trained; its layers are no modules, states no variables."""
    if not any(kind.__module__.partition(".")[0] == "keras" for kind in type(part).__mro__):
        return []
    layers: Any = getattr(part, "_flatten_layers", tuple)()
    states = [layer.states for layer in layers if getattr(layer, "stateful", False) is True]
    variables = [*getattr(part, "non_trainable_variables", ()), *(state for nest in states for state in nest or ())]
    values = (getattr(variable, "value", None) for variable in variables)
    return [value for value in values if isinstance(value, torch.Tensor)]


def _equal(tensor: torch.Tensor, copied: torch.Tensor | None) -> bool:
    return copied is None or torch.equal(tensor.detach(), copied)


def _version(tensor: torch.Tensor) -> int:
    """Return a number that grows when a tensor is written to; one made in inference mode has none."""
    return -1 if tensor.is_inference() else tensor._version  # noqa: SLF001  # torch has no public name for it


def _copy(tensor: torch.Tensor) -> torch.Tensor | None:
    return None if tensor.numel() > _LARGEST else tensor.detach().clone()


def _same_size_but_other(before: Any, now: Any) -> bool:
    """Return whether other tensors are in a list or dict than before; one that only grows collects, it is no state."""
    if type(now) is not type(before) or len(now) != len(before) or not _holds_tensors([before, now]):
        return False
    pairs = zip(before.items(), now.items(), strict=True) if isinstance(before, dict) else [(before, now)]
    return any(old is not new for one, two in pairs for old, new in zip(one, two, strict=True))


def _refill(container: Any, parts: Any) -> None:
    container.clear()
    if isinstance(container, dict):
        container.update(parts)
    else:
        container.extend(parts)


# Generators in several threads may share a model: the first run inside a module remembers, the last one gives back.
_KEPT: dict[torch.nn.Module, tuple[int, _Kept]] = {}
_LOCK = threading.Lock()


def begin(parts: Iterable[torch.nn.Module]) -> list[torch.nn.Module]:
    """Remember what the parts of a model keep, and return those that were looked at; torch's own layers keep nothing.

    Args:
        parts: ``list(module.modules())``.
    """
    looked_at = [part for part in parts if not _is_stateless(part)]
    with _LOCK:
        for part in looked_at:
            runs, kept = _KEPT.get(part) or (0, _Kept(part))
            _KEPT[part] = runs + 1, kept
    return looked_at


def end(parts: Iterable[torch.nn.Module]) -> None:
    """Give back what ``begin`` remembered, after the last run that is inside a part.

    Warns:
        UserWarning: Something could not be given back, such as a tensor that is too large for a copy.
    """
    lost = None
    with _LOCK:
        for part in parts:
            runs, kept = _KEPT.pop(part)
            if runs > 1:
                _KEPT[part] = runs - 1, kept
            else:
                try:
                    lost = kept.give_back(part) or lost
                except Exception as error:  # noqa: BLE001  # a run may end because the device does; its error tells more
                    lost = f"{type(error).__name__}: {error}"
    if lost is not None:
        warnings.warn(f"the state of the model could not be given back: {lost}", stacklevel=2)


def _is_stateless(part: torch.nn.Module) -> bool:
    return type(part).__module__.startswith("torch.nn.modules.")


def held(parts: list[torch.nn.Module], batches: Batches, start: int = 0) -> Batches:
    """Return the batches of a run, while which a model may keep what it likes.

    Args:
        parts: ``list(module.modules())``.
        batches: What the model will be called with; closing them ends the run.
        start: The first row that is needed. After rows that were left out, a state that changes is said to be wrong.
    """
    return Batches(_held(parts, batches, start), batches.length)


def _held(parts: list[torch.nn.Module], batches: Batches, start: int) -> Iterator[Batch]:
    looked_at = begin(parts)
    try:
        yield from (batches if not start else _watched(looked_at, batches))
    finally:
        try:
            batches.close()
        finally:
            end(looked_at)


def _watched(parts: list[torch.nn.Module], batches: Batches) -> Iterator[Batch]:
    """Say so if what a model keeps differs after two batches: one that it keeps for good is there after the first."""
    kept: list[_Kept] = []
    said = False
    for number, batch in enumerate(batches):
        if number == 1:
            kept = [_Kept(part) for part in parts]
        yield batch
        changed = [part for part, one in zip(parts, kept, strict=False) if one.differs(part)]
        if changed and not said:
            said = True
            message = (
                f"{type(changed[0]).__name__} keeps a state from batch to batch, and this run did not begin with the "
                "first row: the rows depend on batches that it has not seen; remove what was written and run again"
            )
            warnings.warn(message, stacklevel=2)
