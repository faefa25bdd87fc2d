"""Pictures to tensors, by the model's own image processor, as an image-classification pipeline does."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

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
