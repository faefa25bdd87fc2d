"""Philox in NumPy, for many streams at once: stream ``index`` of a seed is the same whoever asks, whenever."""

import numpy as np
import numpy.typing as npt

from probly_data_generator_evaluation.blocks import NUMBERS_AT_ONCE

Words = npt.NDArray[np.uint64]

MULTIPLIERS = (np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157))
KEY_STEPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
ROUNDS = 10
BITS = 53
"""Of the 64 bits of a word, those that NumPy makes a float64 of."""
ONE = np.uint64(2**BITS)
"""What is above all draws: a draw plus its row times this is a number of 64 bits for 2047 rows, and orders by both."""
WIDTH = -(-NUMBERS_AT_ONCE // (2 ** (64 - BITS) - 1))
"""How wide rows must be at least, for a block to have no more of them."""

LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


def draws(seed: int, indices: npt.ArrayLike, start: int, count: int) -> Words:
    """Return whole numbers of 53 random bits, the draws ``start`` to ``start + count`` of the stream of each index.

    The algorithm is Philox 4x64 with ten rounds (Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405), with the
    seed as key, and the number of the block of four draws and the index as counter. So the draws of an index are
    those of NumPy's ``Generator(Philox(key=seed, counter=[0, index, 0, 0])).random()``, times ``2**53``.

    Args:
        seed: From 0 to ``2**64 - 1``.
        indices: Whole numbers of at least 0, shape ``(N,)``.
        start: The first draw, a multiple of 4.
        count: How many.

    Returns:
        uint64, shape ``(N, count)``, below ``2**53``.

    Examples:
        >>> draws(7, [3], 0, 2) * 2.0**-53
        array([[0.43900223, 0.16565869]])
        >>> np.random.Generator(np.random.Philox(key=7, counter=[0, 3, 0, 0])).random(2)
        array([0.43900223, 0.16565869])
    """
    streams = np.asarray(indices).astype(np.uint64)[:, None]
    blocks = np.arange(start // 4 + 1, (start + count + 3) // 4 + 1, dtype=np.uint64)[None, :]
    shape = np.broadcast_shapes(streams.shape, blocks.shape)
    words = [np.broadcast_to(blocks, shape), np.broadcast_to(streams, shape), *(np.zeros(shape, np.uint64),) * 2]
    for number in range(ROUNDS):
        keys = [
            np.uint64((start_key + number * step) % 2**64) for start_key, step in zip((seed, 0), KEY_STEPS, strict=True)
        ]
        (high, low), (other_high, other_low) = _product(MULTIPLIERS[0], words[0]), _product(MULTIPLIERS[1], words[2])
        words = [other_high ^ words[1] ^ keys[0], other_low, high ^ words[3] ^ keys[1], low]
    flat = np.stack(words, axis=-1).reshape(shape[0], 4 * shape[1])[:, :count]
    return flat >> np.uint64(64 - BITS)


def _product(number: np.uint64, words: Words) -> tuple[Words, Words]:
    """Return the high and the low 64 bits of products of 128; NumPy's own multiplication gives the low ones."""
    high, low = number >> HALF, number & LOW
    theirs_high, theirs_low = words >> HALF, words & LOW
    middle = high * theirs_low + ((low * theirs_low) >> HALF)
    other = low * theirs_high + (middle & LOW)
    return high * theirs_high + (middle >> HALF) + (other >> HALF), number * words
