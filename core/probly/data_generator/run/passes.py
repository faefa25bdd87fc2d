"""Asking one model several times about each batch: passes with dropout active, or views of each sample."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

_DRAWING = threading.RLock()


@dataclass(frozen=True)
class Passes:
    """How often a model is asked about each batch, and with which seeds.

    Attributes:
        count: The number of passes, at least 1; each is a member.
        seed: What all seeds of the run follow from, at least 0.
        augment: ``augment(inputs, seed)`` returns another view of the inputs of a batch, which the model sees with
            nothing random in it; None for passes with dropout and other stochastic layers active.

    Raises:
        ValueError: A number is out of its domain.
        TypeError: ``augment`` is no function.
    """

    count: int
    seed: int
    augment: Callable[[Any, int], Any] | None = None

    def __post_init__(self) -> None:
        """Check the arguments."""
        for name, value, least in (("passes", self.count, 1), ("seed", self.seed, 0)):
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
                message = f"{name}: expected a whole number of at least {least}, got {value!r}"
                raise ValueError(message)
        # As Python's own, which JSON knows.
        object.__setattr__(self, "count", int(self.count))
        object.__setattr__(self, "seed", int(self.seed))
        if self.augment is not None and not callable(self.augment):
            message = f"augment: expected a function of the inputs of a batch and a seed, got {self.augment!r}"
            raise TypeError(message)

    def seed_of(self, number: int, first_row: int) -> int:
        """Return the seed of one pass over one batch: it follows from the run's seed, the pass and the first row alone.

        So a run that is continued, or computed in shares, draws what one in a single piece does.

        Args:
            number: The pass, from 0.
            first_row: The dataset index of the batch's first row.

        Returns:
            From 0 to 2^31 - 1, which every framework takes.

        Examples:
            >>> passes = Passes(2, 7)
            >>> passes.seed_of(0, 64) == passes.seed_of(0, 64), passes.seed_of(0, 64) == passes.seed_of(1, 64)
            (True, False)
        """
        words = np.random.SeedSequence([self.seed, number, first_row]).generate_state(1)
        return int(words[0]) & 0x7FFFFFFF


@contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """Let the generators of Python and NumPy, which layers of anybody's may draw from, begin with a seed for a while.

    One thread at a time: theirs, and those of most frameworks, are one for the whole process.

    Examples:
        >>> with drawing_from(3):
        ...     first = random.random()
        >>> with drawing_from(3):
        ...     first == random.random()
        True
    """
    with _DRAWING:
        yield from _drawn(seed)


def _drawn(seed: int) -> Iterator[None]:
    pythons, numpys = random.getstate(), np.random.get_state()  # noqa: NPY002  # the one that others share
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(pythons)
        np.random.set_state(numpys)  # noqa: NPY002
