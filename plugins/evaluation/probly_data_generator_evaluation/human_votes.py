"""What humans said: how many voted for each class of each sample. The number of votes is kept, for it is the noise."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.errors import AlignmentError
from probly.data_generator.indices import whole_numbers
from probly.data_generator.label_values import class_name
from probly_data_generator_evaluation.blocks import Floats, Rows, each_block

WHOLE = 0.01
"""How far from a whole number a frequency times its number of votes may be: files round to four digits and more."""


class HumanVotes:
    """The votes of humans for the classes of samples.

    Args:
        counts: Whole numbers of at least 0, shape ``(samples, classes)``: how many voted for each class, maybe a memory
            map; or the path of a ``.npy`` file of them, such as ``cifar10h-counts.npy`` (Peterson et al. 2019,
            https://arxiv.org/abs/1908.07086). Floats will do if they are whole.
        indices: The dataset index of each sample; None where the place in the array is all there is.
        keys: The key of each sample, such as its file name, or None.
        class_names: The name of each column, or None.

    Attributes:
        counts: The counts.
        votes: int64, shape ``(samples,)``: how many voted.
        indices: int64, shape ``(samples,)``, or None.
        keys: Text, shape ``(samples,)``, or None.
        class_names: The names, or None.

    Raises:
        AlignmentError: There is not one index or key per sample, or one is there twice.
        TypeError: They are no numbers.
        ValueError: A count is negative or no whole number, or a sample has no votes; the message names it.

    Examples:
        >>> votes = HumanVotes([[8, 2, 0], [5, 5, 0]], class_names=["cat", "dog", "ape"])
        >>> votes.frequencies()[0], votes.votes
        (array([0.8, 0.2, 0. ]), array([10, 10]))
    """

    def __init__(
        self,
        counts: Any,
        indices: npt.ArrayLike | None = None,
        keys: npt.ArrayLike | None = None,
        class_names: Sequence[Any] | None = None,
    ) -> None:
        if isinstance(counts, str | Path):
            counts = np.load(counts, mmap_mode="r")
        self.counts = counts if hasattr(counts, "shape") and hasattr(counts, "dtype") else np.asarray(counts)
        if len(self.counts.shape) != 2 or np.dtype(self.counts.dtype).kind not in "iuf":
            message = (
                f"counts: expected numbers of the shape (samples, classes), got {self.counts.dtype} of the shape "
                f"{tuple(self.counts.shape)}"
            )
            raise TypeError(message)
        self.indices = None if indices is None else _one_each(whole_numbers(indices), len(self), "index")
        self.keys = None if keys is None else _one_each(np.asarray(keys).astype(np.str_), len(self), "key")
        self.class_names = _names(class_names, self.counts.shape[1])
        self.votes = np.zeros(len(self), np.int64)
        for _ in each_block(self._count, len(self), self.counts.shape[1]):
            pass

    def _count(self, part: slice) -> None:
        block = np.asarray(self.counts[part])
        wrong = ~(block >= 0)
        if block.dtype.kind == "f":
            wrong |= block != np.floor(block)
        if wrong.any():
            place, column = np.argwhere(wrong)[0]
            message = (
                f"counts: expected whole numbers of votes, got {block[place, column]} for {self._name(part, place)}, "
                f"class {column}; if these are frequencies, HumanVotes.of_frequencies(frequencies, votes) takes them "
                "with the number of votes"
            )
            raise ValueError(message)
        found = block.sum(axis=1, dtype=np.float64)
        if not found.all():
            message = f"counts: {self._name(part, int(np.argmin(found)))} has no votes; leave it out"
            raise ValueError(message)
        self.votes[part] = found

    def _name(self, part: slice, place: int) -> str:
        position = part.start + place
        if self.keys is not None:
            return f"key {str(self.keys[position])!r}"
        return f"index {position if self.indices is None else self.indices[position]}"

    @classmethod
    def of_frequencies(cls, frequencies: npt.ArrayLike, votes: npt.ArrayLike, **names: Any) -> "HumanVotes":
        """Return the votes behind frequencies, whose number must be known.

        Args:
            frequencies: Floats of shape ``(samples, classes)``.
            votes: How many voted: one number, or one per sample.
            names: ``indices``, ``keys`` and ``class_names``, as in the class.

        Raises:
            ValueError: A frequency times the number of votes is no whole number.

        Examples:
            >>> HumanVotes.of_frequencies([[0.333, 0.667]], votes=3).counts
            array([[1, 2]])
        """
        exact = np.asarray(frequencies, np.float64) * np.asarray(votes, np.float64).reshape(-1, 1)
        counts = np.rint(exact)
        wrong = np.argwhere(~(np.abs(exact - counts) <= WHOLE))
        if len(wrong):
            place, column = wrong[0].tolist()
            message = (
                f"frequencies: sample {place}, class {column}, would have {exact[place, column]:.6g} votes: expected "
                "a whole number; give the number of votes of each sample"
            )
            raise ValueError(message)
        return cls(counts.astype(np.int64), **names)

    def __len__(self) -> int:
        """Return the number of samples."""
        return int(self.counts.shape[0])

    def frequencies(self) -> Floats:
        """Return the share of the votes that each class has: float64, shape ``(samples, classes)``."""
        return self.as_rows().exactly(slice(None))

    def as_rows(self) -> Rows:
        """Return the frequencies as rows that are read block by block."""
        indices = np.arange(len(self)) if self.indices is None else self.indices
        names = None if self.class_names is None else tuple(self.class_names)
        return Rows(self.counts, indices, keyed=self.indices is not None, counts=True, names=names)

    def take(self, places: npt.ArrayLike) -> "HumanVotes":
        """Return some of the samples, by their places, in this order."""
        chosen = np.asarray(places)
        return HumanVotes(
            self.counts[chosen],
            None if self.indices is None else self.indices[chosen],
            None if self.keys is None else self.keys[chosen],
            self.class_names,
        )

    def for_keys(self, keys: npt.ArrayLike, indices: npt.ArrayLike | None = None) -> "HumanVotes":
        """Return the votes of the samples with these keys, in this order: that of a dataset.

        Args:
            keys: The keys of the dataset's samples, such as the ``sample_keys`` of a store.
            indices: The dataset index of each; 0, 1, 2, ... by default.

        Raises:
            AlignmentError: These votes have no keys, or a key has no votes.

        Examples:
            >>> votes = HumanVotes([[3, 1], [0, 4]], keys=["b.png", "a.png"])
            >>> votes.for_keys(["a.png", "b.png"]).counts
            array([[0, 4],
                   [3, 1]])
        """
        if self.keys is None:
            message = "these votes have no keys: give them as keys=, or match by indices="
            raise AlignmentError(message)
        places = {key: place for place, key in enumerate(self.keys.tolist())}
        wanted = np.asarray(keys).astype(np.str_).tolist()
        missing = [key for key in wanted if key not in places]
        if missing:
            message = f"no votes for key {missing[0]!r} ({len(missing)} of {len(wanted)} have none)"
            raise AlignmentError(message)
        chosen = np.asarray([places[key] for key in wanted], np.int64)
        numbered = np.arange(len(wanted)) if indices is None else indices
        return HumanVotes(self.counts[chosen], numbered, self.keys[chosen], self.class_names)

    def in_order_of(self, class_names: Sequence[Any]) -> "HumanVotes":
        """Return the votes with their columns in the order of these names; a class that nobody voted for has none.

        Args:
            class_names: The names of a model's columns, such as ``distributions.class_names``.

        Raises:
            ValueError: These votes have no names, or are for a class that is none of them.

        Examples:
            >>> HumanVotes([[3, 1]], class_names=["dog", "cat"]).in_order_of(["ape", "cat", "dog"]).counts
            array([[0, 1, 3]])
        """
        wanted = [class_name(name) for name in class_names]
        if self.class_names is None:
            message = "the columns of these votes have no names: give class_names="
            raise ValueError(message)
        strange = [name for name in self.class_names if name not in wanted]
        if strange:
            message = f"class_names: expected {strange[0]!r} among them, which there are votes for, got {wanted}"
            raise ValueError(message)
        counts = np.zeros((len(self), len(wanted)), self.counts.dtype)
        counts[:, [wanted.index(name) for name in self.class_names]] = self.counts
        return HumanVotes(counts, self.indices, self.keys, wanted)

    def __repr__(self) -> str:
        """Return the size in one line."""
        fewest, most = (int(self.votes.min()), int(self.votes.max())) if len(self) else (0, 0)
        many = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        return f"HumanVotes({len(self)} samples x {self.counts.shape[1]} classes, {many} votes each)"


def _names(names: Sequence[Any] | None, classes: int) -> list[str] | None:
    if names is None:
        return None
    if len(names) != classes:
        message = f"class_names: expected {classes} names, one per class, got {len(names)}"
        raise ValueError(message)
    return [class_name(name) for name in names]


def _one_each(values: npt.NDArray[Any], samples: int, what: str) -> npt.NDArray[Any]:
    if values.shape != (samples,):
        message = f"expected one {what} per sample ({samples}), got the shape {values.shape}"
        raise AlignmentError(message)
    distinct, repeats = np.unique(values, return_counts=True)
    if len(distinct) < samples:
        message = f"{what} {distinct[repeats > 1][0]!s} is there twice: give all votes of a sample in one row"
        raise AlignmentError(message)
    return values
