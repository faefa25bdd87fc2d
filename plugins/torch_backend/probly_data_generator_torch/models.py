"""From any source to a model that runs: live objects, files, builders."""

import contextlib
import copy
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from probly.data_generator.toolkit.importing import import_model, is_import_path
from probly_data_generator_torch.exported import runnable
from probly_data_generator_torch.forward import TorchModel
from probly_data_generator_torch.modes import module_behind


def byte_arrays(module: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the name, dtype and shape of each parameter and buffer, and its bytes in host memory."""
    for name, tensor in module.state_dict().items():
        if isinstance(tensor, torch.Tensor):
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            yield f"{name} {tensor.dtype} {tuple(tensor.shape)}", flat.view(torch.uint8).numpy()


def load(source: Any, device: torch.device) -> TorchModel:
    """Return the model of any source on a device; a live Module elsewhere is copied, never moved.

    A bound method or a partial of a Module is put in evaluation mode like the Module itself. What a lambda, a closure
    or an object of your own calls cannot be seen: call ``model.eval()`` first.

    Raises:
        TypeError: ``source`` is no model.
        ValueError: A file holds something that cannot be run, or only with running code from it; or an exported
            program is in training mode.
        FileNotFoundError: There is no such file.
    """
    if isinstance(source, str) and is_import_path(source):
        source = import_model(source)
    if isinstance(source, str | Path):
        return _load_file(Path(source), device)
    if isinstance(source, tuple) and len(source) == 2:
        return _load_weights(*source, device)
    if isinstance(source, torch.export.ExportedProgram):
        return _exported(source, device)
    if isinstance(source, torch.nn.Module):
        module = _on_device(source, device)
        return TorchModel(module, device, module)
    if callable(source):
        return TorchModel(source, device, module_behind(source))
    message = f"expected a torch.nn.Module, a callable, a path or (builder, weight file) as model, got {type(source)}"
    raise TypeError(message)


def _on_device(module: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    places = {tensor.device for tensor in [*module.parameters(), *module.buffers()]}
    if places <= {device}:
        return module
    try:
        return copy.deepcopy(module).to(device)
    except Exception as error:
        error.add_note(f"the model cannot be copied to {device}; move it there yourself: model.to({str(device)!r})")
        raise


def _exported(program: torch.export.ExportedProgram, device: torch.device) -> TorchModel:
    module, sizes = runnable(program, device)
    return TorchModel(module, device, module, sizes)


def _load_file(path: Path, device: torch.device) -> TorchModel:
    if not path.exists():
        message = f"{path}: there is no such model file"
        raise FileNotFoundError(message)
    if path.suffix == ".pt2":
        with _reading(path):
            program = torch.export.load(path)
        return _exported(program, device)
    if _is_torchscript(path):
        with _reading(path):
            module = torch.jit.load(path, map_location=device)  # type: ignore[no-untyped-call]  # it has no types
        return TorchModel(module, device, module)
    content = _load_tensors(path, device)
    if isinstance(content, torch.nn.Module):
        return load(content, device)
    message = f"{path}: holds weights, not a model; pass model=(builder, {str(path)!r}) with a function that builds it"
    raise ValueError(message)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Name the file in what the many readers raise when it is none of theirs."""
    try:
        yield
    except (pickle.UnpicklingError, OSError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        message = f"{path}: is no file that torch can open, or is damaged: {type(error).__name__}: {error}"
        raise ValueError(message) from error


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def _load_tensors(path: Path, device: torch.device) -> Any:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        with _reading(path):
            return load_file(path, device=str(device))
    try:
        with _reading(path):
            return torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        message = (
            f"{path}: holds pickled code, which is not run; if you trust it, load it yourself with "
            "torch.load(path, weights_only=False) and pass the model"
        )
        raise ValueError(message) from error


def _load_weights(builder: Any, path: Any, device: torch.device) -> TorchModel:
    if not Path(path).exists():
        message = f"{path}: there is no such weight file"
        raise FileNotFoundError(message)
    built = import_model(builder) if isinstance(builder, str) else builder
    # A live model keeps its own weights; only a copy gets those of the file.
    module = copy.deepcopy(built) if isinstance(built, torch.nn.Module) else built()
    weights = _load_tensors(Path(path), device)
    if isinstance(weights, Mapping) and isinstance(weights.get("state_dict"), Mapping):  # checkpoints of trainers
        weights = weights["state_dict"]
    module.load_state_dict(weights)
    module.to(device)
    return TorchModel(module, device, module)
