"""From what a model returns to checked rows: unwrapping, softmax, validity."""

import functools
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from probly.data_generator.errors import InvalidOutputError

FloatRows = npt.NDArray[np.float32]

OUTPUT_MODES = ("auto", "logits", "probs")
SUM_TOLERANCE = 1e-4
SURELY_WITHIN = 0.9 * SUM_TOLERANCE
"""What a sum that is computed quickly may miss 1 by without a closer look."""


class Operations(Protocol):
    """The six array operations that ``as_probabilities`` needs from a framework."""

    def float32(self, scores: Any) -> Any:
        """Cast to float32."""

    def is_half(self, scores: Any) -> bool:
        """Return whether the dtype has fewer bits than float32."""

    def softmax(self, scores: Any) -> Any:
        """Softmax over the last axis, with the maximum subtracted."""

    def sigmoid(self, scores: Any) -> Any:
        """Elementwise logistic function."""

    def two_columns(self, first: Any, second: Any) -> Any:
        """Stack two arrays of shape (N,) to (N, 2)."""

    def renormalise(self, rows: Any, tolerance: float) -> Any:
        """Divide each row by its sum where that differs from 1 by at most ``tolerance``; leave other rows alone."""


def check_output_mode(output_mode: str) -> str:
    """Return the mode in lower case.

    Raises:
        ValueError: It is none of auto, logits, probs.
    """
    mode = output_mode.lower() if isinstance(output_mode, str) else output_mode
    if mode not in OUTPUT_MODES:
        message = f"Invalid output_mode {output_mode!r}: expected one of {', '.join(map(repr, OUTPUT_MODES))}"
        raise ValueError(message)
    return mode


def unwrap(outputs: Any) -> Any:
    """Return the array in a model's outputs: itself, its ``.logits`` or its ``"logits"`` entry.

    Raises:
        TypeError: The outputs are another container.

    Examples:
        >>> unwrap({"logits": np.zeros((2, 3)), "loss": 0.1}).shape
        (2, 3)
    """
    if isinstance(outputs, np.ndarray):
        return outputs
    if isinstance(outputs, Mapping) and "logits" in outputs:
        return outputs["logits"]
    if hasattr(outputs, "logits"):
        return outputs.logits
    if hasattr(outputs, "shape") and hasattr(outputs, "dtype"):
        return outputs
    message = (
        "Model must return one array with a row per input, or an object with .logits; "
        f"got {describe(outputs)}. Pass output_transform to pick the probabilities from it"
    )
    raise TypeError(message)


def describe(value: Any) -> str:
    """Say in a few words what a value is, for error messages."""
    kind = type(value).__name__
    if isinstance(value, Mapping):
        return f"{kind} with keys {', '.join(map(repr, list(value)[:5]))}"
    if hasattr(value, "shape"):
        return f"{kind} of shape {tuple(value.shape)}"
    if isinstance(value, list | tuple):
        return f"{kind} of {len(value)}"
    return kind


def as_probabilities(outputs: Any, output_mode: Literal["logits", "probs"], ops: Operations) -> Any:
    """Turn a model's outputs into float32 rows on the device; backends call it inside their compiled step.

    With logits ``z`` of shape ``(N, classes)`` the rows are ``exp(z - max z) / sum exp(z - max z)``. A single score
    per row, shape ``(N,)`` or ``(N, 1)``, is the logit or the probability of the second of two classes.

    Args:
        outputs: Logits (any real) or probabilities (in [0, 1]) in the framework's array, any float dtype. Half
            precision is upcast first; half-precision probabilities miss 1 by their rounding and are renormalised.
        output_mode: What the outputs are.
        ops: The framework's operations.

    Raises:
        TypeError: The outputs are class labels, complex numbers, or no array.

    Returns:
        The framework's float32 array of shape ``(N, classes)``, or ``(N, 2)`` for single scores. Other shapes are
        passed on for the generator's check, which knows the batch.
    """
    return rows_of_scores(unwrap(outputs), output_mode, ops)


def rows_of_scores(raw: Any, output_mode: Literal["logits", "probs"], ops: Operations) -> Any:
    """Do what ``as_probabilities`` does to outputs that are known to be one array."""
    if not hasattr(raw, "dtype"):
        message = f"Model must return its scores in one array, got {describe(raw)}; set output_transform"
        raise TypeError(message)
    if is_complex(raw.dtype):
        got = f"an array of shape {tuple(raw.shape)} and dtype {raw.dtype}"
        message = f"Model must return real numbers, got {got}; set output_transform"
        raise TypeError(message)
    shape = raw.shape
    if len(shape) == 1 or (len(shape) == 2 and shape[1] == 1):
        return _two_classes(raw, output_mode, ops)
    scores = ops.float32(raw)
    if output_mode == "logits" and shape:
        return ops.softmax(scores)
    # bfloat16 keeps 8 bits, so a rounded row may miss 1 by about 2**-8; a larger miss is no rounding and stays visible.
    return ops.renormalise(scores, 2.0**-7) if shape and scores is not raw and ops.is_half(raw) else scores


@functools.cache
def is_complex(dtype: Any) -> bool:
    """Return whether a framework's dtype is one of complex numbers, of which a cast would drop a part.

    Examples:
        >>> is_complex(np.dtype(np.float32)), is_complex(np.dtype(np.complex64))
        (False, True)
    """
    return "complex" in str(dtype)


def _two_classes(raw: Any, output_mode: str, ops: Operations) -> Any:
    """Return two columns for a single score per row."""
    _refuse_labels(raw)
    scores = ops.float32(raw)
    scores = scores if len(scores.shape) == 1 else scores[:, 0]
    first, second = (ops.sigmoid(-scores), ops.sigmoid(scores)) if output_mode == "logits" else (1.0 - scores, scores)
    return ops.two_columns(first, second)


def _refuse_labels(scores: Any) -> None:
    if any(word in str(scores.dtype) for word in ("int", "bool")):
        message = (
            f"Model must return scores, got one number of dtype {scores.dtype} per row, which looks like class labels; "
            "return probabilities or logits (predict_proba, not predict), or set output_transform"
        )
        raise TypeError(message)


class BadRow(NamedTuple):
    """The first row of a batch that is no distribution, and what is wrong with it."""

    position: int
    reason: str


def find_bad_row(rows: FloatRows) -> BadRow | None:
    """Return the first row that is not finite, has a negative entry or does not sum to 1 within 1e-4.

    Args:
        rows: Shape ``(N, classes)``.

    Examples:
        >>> find_bad_row(np.array([[0.5, 0.5], [1.5, -0.5]], dtype=np.float32))
        BadRow(position=1, reason='it has a negative entry, -0.5')
        >>> find_bad_row(np.array([[0.25, 0.75]], dtype=np.float32)) is None
        True
    """
    if rows.size == 0:
        return None if len(rows) == 0 else BadRow(0, "it has no classes")
    # einsum takes a third of the time of sum, which adds more exactly and is asked where something may be wrong.
    # NaN and infinity fail the comparisons, so two passes over the rows cover all three rules. The methods of arrays
    # are Python around these two functions, which a short run pays for.
    sums = np.einsum("ij->i", rows)
    least, most = np.minimum.reduce, np.maximum.reduce
    if least(sums) >= 1.0 - SURELY_WITHIN and most(sums) <= 1.0 + SURELY_WITHIN and least(rows, axis=None) >= 0:
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        sums = rows.sum(axis=1)
        good = (np.abs(sums - 1.0) <= SUM_TOLERANCE) & (rows >= 0).all(axis=1)
    if good.all():
        return None
    position = int(np.argmin(good))
    row = rows[position]
    if not np.isfinite(row).all():
        return BadRow(position, f"it has a value that is not finite, {row[~np.isfinite(row)][0]}")
    if row.min() < 0:
        return BadRow(position, f"it has a negative entry, {row.min():.6g}")
    return BadRow(position, f"it sums to {sums[position]:.6g}, not to 1 within {SUM_TOLERANCE:g}")


def mostly_probabilities(rows: FloatRows) -> bool:
    """Return whether more than half of some rows are distributions up to a careless rounding: then so are the others.

    Examples:
        >>> mostly_probabilities(np.array([[0.25, 0.75], [0.333, 0.666], [0.0, 0.0]], dtype=np.float32))
        True
    """
    near = (rows.min(axis=1) >= 0) & (np.abs(rows.sum(axis=1) - 1.0) <= 0.02)
    return bool(2 * np.count_nonzero(near) > len(rows))


def may_be_probabilities(softmaxed: FloatRows) -> bool:
    """Return whether the first of some softmaxed rows can have been a distribution before; a yes needs a closer look.

    Softmax forgets only a constant per row, and a distribution sums to 1, which gives the constant back.

    Examples:
        >>> may_be_probabilities(np.array([[0.3, 0.7]], dtype=np.float32))
        True
        >>> may_be_probabilities(np.array([[0.1, 0.9]], dtype=np.float32))
        False
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        before = np.log(softmaxed[0].astype(np.float64))
        before += (1.0 - before.sum()) / len(before)
    return bool(before.min() >= -SUM_TOLERANCE and before.max() <= 1.0 + SUM_TOLERANCE)


def check_shape(rows: Any, expected: int, where: str) -> FloatRows:
    """Return host rows as a float32 array of shape ``(expected, classes)``.

    Raises:
        InvalidOutputError: Another number of rows or axes.
    """
    array = np.asarray(rows)
    if array.dtype.kind not in "fiub":
        message = f"{where}: expected real numbers, got dtype {array.dtype}; return probabilities"
        raise InvalidOutputError(message)
    got = array.shape[0] if array.ndim else 0
    if array.ndim == 0 or got != expected:
        message = (
            f"{where}: expected {expected} rows, got {got} (shape {array.shape}); "
            "return one row per input or set output_transform"
        )
        raise InvalidOutputError(message)
    if array.ndim != 2:
        message = (
            f"{where}: expected the shape (rows, classes), got {array.shape}; "
            "average or flatten the other axes in output_transform"
        )
        raise InvalidOutputError(message)
    return array.astype(np.float32, copy=False)


def cut_rows(rows: Any, padded: int, wanted: int) -> Any:
    """Cut the result of a padded batch back to its own rows; a wrong count must not be cut to a right one.

    Raises:
        InvalidOutputError: The model did not return one row per input.
    """
    got = int(rows.shape[0]) if len(rows.shape) else 0
    if got != padded:
        message = f"expected {padded} rows, got {got}; return one row per input or set output_transform"
        raise InvalidOutputError(message)
    return rows[:wanted]
