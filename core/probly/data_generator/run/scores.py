"""From what a model returned to rows of probabilities: on the host, in one place, for every backend.

A softmax of 1000 classes costs NumPy about 3 ns a number, which one core does beside a device that computes 10,000
images a second. In return no backend has a softmax to get wrong, all agree by construction, and the model sees every
batch once: what its scores are is decided from the first batch as it came.
"""

import functools
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.errors import InvalidOutputError
from probly.data_generator.rows import HALF_TOLERANCE, SUM_TOLERANCE, BadRow, Checked, FloatRows, check_rows
from probly.data_generator.run.remedies import (
    INDEPENDENT,
    LABELS,
    SAY,
    SHARES,
    common_sum,
    mostly_probabilities,
    or_say,
    remedy_for,
    whole_numbers,
    within_bounds,
)
from probly.data_generator.toolkit.outputs import describe

Scores = npt.NDArray[Any]
OUTPUT_MODES = ("auto", "logits", "probs")
SURELY_NO_CHANCE = 8
"""So many single scores within [0, 1] are probabilities; a few logits may lie there, too."""


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


@functools.cache
def is_half(dtype: Any) -> bool:
    """Return whether a dtype of any framework is a float of fewer than 32 bits, told by its name.

    Examples:
        >>> is_half(np.dtype(np.float16)), is_half(np.dtype(np.float32))
        (True, False)
    """
    return any(name in str(dtype) for name in ("float16", "float8", "half"))


def check_scores(outputs: Any, expected: int, where: str, *, members: bool = False) -> Scores:
    """Return the scores of a batch in host memory as real numbers, shape ``(expected,)`` or ``(expected, classes)``.

    With ``members``, shape ``(expected, members, classes)``.

    Raises:
        InvalidOutputError: Another number of rows or axes, or no classes.
        TypeError: They are complex numbers, dates, text, or no array at all.
    """
    array = np.asarray(outputs)
    if array.dtype.kind not in "fiub":
        remedy = "return its toarray()" if hasattr(outputs, "toarray") else "return probabilities or logits"
        found = f"{describe(outputs)} and dtype {array.dtype}" if array.ndim else describe(outputs)
        message = f"{where}: Model must return an array of real numbers, got {found}; {remedy}, or set output_transform"
        raise TypeError(message)
    got = array.shape[0] if array.ndim else 0
    if array.ndim == 0 or got != expected:
        message = (
            f"{where}: expected {expected} rows, got {got} (shape {array.shape}); "
            "return one row per input or set output_transform"
        )
        raise InvalidOutputError(message)
    if members:
        if array.ndim != 3 or not array.shape[1]:
            message = f"{where}: members=True: expected the shape (rows, members, classes), got {array.shape}"
            raise InvalidOutputError(message)
    elif array.ndim > 2:
        message = (
            f"{where}: expected the shape (rows, classes), got {array.shape}; average or flatten the other axes in "
            "output_transform, or set members=True where they are (rows, members, classes)"
        )
        raise InvalidOutputError(message)
    if array.ndim > 1 and not array.shape[-1]:
        message = f"{where}: expected a column per class, got the shape {array.shape}; return probabilities or logits"
        raise InvalidOutputError(message)
    return array


def softmax_in_place(scores: Scores) -> None:
    """Replace logits ``z`` of shape ``(N, classes)`` by ``exp(z - max z) / sum exp(z - max z)``, row by row.

    Examples:
        >>> scores = np.log(np.array([[1.0, 3.0]])) + 1000
        >>> softmax_in_place(scores)
        >>> scores.round(6)
        array([[0.25, 0.75]])
    """
    with np.errstate(invalid="ignore"):  # infinities become NaN, which the check of the rows reports with its index
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)


@dataclass
class ScoreReader:
    """What the scores of one run are, and how rows are made of them.

    Attributes:
        mode: ``"auto"`` until the first batch decides, then ``"logits"`` or ``"probs"``. What an ``output_transform``
            returned is probabilities.
        temperature: What logits are divided by; None for none.
        decided: Whether ``"auto"`` was asked for and has been decided.
        transformed: Whether the scores are what the user's own ``output_transform`` returned.
        known: ``"logits"`` or ``"probs"``, where the backend knows what the scores are whatever their values: those of
            a small batch may look like the other.
        one_class: Whether the model knows one class only: then a column is that class, not the second of two.
        half: Whether the scores were computed in half precision, whose probabilities may miss the sum of 1 by more.
        seen: Whether the first batch has been looked at.

    Raises:
        ValueError: The mode is the other one than the known one.
    """

    mode: str
    temperature: float | None = None
    decided: bool = False
    transformed: bool = False
    known: str | None = None
    one_class: bool = False
    half: bool = False
    seen: bool = False

    def __post_init__(self) -> None:
        """Settle a mode that is known, and refuse the other one."""
        if self.known == "probs" and self.temperature is not None:
            message = "a temperature needs logits, but the model returns probabilities; let it return its logits"
            raise ValueError(message)
        if self.known == "logits" and self.mode == "auto":
            self.mode = "logits"
        if self.known is not None and self.mode not in ("auto", self.known):
            what = {"logits": "logits", "probs": "probabilities"}
            message = (
                f'the model returns {what[self.known]}, not {what[self.mode]}; set output_mode="{self.known}" or '
                "output_transform"
            )
            raise ValueError(message)

    def read(self, scores: Scores, where: str, indices: npt.NDArray[np.int64], *, half: bool) -> Scores:
        """Return the scores of a batch with a column per class, after "auto" has been decided from the first one.

        A single score per row, shape ``(N,)`` or ``(N, 1)``, is the logit or the probability of the second of two
        classes: ``softmax((0, z)) = (1 - sigmoid(z), sigmoid(z))``.

        Args:
            scores: See ``check_scores``.
            where: The batch, for messages.
            indices: Its dataset indices, likewise.
            half: Whether they were computed in half precision, whose probabilities are divided by their sum.
        """
        single = scores.ndim == 1 or (scores.shape[1] == 1 and not self.one_class)
        self.half = half
        first, self.seen = not self.seen, True
        if single and not self.transformed and scores.dtype.kind in "iub":
            message = f"{where}: {LABELS.format(numbers='one number', dtype=scores.dtype)}"
            raise TypeError(message)
        if self.mode == "logits":
            if self.decided:
                self._refuse_probabilities(scores, where, single=single)
            elif first and self.known is None:
                self._warn_of_a_double_softmax(scores, where, single=single)
        else:
            rows = self._columns(scores, where, single=single)
            if self.mode == "auto":
                self._decide(scores, rows, where, indices, single=single)
            if self.mode == "probs":
                return rows
        if single:
            return np.stack([np.zeros(len(scores), scores.dtype), scores.reshape(-1)], axis=1)
        return scores

    def _columns(self, scores: Scores, where: str, *, single: bool) -> Scores:
        """Return scores with a column per class, taken as probabilities."""
        if not single or (self.transformed and scores.ndim == 2):
            return scores
        if self.transformed:
            message = (
                f"{where}: expected the shape (rows, classes), got {scores.shape}; let output_transform return a "
                "column for each of the two classes"
            )
            raise InvalidOutputError(message)
        second = scores.reshape(-1)
        return np.stack([1.0 - second, second], axis=1)

    def _decide(
        self, scores: Scores, rows: Scores, where: str, indices: npt.NDArray[np.int64], *, single: bool
    ) -> None:
        """Settle "auto" once per run, from what all rows of the first batch are."""
        bad = check_rows(rows.astype(np.float32, copy=False), self.tolerance).bad
        # Several whole floats per row may well be logits, such as those of a model whose weights are still zero.
        labels = whole_numbers(scores) if single else bad is not None and scores.dtype.kind in "iub"
        if self.known != "probs" and labels:
            message = f"{where}: {LABELS.format(numbers='whole numbers', dtype=scores.dtype)}{SAY}"
            raise TypeError(message)
        if bad is None and self.temperature is not None:
            message = (
                f"{where}: a temperature needs logits, but the first batch holds probabilities; let the model return "
                'what comes before its softmax, or set output_mode="logits" if these are logits'
            )
            raise InvalidOutputError(message)
        if bad is not None:
            self._refuse_neither(bad, rows, f"{where}, index {indices[bad.position]}")
        self.mode = "logits" if bad else "probs"
        self.decided = True

    def _refuse_neither(self, bad: BadRow, rows: Scores, where: str) -> None:
        """Refuse a first batch that holds no distributions, and hardly logits either."""
        remedy = remedy_for(rows[bad.position], known=self.known)
        if self.known == "probs":
            message = (
                f"{where}: the model returns probabilities, but a row of the first batch is no distribution, "
                f"{bad.reason}; {remedy}"
            )
            raise InvalidOutputError(message)
        if mostly_probabilities(rows):
            message = (
                f"{where}: most rows of the first batch look like probabilities, but in this one {bad.reason}; {remedy}"
            )
            raise InvalidOutputError(message)
        if within_bounds(rows) and rows.any():  # no sigmoid is 0 everywhere, but the logits of zero weights are
            message = (
                f"{where}: all scores of the first batch lie within [0, 1], but {bad.reason}; {INDEPENDENT}"
                f"{or_say(self.known)}"
            )
            raise InvalidOutputError(message)
        total = common_sum(rows, self.tolerance)
        if total is not None:
            message = f"{where}: {SHARES.format(total=total)}{or_say(self.known)}"
            raise InvalidOutputError(message)

    def _warn_of_a_double_softmax(self, scores: Scores, where: str, *, single: bool) -> None:
        """Warn where what is said to be logits are distributions; one who knows better is not refused."""
        if not len(scores) or (single and len(scores) < SURELY_NO_CHANCE):
            return
        rows = self._columns(scores, where, single=single).astype(np.float32, copy=False)
        if check_rows(rows, self.tolerance).bad is None:
            message = (
                f'{where}: output_mode="logits", but the first batch holds probabilities already, and a second softmax '
                'makes flat rows of them; set output_mode="probs" if the model ends with a softmax or a sigmoid'
            )
            warnings.warn(message, stacklevel=2)

    @property
    def tolerance(self) -> float:
        """What the sum of a row may miss 1 by."""
        return HALF_TOLERANCE if self.half and self.mode != "logits" else SUM_TOLERANCE

    def _refuse_probabilities(self, scores: Scores, where: str, *, single: bool) -> None:
        """Refuse a batch of probabilities in a run whose first batch held logits; one row may look so by chance."""
        if len(scores) < 2:
            return
        first = scores[0]  # which tells nearly always
        likely = first.min() >= 0 and first.max() <= 1 and (single or abs(first.sum() - 1) < HALF_TOLERANCE)
        rows = self._columns(scores, where, single=single).astype(np.float32, copy=False) if likely else None
        if rows is not None and check_rows(rows, HALF_TOLERANCE if self.half else SUM_TOLERANCE).bad is None:
            message = (
                f"{where}: its outputs are probabilities, but those of the first batch were logits; "
                'set output_mode to "logits" or "probs"'
            )
            raise InvalidOutputError(message)

    def to_rows(self, scores: Scores) -> None:
        """Make rows of scores that ``read`` returned, in place."""
        if self.mode != "logits":
            return
        if self.temperature is not None:
            scores /= self.temperature
        softmax_in_place(scores)

    def finish(self, scores: Scores) -> Checked:
        """Make rows of scores that ``read`` returned, in place where they can be, and check them."""
        self.to_rows(scores)
        return check_rows(scores.astype(np.float32, copy=False), self.tolerance)

    def rows_of(self, outputs: Any, where: str, *, half: bool) -> FloatRows:
        """Return the rows of one batch alone, whether they are distributions or not: what a run does to each.

        Args:
            outputs: Scores in host memory.
            where: What they are called in messages.
            half: See ``read``.
        """
        array = np.asarray(outputs)
        scores = check_scores(outputs, len(array) if array.ndim else 1, where)
        rows = self.read(scores, where, np.arange(len(scores)), half=half).astype(np.float64)
        return self.finish(rows).rows

    def remedy(self, row: Scores) -> str:
        """Say what to do about a row that is no distribution; never what leads to another refusal of it."""
        if self.transformed:
            return "output_transform must return probabilities"
        if self.mode == "logits":
            return "return logits or probabilities without NaN"
        remedy = remedy_for(row, known=self.known)
        return f"the first batch held probabilities (output_mode='auto'); {remedy}" if self.decided else remedy
