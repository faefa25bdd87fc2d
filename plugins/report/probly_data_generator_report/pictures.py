"""Pictures of samples, where the inputs are pictures."""

import base64
import io
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.formats.shared import optional_library
from probly.data_generator.toolkit.nests import columns
from probly.data_generator.toolkit.parts import split_sample
from probly.data_generator.toolkit.samples import fetch

LARGEST_SIDE = 192
"""Pixels; larger pictures are made smaller."""

Picture = npt.NDArray[np.uint8]


def pictures(
    inputs: Any, indices: Iterable[int], input_getter: Callable[[Any], Any] | None = None
) -> dict[int, Picture]:
    """Return the pictures of some samples by their dataset index; those that are no pictures are left out.

    Args:
        inputs: The dataset that the distributions were made from, in any form that a run takes: an array, a tuple of
            arrays ``(inputs, labels)``, or anything with ``inputs[index]``.
        indices: The dataset indices.
        input_getter: Picks the picture from a sample. By default its first element if it is a tuple, the first picture
            among its values if it is a mapping, else all of it.
    """
    arrays = columns(inputs)
    source = arrays[0] if isinstance(arrays, tuple) else inputs
    wanted = list(indices)
    found = {}
    for index, sample in zip(wanted, fetch(source, wanted), strict=True):
        value = split_sample(sample, input_getter)[0]
        choices = [as_picture(part) for part in (value.values() if isinstance(value, Mapping) else [value])]
        picture = next((choice for choice in choices if choice is not None), None)
        if picture is not None:
            found[index] = picture
    return found


def as_picture(value: Any) -> Picture | None:
    """Return an input as a picture, uint8 of shape ``(height, width)`` or ``(height, width, 3)``, or None.

    Args:
        value: An array of shape ``(height, width)``, with 1, 3 or 4 channels first or last, or an image object that
            NumPy can read. Integers are in 0 ... 255 and floats in 0 ... 1; where values lie outside, as those of
            normalised inputs do, they are stretched from the smallest (black) to the largest (white).

    Examples:
        >>> as_picture(np.array([[0.0, 1.0]]))
        array([[  0, 255]], dtype=uint8)
        >>> as_picture(np.zeros((3, 8, 9))).shape
        (8, 9, 3)
        >>> as_picture(np.zeros(64)) is None
        True
    """
    try:
        array = np.asarray(value.convert("RGB") if hasattr(value, "convert") else value)
    except (TypeError, ValueError, RuntimeError):  # text, ragged lists, arrays on a device
        return None
    if array.dtype.kind not in "biuf" or array.ndim not in (2, 3) or not array.size:
        return None
    if array.ndim == 3:
        array = _channels_last(array)
    if array is None or not np.isfinite(array).all():
        return None
    white = 255.0 if array.dtype.kind in "iu" else 1.0
    low, high = (0.0, white) if array.min() >= 0 and array.max() <= white else (float(array.min()), float(array.max()))
    scaled = (array.astype(np.float64) - low) * (255.0 / max(high - low, 1e-30))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _channels_last(array: npt.NDArray[Any]) -> Any:
    if array.shape[2] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        array = np.moveaxis(array, 0, 2)
    channels = array.shape[2]
    if channels not in (1, 3, 4):
        return None
    return array[:, :, 0] if channels == 1 else array[:, :, :3]


def data_uri(picture: Picture) -> str:
    """Return a picture as the ``data:`` address of a PNG of at most 192 pixels a side."""
    image = optional_library("PIL.Image", "report").fromarray(picture)
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
