"""Files of tensors, ``.pt`` and ``.pth``: a format from outside the core. torch is imported when a file is opened."""

import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from probly.data_generator.distributions import Distributions, row_blocks
from probly.data_generator.errors import StoreError
from probly.data_generator.formats.atomic import replacing
from probly.data_generator.formats.digest import compared, encode_with_digest
from probly.data_generator.formats.shared import check_size, checked_meta, decode_meta, label_array, simple_labels

NUMBERS_AT_ONCE = 2**20
SUFFIXES = (".pt", ".pth")
KEEPS_COLUMNS = KEEPS_SAMPLE_KEYS = True
CHECKED = ()
"""What reading such a file compares besides its digest: nothing, torch does not look at its archive's checksums."""


def write(path: Path, distributions: Distributions, meta: Mapping[str, Any]) -> None:
    """Write distributions as tensors, whole or not at all.

    Raises:
        TypeError: Metadata that is not JSON-serialisable, or labels that are neither numbers nor text.
    """
    import torch

    labels = simple_labels(path, distributions.labels)
    rows = torch.empty((len(distributions), distributions.num_classes))
    for part, block in row_blocks(distributions, NUMBERS_AT_ONCE):  # once in memory, also those of a store
        rows[part] = torch.from_numpy(block)
    content = {
        # Read back, it has only types that the reader of tensors knows.
        "meta": decode_meta(encode_with_digest(path, distributions, meta)),
        "indices": torch.tensor(distributions.indices),
        "distributions": rows,
        "labels": None if labels is None else _tensor_or_texts(labels),
    }
    if distributions.sample_keys is not None:
        content["sample_keys"] = _tensor_or_texts(distributions.sample_keys)
    if distributions.columns:
        content["columns"] = {name: _tensor(name, column) for name, column in distributions.columns.items()}
    with replacing(path) as file:
        torch.save(content, file)


def _tensor_or_texts(values: Any) -> Any:
    import torch

    return values.tolist() if values.dtype.kind in "UO" else torch.tensor(values)  # text has no tensor


def _tensor(name: str, column: Any) -> Any:
    import torch

    try:
        return torch.tensor(np.asarray(column))
    except TypeError as error:
        message = f"columns: {name!r}: expected numbers, got the dtype {column.dtype}"
        raise TypeError(message) from error


def read(path: Path) -> Distributions:
    """Read such a file without running code from it.

    Raises:
        FileNotFoundError: There is no such file.
        StoreError: The file is damaged or holds something else.
    """
    import torch

    file_bytes = path.stat().st_size
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                check_size(sum(info.file_size for info in archive.infolist()), file_bytes)
        content = torch.load(path, weights_only=True, map_location="cpu")
        _check_plain([content["meta"], content["labels"], content.get("sample_keys")], file_bytes)
        rows, indices = _array(content["distributions"], file_bytes), _array(content["indices"], file_bytes)
        columns = {name: _array(tensor, file_bytes) for name, tensor in content.get("columns", {}).items()}
        labels, keys = (_labels(content.get(name), file_bytes) for name in ("labels", "sample_keys"))
        return compared(rows, indices, labels, checked_meta(content["meta"]), columns, sample_keys=keys)
    except FileNotFoundError:
        raise
    # torch's reader raises what its zip and pickle readers happen to raise.
    except Exception as error:
        message = f"{path}: not a file of distributions: {type(error).__name__}: {error}"
        raise StoreError(message) from error


def _check_plain(value: Any, file_bytes: int) -> None:
    """Refuse what a few bytes of a pickle can say: that a list holds itself, or another one a million times."""
    stack, size = [value], 0
    while stack:
        value = stack.pop()
        size += len(value) if isinstance(value, str) else 64 if isinstance(value, list | dict) else 8
        check_size(size, file_bytes)
        if isinstance(value, list | dict):
            stack += value
            stack += value.values() if isinstance(value, dict) else ()


def _array(tensor: Any, file_bytes: int) -> Any:
    """Return a tensor as an array; its shape may claim more than there is, with strides of 0 or without numbers."""
    check_size(math.prod(max(length, 1) for length in tensor.shape) * tensor.element_size(), file_bytes)
    return tensor.numpy()


def _labels(labels: Any, file_bytes: int) -> Any:
    if labels is None or isinstance(labels, list):
        return None if labels is None else label_array(labels)
    return _array(labels, file_bytes)


def save_distributions_pt(
    path: str | os.PathLike[str], distributions: Mapping[int, Any], *, meta: Mapping[str, Any] | None = None
) -> None:
    """Write distributions as tensors, as ``save_distributions`` does for a path with one of these suffixes.

    Args:
        path: Ends in .pt or .pth.
        distributions: A Distributions, or any mapping from dataset index to row.
        meta: Added to the distributions' own metadata, and stronger; JSON-serialisable values.

    Raises:
        ValueError: Another suffix, or a row that is no distribution.
        TypeError: Metadata that is not JSON-serialisable, or labels that are neither numbers nor text.
    """
    target = _checked(path)
    checked = Distributions.from_mapping(distributions)
    write(target, checked, {**checked.meta, **(meta or {})})


def load_distributions_pt(path: str | os.PathLike[str]) -> tuple[Distributions, dict[str, Any]]:
    """Read such a file without running code from it, and return the distributions and their metadata.

    Raises:
        ValueError: Another suffix.
        FileNotFoundError: There is no such file.
        StoreError: The file is damaged or holds something else.
    """
    distributions = read(_checked(path))
    return distributions, distributions.meta


def _checked(path: str | os.PathLike[str]) -> Path:
    if Path(path).suffix not in SUFFIXES:
        message = f"{path}: expected one of the suffixes {', '.join(SUFFIXES)}, got {Path(path).suffix!r}"
        raise ValueError(message)
    return Path(path)
