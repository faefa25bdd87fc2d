"""From any source to a model that runs: live objects, files, builders; and the device it runs on."""

import contextlib
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from probly.data_generator.importing import import_model, is_import_path


def resolve_device(name: str | None) -> torch.device:
    """Return the torch device of a name, the best one for None.

    Raises:
        ValueError: It is not available; the message lists those that are.
    """
    if name is None:
        return _best_device()
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(_unavailable(name)) from error
    if device.type == "cpu":
        return torch.device("cpu")
    if device.type not in _accelerators() or (device.index or 0) >= _accelerators()[device.type]:
        raise ValueError(_unavailable(name))
    return device if device.index is not None or device.type == "mps" else torch.device(device.type, _current(device))


def _unavailable(name: str) -> str:
    available = ["cpu"]
    for kind, count in _accelerators().items():
        available += [kind] if kind == "mps" else [f"{kind}:{index}" for index in range(count)]
    return (
        f"device {name!r} is not available to torch {torch.__version__}; available: {', '.join(map(repr, available))}"
    )


def _accelerators() -> dict[str, int]:
    """Return the number of devices of each kind beside the CPU."""
    found = {"cuda": torch.cuda.device_count(), "xpu": torch.xpu.device_count()}
    found["mps"] = int(torch.backends.mps.is_available())
    return {kind: count for kind, count in found.items() if count}


def _best_device() -> torch.device:
    kind = next(iter(_accelerators()), "cpu")
    return torch.device(kind) if kind in ("cpu", "mps") else torch.device(kind, 0)


def _current(device: torch.device) -> int:
    return int(getattr(torch, device.type).current_device())


class TorchModel:
    """What ``load_model`` returns.

    Args:
        function: What is called with the inputs of a batch.
        device: Where its weights are.
        module: The Module behind it, if there is one: its training mode is switched and restored around each batch.
        pads: Whether ragged batches are padded, because an exported program may have a fixed batch size.
    """

    def __init__(
        self, function: Any, device: torch.device, module: torch.nn.Module | None = None, *, pads: bool = False
    ) -> None:
        self.function = function
        self.torch_device = device
        self.device = str(device)
        self.module = module
        self.pads = pads
        self.is_keras = any(kind.__module__.partition(".")[0] == "keras" for kind in type(function).__mro__)
        self._parts = [] if module is None or pads else list(module.modules())

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """Switch off dropout and batch statistics, and leave every submodule in the mode it was found in."""
        training = [part for part in self._parts if part.training]
        if not training or self.module is None:
            yield
            return
        was_training = self.module.training
        self.module.eval()
        try:
            yield
        finally:
            # train() first: layers that merge weights in eval() undo it there.
            self.module.train(was_training)
            chosen = set(map(id, training))
            for part in self._parts:
                part.training = id(part) in chosen

    def call(self, inputs: Any, batch_size: int) -> Any:
        """Call the model: mappings as keyword arguments, lists and tuples as positional ones."""
        if self.is_keras:
            return self.function(inputs, training=False)
        if self.pads:
            return self._call_padded(inputs, batch_size)
        return _call(self.function, inputs)

    def _call_padded(self, inputs: Any, batch_size: int) -> Any:
        from probly.data_generator.nests import common_rows, map_leaves
        from probly.data_generator.outputs import cut_rows, unwrap

        rows = common_rows(inputs)
        if rows is None or rows >= batch_size:
            return _call(self.function, inputs)
        padded = map_leaves(
            lambda leaf: torch.cat([leaf, leaf[-1:].expand(batch_size - rows, *leaf.shape[1:])]), inputs
        )
        return cut_rows(unwrap(_call(self.function, padded)), batch_size, rows)


def _call(function: Any, inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return function(**inputs)
    return function(*inputs) if isinstance(inputs, list | tuple) else function(inputs)


def byte_arrays(module: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the name, dtype and shape of each parameter and buffer, and its bytes in host memory."""
    for name, tensor in module.state_dict().items():
        if isinstance(tensor, torch.Tensor):
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            yield f"{name} {tensor.dtype} {tuple(tensor.shape)}", flat.view(torch.uint8).numpy()


def load(source: Any, device: torch.device) -> TorchModel:
    """Return the model of any source on a device; a live Module elsewhere is copied, never moved.

    Raises:
        TypeError: ``source`` is no model.
        ValueError: A file holds something that cannot be run, or only with running code from it.
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
        return TorchModel(source, device)
    message = f"expected a torch.nn.Module, a callable, a path or (builder, weight file) as model, got {type(source)}"
    raise TypeError(message)


def _on_device(module: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    import copy

    places = {tensor.device for tensor in [*module.parameters(), *module.buffers()]}
    if places <= {device}:
        return module
    try:
        return copy.deepcopy(module).to(device)
    except Exception as error:
        error.add_note(f"the model cannot be copied to {device}; move it there yourself: model.to({str(device)!r})")
        raise


def _exported(program: torch.export.ExportedProgram, device: torch.device) -> TorchModel:
    if device.type != "cpu" or any(tensor.device.type != "cpu" for tensor in program.state_dict.values()):
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, device)
    module = program.module()
    return TorchModel(module, device, module, pads=True)


def _load_file(path: Path, device: torch.device) -> TorchModel:
    if not path.exists():
        message = f"{path}: there is no such model file"
        raise FileNotFoundError(message)
    if path.suffix == ".pt2":
        return _exported(torch.export.load(path), device)
    if _is_torchscript(path):
        module = torch.jit.load(path, map_location=device)
        return TorchModel(module, device, module)
    content = _load_tensors(path, device)
    if isinstance(content, torch.nn.Module):
        return load(content, device)
    message = f"{path}: holds weights, not a model; pass model=(builder, {str(path)!r}) with a function that builds it"
    raise ValueError(message)


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def _load_tensors(path: Path, device: torch.device) -> Any:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path, device=str(device))
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        message = (
            f"{path}: holds pickled code, which is not run; if you trust it, load it yourself with "
            "torch.load(path, weights_only=False) and pass the model"
        )
        raise ValueError(message) from error


def _load_weights(builder: Any, path: Any, device: torch.device) -> TorchModel:
    if isinstance(builder, str):
        module = import_model(builder)
    else:
        module = builder if isinstance(builder, torch.nn.Module) else builder()
    if not Path(path).exists():
        message = f"{path}: there is no such weight file"
        raise FileNotFoundError(message)
    weights = _load_tensors(Path(path), device)
    if isinstance(weights, Mapping) and isinstance(weights.get("state_dict"), Mapping):  # checkpoints of trainers
        weights = weights["state_dict"]
    module.load_state_dict(weights)
    module.to(device)
    return TorchModel(module, device, module)
