"""Files of tensors: ``.pt`` and ``.pth``."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from probly.data_generator.distributions import Distributions
from probly.data_generator.errors import StoreError
from probly.data_generator.formats.atomic import replacing
from probly.data_generator.formats.shared import decode_meta, encode_meta, label_array, room, simple_labels


def _checked(path: str | os.PathLike[str]) -> Path:
    if Path(path).suffix not in (".pt", ".pth"):
        message = f"{path}: expected one of the suffixes .pt, .pth, got {Path(path).suffix!r}"
        raise ValueError(message)
    return Path(path)


def save_distributions_pt(
    path: str | os.PathLike[str], distributions: Mapping[int, Any], *, meta: Mapping[str, Any] | None = None
) -> None:
    """Write distributions as tensors, whole or not at all.

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
    labels = simple_labels(target, checked.labels)
    content = {
        # Read back, it has only types that the reader of tensors knows.
        "meta": decode_meta(encode_meta(target, {**checked.meta, **(meta or {})})),
        "indices": torch.tensor(checked.indices),
        "distributions": torch.tensor(checked.probabilities),
        # Text has no tensor.
        "labels": None if labels is None else labels.tolist() if labels.dtype.kind == "U" else torch.tensor(labels),
    }
    with replacing(target) as file:
        torch.save(content, file)


def load_distributions_pt(path: str | os.PathLike[str]) -> tuple[Distributions, dict[str, Any]]:
    """Read such a file without running code from it, and return the distributions and their metadata.

    Raises:
        ValueError: Another suffix.
        FileNotFoundError: There is no such file.
        StoreError: The file is damaged or holds something else.
    """
    source = _checked(path)
    try:
        content = torch.load(source, weights_only=True, map_location="cpu")
        distributions = Distributions(
            content["distributions"].numpy(),
            content["indices"].numpy(),
            _labels(content["labels"], source.stat().st_size),
            content["meta"],
        )
    except FileNotFoundError:
        raise
    # torch's reader raises what its zip and pickle readers happen to raise.
    except Exception as error:
        message = f"{path}: not a file of distributions: {type(error).__name__}: {error}"
        raise StoreError(message) from error
    return distributions, distributions.meta


def _labels(labels: Any, file_bytes: int) -> Any:
    if labels is None or isinstance(labels, torch.Tensor):
        return None if labels is None else labels.numpy()
    return label_array(labels, room(file_bytes))
