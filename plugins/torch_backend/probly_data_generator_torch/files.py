"""Opening files of models and of weights, without running code from them where torch can tell."""

import contextlib
import copy
import os
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from probly.data_generator.toolkit.importing import import_model
from probly_data_generator_torch.exported import runnable
from probly_data_generator_torch.forward import TorchModel


def open_model(path: Path, device: torch.device) -> TorchModel:
    """Return the model of an exported program (``.pt2``), of a TorchScript file, or of a Module saved as a whole.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds something that cannot be run, or only with running code from it; or an exported program in
            training mode.
    """
    if not path.exists():
        message = f"{path}: there is no such model file"
        raise FileNotFoundError(message)
    if path.suffix.lower() == ".pt2":
        with _reading(path):
            program = torch.export.load(path)
        module, sizes = runnable(program, device)
        return TorchModel(module, device, module, sizes)
    if _is_torchscript(path):
        with _reading(path):
            module = torch.jit.load(path, map_location=device)  # type: ignore[no-untyped-call]  # it has no types
        return TorchModel(module, device, module)
    content = _load_tensors(path, device)
    if isinstance(content, torch.nn.Module):  # of classes that the user has declared safe
        return TorchModel(content, device, content)
    message = f"{path}: holds weights, not a model; pass model=(builder, {str(path)!r}) with a function that builds it"
    raise ValueError(message)


def open_weights(builder: Any, path: str | os.PathLike[str], device: torch.device) -> TorchModel:
    """Return what a builder makes, with the weights of a file.

    Args:
        builder: A function or class without arguments, ``"module:attribute"``, or a live Module, of which a copy is
            made.
        path: A state dict in ``.pt``, ``.pth`` or ``.safetensors``, or a checkpoint with one as ``"state_dict"``.
        device: Where the model shall be.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be opened, or only with running code from it.
    """
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
    if path.suffix.lower() == ".safetensors":
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
