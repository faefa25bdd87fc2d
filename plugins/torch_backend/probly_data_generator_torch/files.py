"""Opening files of models and of weights: code from them runs only on the user's word.

torch opens a ``.pt2`` by evaluating expressions and unpickling, and TorchScript by running its ``__setstate__``; no
look at such a file tells whether it is harmless. Tensors, in ``.safetensors`` or read with ``weights_only``, hold no
code.
"""

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
from probly.data_generator.toolkit.trust import untrusted
from probly_data_generator_torch.exported import runnable
from probly_data_generator_torch.forward import TorchModel

EXPORTED = "an exported program (.pt2) is opened by evaluating expressions and unpickling objects that it holds"
SCRIPT = "a TorchScript file is opened by running code that it holds, which can write files"
PICKLE = "it holds pickled objects, and unpickling runs any code that their author chose"


def open_model(path: Path, device: torch.device, *, trust: bool = False) -> TorchModel:
    """Return the model of an exported program (``.pt2``), of a TorchScript file, or of a Module saved as a whole.

    Args:
        path: The file.
        device: Where the model shall be.
        trust: Whether code from it may run.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It holds something that cannot be run, or only with running code from it; or an exported program in
            training mode.
    """
    if not path.exists():
        message = f"{path}: there is no such model file"
        raise FileNotFoundError(message)
    if path.suffix.lower() == ".pt2":
        if not trust:
            raise untrusted(path, EXPORTED)
        with _reading(path):
            program = torch.export.load(path)
        module, sizes = runnable(program, device)
        return TorchModel(module, device, module, sizes)
    if _is_torchscript(path):
        _check_script(path, trust=trust)
        with _reading(path):
            module = torch.jit.load(path, map_location=device)  # type: ignore[no-untyped-call]  # it has no types
        return TorchModel(module, device, module)
    content = _load_tensors(path, device, trust=trust)
    if isinstance(content, torch.nn.Module):  # one that is trusted, or of classes that the user has declared safe
        return TorchModel(content, device, content)
    message = f"{path}: holds weights, not a model; pass model=(builder, {str(path)!r}) with a function that builds it"
    raise ValueError(message)


def open_weights(
    builder: Any, path: str | os.PathLike[str], device: torch.device, *, trust: bool = False
) -> TorchModel:
    """Return what a builder makes, with the weights of a file.

    Args:
        builder: A function or class without arguments, ``"module:attribute"``, or a live Module, of which a copy is
            made.
        path: A state dict in ``.pt``, ``.pth`` or ``.safetensors``, or a checkpoint with one as ``"state_dict"``.
        device: Where the model shall be.
        trust: Whether code from the file may run.

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
    weights = _load_tensors(Path(path), device, trust=trust)
    if isinstance(weights, torch.nn.Module):
        weights = weights.state_dict()
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
        return any("/code/" in name or name.endswith("/constants.pkl") for name in archive.namelist())


def _check_script(path: Path, *, trust: bool) -> None:
    if not trust and _is_torchscript(path):
        raise untrusted(path, SCRIPT)


def _load_tensors(path: Path, device: torch.device, *, trust: bool) -> Any:
    if path.suffix.lower() == ".safetensors":
        from safetensors.torch import load_file

        with _reading(path):
            return load_file(path, device=str(device))
    _check_script(path, trust=trust)
    try:
        with _reading(path):
            # Said in both cases: torch takes its default from the environment.
            return torch.load(path, map_location=device, weights_only=not trust)
    except pickle.UnpicklingError as error:
        if not trust and _may_be_pickled(path):
            raise untrusted(path, PICKLE) from error
        message = f"{path}: is no file that torch can open, or is damaged"  # torch's own words advise to trust it
        raise ValueError(message) from error


def _may_be_pickled(path: Path) -> bool:
    """Return whether trust could help: torch writes zip files, and wrote bare pickles before."""
    with path.open("rb") as file:
        return file.read(1) == pickle.PROTO or zipfile.is_zipfile(path)
