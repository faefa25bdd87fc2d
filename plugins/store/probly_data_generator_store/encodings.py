"""How a store keeps a row: as it is, in half precision, or by its largest entries."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.rows import SUM_TOLERANCE, BadRow, FloatRows, check_rows

Tensors = Mapping[str, npt.NDArray[Any]]
NUMBERS_AT_ONCE = 2**20
"""What is decoded or checked in one piece: a row of a few numbers on the disk may have millions in memory."""
MOST_CLASSES = 2**24
"""What a store may have: a row of them takes 64 MB."""


class Encoding(ABC):
    """From checked float32 rows to tensors with one row each, and back.

    Attributes:
        name: What ``encoding_of`` knows it by.
        exact: Whether rows come back bit by bit, as views of the tensor ``probs``.
    """

    name: str
    exact = False

    @abstractmethod
    def encode(self, rows: FloatRows) -> dict[str, npt.NDArray[Any]]:
        """Return the tensors of some rows."""

    @abstractmethod
    def decode(self, tensors: Tensors, rows: Any, classes: int) -> FloatRows:
        """Return the float32 rows that a slice or an integer array selects, each with the sum 1."""

    @abstractmethod
    def stored(self, tensors: Tensors, rows: slice) -> tuple[FloatRows, float]:
        """Return the numbers that are kept of each row, before they are divided, and what their sum may miss 1 by."""

    def bad_row(self, tensors: Tensors, rows: slice) -> BadRow | None:
        """Return the first row that was none when it was written, which dividing by its sum would hide."""
        kept, tolerance = self.stored(tensors, rows)
        return check_rows(kept, tolerance).bad

    @abstractmethod
    def rounding(self, rows: FloatRows) -> FloatRows:
        """Return how far each entry of decoded rows may be from the one that was encoded."""

    @abstractmethod
    def columns(self, classes: int) -> dict[str, tuple[str, int]]:
        """Return the dtype and the number of columns of each tensor; 0 columns stand for a tensor of one axis."""

    def row_bytes(self, classes: int) -> int:
        """Return the bytes that a row takes."""
        return sum(np.dtype(dtype).itemsize * max(width, 1) for dtype, width in self.columns(classes).values())

    def check(self, tensors: Tensors, rows: int, classes: int) -> None:
        """Check the tensors of a file.

        Raises:
            ValueError: They are not of this encoding.
        """
        for name, (dtype, width) in self.columns(classes).items():
            shape = (rows, width) if width else (rows,)
            found = tensors.get(name)
            if found is None or found.dtype != np.dtype(dtype) or found.shape != shape:
                got = "nothing" if found is None else f"{found.dtype}{list(found.shape)}"
                message = f"tensor {name!r}: expected {dtype}{list(shape)}, got {got}"
                raise ValueError(message)


class Dense(Encoding):
    """All entries, in float32 or float16.

    Examples:
        >>> Dense("float16").decode({"probs": np.array([[0.25, 0.75]], np.float16)}, slice(None), 2)
        array([[0.25, 0.75]], dtype=float32)
    """

    def __init__(self, dtype: str) -> None:
        self.name = dtype
        self.exact = dtype == "float32"
        self.dtype = np.dtype(dtype).newbyteorder("<")

    def encode(self, rows: FloatRows) -> dict[str, npt.NDArray[Any]]:
        """Return the rows in the dtype.

        Raises:
            ValueError: Rounding leaves little of a row.
        """
        tensors = {"probs": rows.astype(self.dtype, copy=False)}
        bad = None if self.exact else self.bad_row(tensors, slice(None))
        if bad:
            message = f"encoding {self.name!r}: cannot keep so many small entries: {bad.reason}; use 'float32'"
            raise ValueError(message)
        return tensors

    def decode(self, tensors: Tensors, rows: Any, classes: int) -> FloatRows:  # noqa: ARG002
        """Return the rows; those of float16 are divided by their sum, which rounding has moved."""
        chosen = tensors["probs"][rows]
        return chosen if self.exact else _normalised(chosen.astype(np.float32))

    def stored(self, tensors: Tensors, rows: slice) -> tuple[FloatRows, float]:
        """Return all entries."""
        kept = tensors["probs"][rows]
        tolerance = SUM_TOLERANCE if self.exact else _half_tolerance(kept.shape[1])
        return kept.astype(np.float32, copy=False), tolerance

    def rounding(self, rows: FloatRows) -> FloatRows:
        """Return 0 for float32; float16 keeps 11 bits, and dividing by the sum may move an entry as much again."""
        return np.zeros_like(rows) if self.exact else rows * np.float32(2**-10) + np.float32(2**-24)

    def columns(self, classes: int) -> dict[str, tuple[str, int]]:
        """Return one tensor, ``probs``."""
        return {"probs": (self.name, classes)}


class TopK(Encoding):
    """The ``k`` largest entries in float16 with their classes, largest first, and the sum of the others.

    Examples:
        >>> top = TopK(1).encode(np.array([[0.125, 0.5, 0.375]], np.float32))
        >>> top["classes"], top["tail"]
        (array([[1]], dtype=uint16), array([0.5], dtype=float32))
        >>> TopK(1).decode(top, slice(None), 3)
        array([[0.25, 0.5 , 0.25]], dtype=float32)
    """

    def __init__(self, k: int) -> None:
        self.k = k
        self.name = f"top-{k}"

    def encode(self, rows: FloatRows) -> dict[str, npt.NDArray[Any]]:
        """Return ``classes``, ``probs`` and ``tail``.

        Raises:
            ValueError: There are fewer classes than ``k``.
        """
        classes = rows.shape[1]
        if self.k > classes:
            message = f"encoding {self.name!r}: expected at least {self.k} classes, got {classes}"
            raise ValueError(message)
        largest = np.argpartition(rows, classes - self.k, axis=1)[:, classes - self.k :]
        order = np.argsort(-np.take_along_axis(rows, largest, axis=1), axis=1, kind="stable")
        largest = np.take_along_axis(largest, order, axis=1)
        kept = np.take_along_axis(rows, largest, axis=1)
        tail = np.maximum(1.0 - kept.sum(axis=1, dtype=np.float64), 0.0)
        if self.k == classes:
            tail[:] = 0
        return {
            "classes": largest.astype(_class_dtype(classes)),
            "probs": kept.astype("<f2"),
            "tail": tail.astype("<f4"),
        }

    def decode(self, tensors: Tensors, rows: Any, classes: int) -> FloatRows:
        """Return rows whose other classes share the tail mass evenly."""
        kept, tail = tensors["probs"][rows].astype(np.float32), tensors["tail"][rows]
        others = (tail / np.float32(max(classes - self.k, 1))).astype(np.float32)
        dense = np.repeat(others[:, None], classes, axis=1)
        np.put_along_axis(dense, tensors["classes"][rows].astype(np.int64), kept, axis=1)
        return _normalised(dense)

    def stored(self, tensors: Tensors, rows: slice) -> tuple[FloatRows, float]:
        """Return the entries that are kept, and the tail."""
        kept, tail = tensors["probs"][rows].astype(np.float32), tensors["tail"][rows].astype(np.float32)
        return np.concatenate([kept, tail[:, None]], axis=1), _half_tolerance(self.k)

    def bad_row(self, tensors: Tensors, rows: slice) -> BadRow | None:
        """Return the first row that was no distribution when it was written, or keeps a class twice."""
        bad = super().bad_row(tensors, rows)
        ordered = np.sort(tensors["classes"][rows], axis=1)
        twice = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
        if twice.any() and (bad is None or twice.argmax() < bad.position):
            return BadRow(int(twice.argmax()), "it keeps a class twice")
        return bad

    def rounding(self, rows: FloatRows) -> FloatRows:
        """Return that of float16 for the entries that were kept; any other was at most as large as the least of these.

        The others all have the same share of the tail now: below the kept ones, except where rounding made them equal.
        """
        kept = rows * np.float32(2**-10) + np.float32(2**-24)
        if self.k >= rows.shape[1]:
            return kept
        least = -np.partition(-rows, self.k - 1, axis=1)[:, self.k - 1 : self.k]
        others: FloatRows = np.where(rows < least, np.maximum(rows, least - rows), np.float32(0))
        return others + kept

    def columns(self, classes: int) -> dict[str, tuple[str, int]]:
        """Return ``classes``, ``probs`` and ``tail``."""
        return {"classes": (_class_dtype(classes), self.k), "probs": ("float16", self.k), "tail": ("float32", 0)}

    def check(self, tensors: Tensors, rows: int, classes: int) -> None:
        """Check the tensors of a file, and that the classes exist."""
        super().check(tensors, rows, classes)
        if self.k > classes or (rows and int(tensors["classes"].max()) >= classes):
            message = f"tensor 'classes': expected indices below {classes}"
            raise ValueError(message)


def _class_dtype(classes: int) -> str:
    return "uint16" if classes <= 2**16 else "uint32"


def _half_tolerance(numbers: int) -> float:
    """Return what so many numbers of float16 may miss 1 by: they keep 11 bits, and the smallest is 2**-24."""
    return min(SUM_TOLERANCE + 2.0**-11 + numbers * 2.0**-25, 0.5)


def _normalised(rows: FloatRows) -> FloatRows:
    # In float64: what is read and written elsewhere is not to miss 1 by more than rounding, however many classes.
    rows /= rows.sum(axis=1, keepdims=True, dtype=np.float64)
    return rows


def encoding_of(name: str) -> Encoding:
    """Return the encoding of a name: ``"float32"``, ``"float16"`` or ``"top-<k>"``.

    Raises:
        ValueError: It is none of these.

    Examples:
        >>> encoding_of("top-10").k
        10
    """
    if name in ("float32", "float16"):
        return Dense(name)
    match = re.fullmatch(r"top-([1-9][0-9]{0,8})", name) if isinstance(name, str) else None
    if match is None:
        message = f'encoding: expected "float32", "float16" or "top-<k>", got {name!r}'
        raise ValueError(message)
    return TopK(int(match[1]))
