"""From any source to a model that runs: live objects here, files in ``files``."""

import copy
import os
from pathlib import Path
from typing import Any

import torch

from probly.data_generator.toolkit.importing import import_model, is_import_path
from probly_data_generator_torch.devices import resolve_device
from probly_data_generator_torch.exported import copied, places, runnable
from probly_data_generator_torch.files import open_model, open_weights
from probly_data_generator_torch.forward import TorchModel
from probly_data_generator_torch.modes import module_behind


def load(source: Any, device: str | None, *, trust: bool = False) -> TorchModel:
    """Return the model of any source; a live Module is copied to another device, never moved.

    A bound method or a partial of a Module is put in evaluation mode like the Module itself. What a lambda, a closure
    or an object of your own calls cannot be seen: call ``model.eval()`` first, and name its device.

    Args:
        source: A live model, a path, ``"module:attribute"``, or (builder, weight file).
        device: A device name. None: a live model stays where its weights are, anything else goes to the best device.
        trust: Whether code from a file may run.

    Raises:
        TypeError: ``source`` is no model.
        ValueError: The device is not available; a file holds something that cannot be run, or only with running code
            from it; or an exported program is in training mode.
        FileNotFoundError: There is no such file.
    """
    if isinstance(source, str) and is_import_path(source):
        return load(import_model(source), str(resolve_device(device)), trust=trust)
    if isinstance(source, str | os.PathLike):
        return open_model(Path(source), resolve_device(device), trust=trust)
    if isinstance(source, tuple) and len(source) == 2:
        return open_weights(*source, resolve_device(device), trust=trust)
    if isinstance(source, torch.export.ExportedProgram):
        return _of_program(source, device)
    if isinstance(source, torch.nn.Module):
        return _of_module(source, device)
    if callable(source):
        behind = module_behind(source)
        return TorchModel(source, _place([] if behind is None else _places(behind), device), behind)
    message = f"expected a torch.nn.Module, a callable, a path or (builder, weight file) as model, got {type(source)}"
    raise TypeError(message)


def _of_module(module: torch.nn.Module, device: str | None) -> TorchModel:
    place = _place(_places(module), device)
    # Without a name, one that its library has spread over several devices stays spread.
    if device is None or set(_places(module)) <= {place}:
        return TorchModel(module, place, module)
    moved = _moved_copy(module, place)
    return TorchModel(moved, place, moved, live_state=module.state_dict)


def _of_program(program: torch.export.ExportedProgram, device: str | None) -> TorchModel:
    place = _place(places(program), device)
    if set(places(program)) <= {place}:
        module, sizes = runnable(program, place)
        return TorchModel(module, place, module, sizes)
    module, sizes = runnable(copied(program), place)
    return TorchModel(module, place, module, sizes, live_state=lambda: program.state_dict)


def _places(module: torch.nn.Module) -> list[torch.device]:
    return [tensor.device for tensor in [*module.parameters(), *module.buffers()]]


def _place(found: list[torch.device], device: str | None) -> torch.device:
    """Return the device that was asked for, else the one where the first weights are, else the best."""
    return found[0] if found and device is None else resolve_device(device)


def _moved_copy(module: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    try:
        return copy.deepcopy(module).to(device)
    except Exception as error:
        error.add_note(f"the model cannot be copied to {device}; move it there yourself: model.to({str(device)!r})")
        raise
