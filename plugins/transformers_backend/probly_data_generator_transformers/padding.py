"""Whether padding changes rows, which is tried, and which texts go through a model together."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch

from probly_data_generator_torch.arrays import to_numpy

STRIDES: Final = 8
"""Pooling is harmful for some lengths only, which ones repeats with its stride: each remainder is tried."""
TOLERANCE: Final = 1e-5
HALF_TOLERANCE: Final = 0.02
"""How far scores may be apart, beside 1 and the largest, because a text was padded; the last bits always are."""


class Padding:
    """What has been found about the padding of one model.

    It changes rows where positions are counted from the left and the tokenizer pads there, where no mask is looked at,
    as in FNet, where a convolution or pooling reaches into the padding, as in Funnel, or where the model looks for
    another token's number.
    """

    def __init__(self) -> None:
        self._harmless = True
        self._tried: set[tuple[int, int]] = set()

    def is_harmless(
        self,
        samples: Sequence[Mapping[str, Any]],
        lengths: Sequence[int],
        scores: Callable[[Mapping[str, Any], int | None], torch.Tensor],
    ) -> bool:
        """Return whether the texts of a batch may be padded; once it has changed a row, none may.

        Lengths are tried once per remainder, and again where the longest text is about twice as long as before.

        Args:
            samples: Tokenised texts.
            lengths: Of each, the number of tokens.
            scores: Returns what the model makes of a sample that is padded to a length, or of it as it is.
        """
        longest = max(lengths)
        for sample, length in zip(samples, lengths, strict=True):
            kind = (length % STRIDES, longest.bit_length())
            if self._harmless and length < longest and kind not in self._tried:
                alone = scores(sample, None)
                self._harmless = all(_same(alone, scores(sample, to)) for to in {length + 1, longest})
                self._tried.add(kind)
        return self._harmless


def _same(alone: torch.Tensor, padded: torch.Tensor) -> bool:
    if alone.shape != padded.shape:
        return False
    tolerance = TOLERANCE if alone.dtype == torch.float32 else HALF_TOLERANCE
    first, second = to_numpy(alone), to_numpy(padded)
    return bool(np.abs(first - second).max() <= tolerance * (1 + np.abs(first).max()))


def grouped(lengths: Sequence[int], cost: int) -> list[list[int]]:
    """Return the places of lengths in groups of similar ones, the longest first.

    Args:
        lengths: The number of tokens of each text.
        cost: The tokens of padding in one group for which another call is worth its time.

    Examples:
        >>> grouped([5, 90, 6, 100], cost=20)
        [[3, 1], [2, 0]]
    """
    groups: list[list[int]] = []
    padding = cost + 1
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        padding += lengths[groups[-1][0]] - lengths[place] if groups else 0
        if padding > cost:
            groups.append([])
            padding = 0
        groups[-1].append(place)
    return groups
