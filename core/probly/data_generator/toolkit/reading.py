"""Reading the samples or the batches of one run, all in the same way, and counting the rows of a batch."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from probly.data_generator.errors import AlignmentError
from probly.data_generator.toolkit.nests import Samples, collate_labels, common_rows, count_rows, is_array
from probly.data_generator.toolkit.outputs import describe
from probly.data_generator.toolkit.parts import Getter, is_list_of_numbers, parts_of, split_sample


class Reader:
    """Splits the samples or the batches of one run, all in the same way, and says once what has no label and why.

    Args:
        input_getter: See ``split_sample``, as for the others.
        label_getter: Picks the label.
        index_getter: Picks the dataset index.
        pairs: The types that hold an input and a label.
    """

    def __init__(
        self,
        input_getter: Getter | None = None,
        label_getter: Getter | None = None,
        index_getter: Getter | None = None,
        pairs: tuple[type, ...] = (tuple,),
    ) -> None:
        self.input_getter, self.label_getter, self.index_getter = input_getter, label_getter, index_getter
        self.pairs = pairs
        self._lists_of_samples: bool | None = None  # until a batch tells
        self._label_is_input: bool | None = None  # until the first samples tell

    @property
    def is_plain(self) -> bool:
        """Whether no getter looks at single samples."""
        return self.input_getter is None and self.label_getter is None and self.index_getter is None

    def split(self, samples: Sequence[Any], indices: Sequence[Any] | None = None) -> tuple[list[Any], list[Any]]:
        """Return the inputs and the labels of samples, or of batches.

        Args:
            samples: At least one.
            indices: What index_getter returned for each, or None.
        """
        by_default = self.input_getter is None and self.label_getter is None
        if by_default and all(type(sample) is tuple and len(sample) == 2 for sample in samples):
            return [sample[0] for sample in samples], [sample[1] for sample in samples]
        given = [None] * len(samples) if indices is None else indices
        found = [
            split_sample(sample, self.input_getter, self.pairs, self.label_getter, index)
            for sample, index in zip(samples, given, strict=True)
        ]
        inputs, labels = [value for value, _ in found], [label for _, label in found]
        if self.input_getter is not None and self.label_getter is None:
            labels = self._without_inputs(samples, inputs, labels)
        return inputs, labels

    def split_batch(self, batch: Any, rows: int | None) -> tuple[Any, Any]:
        """Return the inputs and the labels of a batch that a loader handed out.

        Args:
            batch: Columns with a row per sample, or a list of samples, as loaders that do not collate give.
            rows: The number of rows that the sampler chose or index_getter named, or None.

        Raises:
            AlignmentError: Two samples in a list may as well be inputs and labels of two rows.
        """
        if self._is_list_of_samples(batch, rows):
            inputs, labels = self.split(batch) if self.input_getter is None else (self.input_getter(batch), None)
            if self.label_getter is not None:
                labels = self.label_getter(batch)
            elif labels is not None:
                labels = None if all(label is None for label in labels) else collate_labels(labels)
            return (Samples(inputs) if self.input_getter is None else inputs), labels
        index = None if self.index_getter is None else self.index_getter(batch)
        (inputs,), (labels,) = self.split([batch], [index])
        ragged = type(inputs) is list and len(inputs) == rows != common_rows(inputs)
        return (Samples(inputs) if ragged else _with_samples(inputs)), labels

    def _is_list_of_samples(self, batch: Any, rows: int | None) -> bool:
        if list not in self.pairs or parts_of(batch, self.pairs) is not batch:
            return False
        if self._lists_of_samples is None:
            self._lists_of_samples = _looks_like_samples(batch, rows)
        return bool(self._lists_of_samples)

    def _without_inputs(self, samples: Sequence[Any], inputs: list[Any], labels: list[Any]) -> list[Any]:
        """Leave out labels that input_getter takes as inputs; the first samples tell for all."""
        if self._label_is_input is None:
            rest = [None if isinstance(sample, Mapping) else parts_of(sample, self.pairs) for sample in samples]
            self._label_is_input = all(parts is not None and len(parts) > 1 for parts in rest) and all(
                label is None or _contains(value, label) for value, label in zip(inputs, labels, strict=True)
            )
            if self._label_is_input:
                count = len(rest[0] or ())
                message = (
                    f"input_getter is set and label_getter is not: nothing says which of the {count} parts of a "
                    "sample is its label, so there are no labels; set label_getter (lambda sample: None, if there "
                    "are none)"
                )
                warnings.warn(message, stacklevel=2)
        return [None] * len(labels) if self._label_is_input else labels


def _with_samples(nest: Any) -> Any:
    """Return the inputs of a batch with the lists among them that have an entry per row marked: texts, lists."""
    if type(nest) is dict:
        return {name: _with_samples(part) for name, part in nest.items()}
    if type(nest) not in (list, tuple) or not nest:
        return nest
    if all(isinstance(part, str) for part in nest) or (type(nest) is list and all(map(is_list_of_numbers, nest))):
        return Samples(nest)
    return tuple(map(_with_samples, nest)) if type(nest) is tuple else nest


def _contains(nest: Any, wanted: Any) -> bool:
    if nest is wanted:
        return True
    values = nest.values() if isinstance(nest, Mapping) else nest if isinstance(nest, list | tuple) else ()
    return any(_contains(value, wanted) for value in values)


def _looks_like_samples(batch: Any, rows: int | None) -> bool | None:
    """Return whether a list holds samples and not columns; None if that will show with a batch of other size."""
    if not batch:
        return False
    if rows is None:
        kinds = {type(part) for part in batch}
        return len(batch) > 2 and len(kinds) == 1 and isinstance(batch[0], tuple | Mapping)
    if len(batch) != rows:
        return False
    fits = [part is None or rows_of_labels(part) == rows for part in batch]
    if not fits[-1]:
        return True
    first, last = batch[0], batch[-1]
    shapes = [np.shape(part) if isinstance(part, np.ndarray) else getattr(part, "shape", ()) for part in (first, last)]
    alike = shapes[0] == shapes[1] and (len(shapes[0]) > 1 or (isinstance(first, tuple) and isinstance(last, tuple)))
    if rows == 2 and (alike or (is_array(first) and not fits[0])):
        message = (
            f"a batch of 2 rows came as a list of two ({describe(first)}, {describe(last)}): these may be its samples, "
            "or inputs and labels; set input_getter and label_getter, which get the batch, or another batch_size"
        )
        raise AlignmentError(message)
    return None if rows > 2 else False


def rows_of_batch(inputs: Any, labels: Any, known: int | None) -> int:
    """Return the number of rows of a batch, from whoever knows: the sampler or index_getter, the labels, the inputs.

    Args:
        inputs: Anything that a model takes; texts that were joined, graphs and the like have rows of their own.
        labels: The labels, or None.
        known: What the sampler chose or index_getter named, or None. Another number is returned only if neither the
            labels nor the inputs agree: then a collate function dropped or added samples.

    Raises:
        AlignmentError: Nobody knows.

    Examples:
        >>> rows_of_batch(np.zeros(29), np.zeros(8), None), rows_of_batch(np.zeros(29), np.zeros(0), None)
        (8, 29)
    """
    labelled = rows_of_labels(labels) or None  # a batch without labels may have rows all the same
    try:
        counted: int | None = count_rows(inputs)
    except TypeError:
        counted = None
    if known is not None:
        seen = {labelled, counted} - {None}
        return known if not seen or known in seen else next(rows for rows in (labelled, counted) if rows is not None)
    rows = counted if labelled is None else labelled
    if rows is None:
        message = (
            f"nothing tells how many rows a batch has: its inputs ({describe(inputs)}) have no common first axis, it "
            "has no labels, and no sampler chose it; set label_getter, or index_getter to an index per row"
        )
        raise AlignmentError(message)
    return rows


def rows_of_labels(labels: Any) -> int | None:
    """Return how many rows the labels of a batch speak of, or None where they do not tell.

    Examples:
        >>> rows_of_labels(np.zeros((3, 2))), rows_of_labels(["cat", "dog"]), rows_of_labels(7)
        (3, 2, None)
    """
    if isinstance(labels, Mapping):
        return common_rows(labels)
    if isinstance(labels, list | tuple):
        rows = common_rows(labels)
        kinds = {type(part) for part in labels}
        plain = len(kinds) == 1 and kinds <= {str, bytes, int, float, bool}
        return len(labels) if rows is None and plain else rows
    return common_rows(labels) if is_array(labels) else None


def check_is_sample(value: Any, label: Any, kind: str) -> None:
    """Refuse the first sample of a dataset whose label has an entry for each row of its input: it may be a batch.

    Args:
        value: Its input.
        label: Its label.
        kind: The type of the dataset, for the message.

    Raises:
        AlignmentError: The message names ``batched``.
    """
    rows = None if isinstance(label, Mapping | str) or label is None else rows_of_labels(label)
    if rows is None or rows != common_rows(_with_samples(value)):
        return
    message = (
        f"an item of the {kind} has {rows} labels for an input of {rows} rows ({describe(value)}), so it may be a "
        "batch or a single sample; set batched=True if the dataset yields batches, batched=False if it yields samples"
    )
    raise AlignmentError(message)
