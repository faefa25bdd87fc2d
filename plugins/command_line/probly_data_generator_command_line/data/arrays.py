"""``--data`` in NumPy's files; pickles in them are refused, and archives that unpack to more than they may."""

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from probly_data_generator_command_line.data.limits import check_unpacked
from probly_data_generator_command_line.data.settings import (
    INPUT_NAMES,
    LABEL_NAMES,
    Data,
    DataSettings,
    choose,
    described,
    missing_inputs,
)
from probly_data_generator_command_line.errors import InputError


def load_npz(path: Path, settings: DataSettings) -> Data:
    """Read the arrays of inputs and labels from an archive; several inputs, separated by commas, become a mapping.

    Raises:
        InputError: It is damaged, holds pickles, unpacks to more than the limit, or no name says which array is what.
    """
    try:
        with zipfile.ZipFile(path) as members, np.load(path, allow_pickle=False) as archive:
            names = list(archive.files)
            inputs = _input_names(path, names, settings)
            rest = [name for name in names if name not in inputs]
            label = choose(path, rest, settings.labels_key, LABEL_NAMES, "--labels-key")
            chosen = [*inputs, *([] if label is None else [label])]
            check_unpacked(path, sum(_unpacked(members, name) for name in chosen), settings.limit)
            arrays = {name: archive[name] for name in chosen}
    except (InputError, MemoryError):
        raise
    except Exception as error:  # damaged archives fail in any way: of zlib, of zipfile, of NumPy
        raise _unreadable(path, error) from error
    _check_rows(path, arrays)
    given = {name: arrays[name] for name in inputs}
    description = {"data": str(path), "inputs": "; ".join(described(name, array) for name, array in given.items())}
    description["labels"] = "none" if label is None else described(label, arrays[label])
    unused = [name for name in names if name not in arrays]
    if unused:
        description["not used"] = ", ".join(unused)
    samples: Any = given if len(given) > 1 else given[inputs[0]]
    return Data(samples if label is None else (samples, arrays[label]), description)


def _unpacked(archive: zipfile.ZipFile, name: str) -> int:
    """Return the bytes of an array; NumPy takes memory for what its header says before it looks for them.

    Raises:
        ValueError: The header says something else than the archive's directory.
    """
    info = archive.getinfo(name if name in archive.namelist() else f"{name}.npy")
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(member)
        needed = math.prod(shape) * dtype.itemsize
        if not dtype.hasobject and member.tell() + needed != info.file_size:
            message = f"array {name!r} claims {needed:,} bytes, but has {info.file_size - member.tell():,}"
            raise ValueError(message)
    return info.file_size


def _input_names(path: Path, names: list[str], settings: DataSettings) -> list[str]:
    if settings.inputs_key is not None:
        wanted = settings.inputs_key.split(",")
        return [str(choose(path, names, name, INPUT_NAMES, "--inputs-key")) for name in wanted]
    found = choose(path, names, None, INPUT_NAMES, "--inputs-key")
    if found is None:
        raise missing_inputs(path, names)
    return [found]


def load_npy(path: Path, settings: DataSettings) -> Data:
    """Map one array of inputs from a file, without reading it into memory; it has no labels.

    Raises:
        InputError: It is damaged, holds a pickle, or a key is asked for.
    """
    if settings.inputs_key or settings.labels_key:
        message = f"{path}: holds one array, the inputs; --inputs-key and --labels-key are for files with several"
        raise InputError(message)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except MemoryError:
        raise
    except Exception as error:  # a damaged header fails in any way
        raise _unreadable(path, error) from error
    _check_rows(path, {path.stem: array})
    return Data(array, {"data": str(path), "inputs": described(path.stem, array), "labels": "none"})


def _unreadable(path: Path, error: Exception) -> InputError:
    if isinstance(error, OSError) and error.errno:
        message = f"{path}: cannot be read: {error.strerror}; choose another file, or have it changed"
        return InputError(message)
    message = (
        f"{path}: cannot be read without running code from it, or is damaged: {str(error) or type(error).__name__}"
    )
    return InputError(message)


def _check_rows(path: Path, arrays: dict[str, Any]) -> None:
    for name, array in arrays.items():
        if array.dtype.hasobject:
            message = f"{path}: array {name!r} holds Python objects, which are not read; store numbers or text"
            raise InputError(message)
    rows = {name: array.shape[0] if array.ndim else None for name, array in arrays.items()}
    if len(set(rows.values())) > 1 or None in rows.values():
        message = f"{path}: expected one row per sample in every array, got {rows}"
        raise InputError(message)
