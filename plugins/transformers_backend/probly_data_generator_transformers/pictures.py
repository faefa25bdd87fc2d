"""Pictures to tensors, by the model's own image processor, as an image-classification pipeline does."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np

from probly.data_generator.toolkit.nests import shape_of

THREADS: Final = 8
"""Pillow scales without holding the interpreter."""


class Pictures:
    """An image processor.

    Args:
        processor: One of transformers.
    """

    kind = "pictures"

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def prepared(self, pictures: Sequence[Any]) -> list[dict[str, Any]]:
        """Return the inputs of each picture of Pillow by name, as tensors."""
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(self._prepared, pictures))

    def _prepared(self, picture: Any) -> dict[str, Any]:
        from transformers.image_utils import load_image

        # It turns the picture as the file notes, and makes it RGB.
        found = self.processor(images=load_image(picture), return_tensors="pt")
        return {name: values[0] for name, values in found.items()}


def is_picture(value: Any) -> bool:
    """Return whether a value is a Pillow image, without importing Pillow."""
    return any(kind.__module__.startswith("PIL.") for kind in type(value).__mro__)


def picture_of(array: Any) -> Any:
    """Return the picture of an array of uint8, (height, width), (height, width, 3) or (3, height, width); else None."""
    from PIL import Image

    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    fits = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3 and array.shape[0] not in (1, 3))
    return Image.fromarray(np.ascontiguousarray(array)) if fits else None


def load(rows: Sequence[Any], indices: Iterable[Any]) -> None:
    """Read the pixels of Pillow's pictures, which it puts off until somebody wants them; an error names the sample."""
    pictures = {id(row): (row, index) for row, index in zip(rows, indices, strict=True) if is_picture(row)}
    if pictures:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(_load, *zip(*pictures.values(), strict=True)))


def _load(picture: Any, index: Any) -> None:
    try:
        picture.load()
    except Exception as error:
        error.add_note(f"raised by the picture of sample {index}")
        raise


def refuse_single(pictures: Any) -> None:
    """Refuse one picture in place of several: each of its lines would be taken for a grey picture."""
    shape = tuple(pictures.shape)
    if len(shape) == 3 and shape[2] in (1, 3, 4):
        message = (
            f"an array of uint8 of the shape {shape} is one picture, whose channels are last; expected several, with "
            "the samples first: pass picture[None] for a single one"
        )
        raise ValueError(message)


def refuse_channels_first(dataset: Any) -> None:
    """Refuse an array that may be one picture, or as many grey ones as a picture has channels.

    Of a dataset, and not of a batch, which may have so few grey pictures.
    """
    columns = list(dataset.values()) if isinstance(dataset, Mapping) else [dataset]
    shape = shape_of(columns[0]) if len(columns) == 1 else None
    if shape and len(shape) == 3 and shape[0] in (1, 3, 4) and str(columns[0].dtype).endswith("uint8"):
        message = (
            f"an array of uint8 of the shape {shape} may be one picture, whose channels are first, or {shape[0]} grey "
            "ones; pass picture[None] for a single one, and list(pictures) or pictures[..., None] for grey ones"
        )
        raise ValueError(message)


def refuse_alpha(value: Any, place: Any) -> None:
    """Refuse the array of a picture with four channels, whose last one says what is seen through."""
    shape = shape_of(value) or ()
    if len(shape) == 3 and 4 in (shape[0], shape[2]) and str(value.dtype).endswith("uint8"):
        cut = "[..., :3]" if shape[2] == 4 else "[:3]"
        message = (
            f"sample {place}: a picture with four channels, {tuple(shape)}; drop the last, which is alpha: "
            f"picture{cut} of each, in the dataset or in input_getter"
        )
        raise ValueError(message)
