"""Models with a fixed number of rows: larger batches go through in parts, the last one filled up and cut back."""

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import numpy as np

from probly.data_generator.toolkit.outputs import cut_rows

Feeds = Mapping[str, Any]


def run_in_chunks(run: Callable[[Feeds], list[Any]], feeds: Feeds, size: int) -> list[Any]:
    """Return the outputs of a model that takes ``size`` rows at once.

    Args:
        run: Returns the outputs for ``size`` rows.
        feeds: Arrays with any number of rows.
        size: The number of rows.

    Raises:
        InvalidOutputError: An output does not have one row per input.

    Examples:
        >>> (doubled,) = run_in_chunks(lambda feeds: [2 * feeds["x"]], {"x": np.arange(5)}, size=3)
        >>> doubled
        array([0, 2, 4, 6, 8])
    """
    rows = len(next(iter(feeds.values())))
    chunks = []
    for start in range(0, rows, size):
        wanted = min(size, rows - start)
        part = {name: _filled(array[start : start + wanted], size) for name, array in feeds.items()}
        chunks.append([_cut(output, size, wanted) for output in run(part)])
    return [_joined(parts) for parts in zip(*chunks, strict=True)]


def _filled(array: Any, size: int) -> Any:
    """Repeat the last row, whose values the model surely takes."""
    return array if len(array) == size else np.concatenate([array, np.repeat(array[-1:], size - len(array), axis=0)])


def _cut(output: Any, size: int, wanted: int) -> Any:
    if isinstance(output, list):  # of maps
        maps = np.empty(len(output), object)
        maps[:] = output
        return cut_rows(maps, size, wanted).tolist()
    return cut_rows(output, size, wanted)


def _joined(parts: tuple[Any, ...]) -> Any:
    if len(parts) == 1:
        return parts[0]
    return list(chain.from_iterable(parts)) if isinstance(parts[0], list) else np.concatenate(parts)
