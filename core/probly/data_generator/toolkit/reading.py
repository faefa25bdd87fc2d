"""Reading the samples or the batches of one run, all in the same way, and counting the rows of a batch."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from probly.data_generator.errors import AlignmentError
from probly.data_generator.toolkit.nests import (
    Samples,
    children,
    collate_labels,
    common_rows,
    count_rows,
    is_array,
    shape_of,
)
from probly.data_generator.toolkit.outputs import describe
from probly.data_generator.toolkit.parts import Getter, parts_of, split_sample


class Reader:
    """Splits the samples or the batches of one run, all in the same way; see ``split_sample`` for its arguments."""

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

    def split(self, samples: Sequence[Any], indices: Sequence[Any] | None = None) -> tuple[list[Any], list[Any]]:
        """Return the inputs and the labels of samples; ``indices`` are what index_getter returned for each."""
        by_default = self.input_getter is None and self.label_getter is None
        if by_default and all(type(sample) is tuple and len(sample) == 2 for sample in samples):  # mostly: in a tenth
            return [sample[0] for sample in samples], [sample[1] for sample in samples]
        given = [None] * len(samples) if indices is None else indices
        found = [
            split_sample(sample, self.input_getter, self.pairs, self.label_getter, index)
            for sample, index in zip(samples, given, strict=True)
        ]
        inputs, labels = [value for value, _ in found], [label for _, label in found]
        return inputs, [None] * len(labels) if self._are_inputs(samples, inputs, labels) else labels

    def split_batch(self, batch: Any, rows: int | None) -> tuple[Any, Any]:
        """Return the inputs and the labels of a batch: of columns, or of a list of samples if nobody collated them.

        ``rows`` is the number that the sampler chose or index_getter named, or None.
        """
        several = list in self.pairs and parts_of(batch, self.pairs) is batch
        if several and self._lists_of_samples is None:
            self._lists_of_samples = _holds_samples(batch, rows)
        if several and self._lists_of_samples:
            if self.input_getter is None:
                inputs, labels = Reader(pairs=self.pairs).split(batch)
                inputs, labels = Samples(inputs), stacked_labels(labels)
            else:  # the getters get the whole batch, as of every loader
                inputs, labels = self.input_getter(batch), None
            return inputs, labels if self.label_getter is None else self.label_getter(batch)
        index = None if self.index_getter is None else self.index_getter(batch)
        inputs, labels = split_sample(batch, self.input_getter, self.pairs, self.label_getter, index)
        if self._are_inputs([batch], [inputs], [labels]):
            labels = None
        if type(inputs) is list and len(inputs) == rows != common_rows(inputs):
            return Samples(inputs), labels
        return _with_samples(inputs), labels

    def _are_inputs(self, samples: Sequence[Any], inputs: list[Any], labels: list[Any]) -> bool:
        """Return whether what seem to be labels are inputs, or nothing says; the first samples tell for all."""
        if self.input_getter is None or self.label_getter is not None:
            return False
        if self._label_is_input is None:
            rest = [() if isinstance(sample, Mapping) else parts_of(sample, self.pairs) for sample in samples]
            self._label_is_input = all(len(parts) > 1 for parts in rest) and all(
                label is None or _contains(value, label) for value, label in zip(inputs, labels, strict=True)
            )
            if self._label_is_input:
                message = (
                    f"input_getter is set and label_getter is not: nothing says which of the {len(rest[0])} parts of "
                    "a sample is its label, so there are no labels; set label_getter (lambda sample: None, if there "
                    "are none)"
                )
                warnings.warn(message, stacklevel=2)
        return self._label_is_input


def stacked_labels(labels: Sequence[Any]) -> Any:
    """Return the labels of samples as those of a batch, or None where no sample has one."""
    return None if all(label is None for label in labels) else collate_labels(labels)


def _contains(nest: Any, wanted: Any) -> bool:
    return nest is wanted or any(_contains(part, wanted) for part in children(nest) or ())


def _with_samples(nest: Any) -> Any:
    """Return the inputs of a batch with the lists among them that have an entry per row marked: of texts, of lists."""
    if type(nest) is dict:
        return {name: _with_samples(part) for name, part in nest.items()}
    if type(nest) not in (list, tuple) or not nest:
        return nest
    if all(isinstance(part, str) for part in nest) or (type(nest) is list and all(map(_is_plain_list, nest))):
        return Samples(nest)
    return tuple(map(_with_samples, nest)) if type(nest) is tuple else nest


def _is_plain_list(value: Any) -> bool:
    plain = str | int | float
    return isinstance(value, list) and all(isinstance(one, plain) or _is_plain_list(one) for one in value)


def _holds_samples(batch: Sequence[Any], rows: int | None) -> bool | None:
    """Return whether a list holds samples and not columns; None if that will show with a batch of other size."""
    if not batch:
        return False
    if rows is None:
        return len(batch) > 2 and len(set(map(type, batch))) == 1 and isinstance(batch[0], tuple | Mapping)
    if len(batch) != rows:
        return False
    first, last = batch[0], batch[-1]
    an_entry_each = not isinstance(first, list) and _has_entries(last, rows)
    if last is None or rows_of_labels(last) == rows or an_entry_each:  # it has a row for each
        shape = shape_of(first) or ()
        alike = (isinstance(first, tuple) and isinstance(last, tuple)) or (len(shape) > 1 and shape == shape_of(last))
        unclear = rows == 2 and (alike or (is_array(first) and rows_of_labels(first) != rows))
        found = None if rows > 2 else False
    else:
        # Two samples, or two inputs and two labels: the parts of each are alike, or those below each other.
        along, across = _kinds(first), _kinds(last)
        columns = rows == 2 and len(along) == len(across) == 2 and len(set(along)) == len(set(across)) == 1
        unclear = columns and along == across
        found = not columns
    if unclear:
        message = (
            f"a batch of 2 rows came as a list of two ({describe(first)}, {describe(last)}): these may be its samples, "
            "or inputs and labels; set input_getter and label_getter, which get the batch, or another batch_size"
        )
        raise AlignmentError(message)
    return found


def _kinds(part: Any) -> list[Any]:
    """Return the type and the number of axes of what a list or a tuple holds."""
    return [(type(one), len(shape_of(one) or ())) for one in part] if isinstance(part, list | tuple) else []


def rows_of_batch(inputs: Any, labels: Any, known: int | None) -> int:
    """Return the number of rows of a batch, from whoever knows: the sampler or index_getter, the labels, the inputs.

    Texts that were joined, graphs and the like have rows of their own. Another number than the known one is returned
    only if neither labels nor inputs agree with it: then a collate function dropped or added samples.
    """
    try:
        counted: int | None = count_rows(inputs)
    except TypeError:
        counted = None
    labelled = rows_of_labels(labels) or None  # a batch without labels may have rows all the same
    for rows in (counted, known):
        labelled = rows if _has_entries(labels, rows) else labelled
    seen = [rows for rows in (labelled, counted) if rows is not None]
    if known is not None and (known in seen or not seen):
        return known
    if not seen:
        message = (
            f"nothing tells how many rows a batch has: its inputs ({describe(inputs)}) have no common first axis, it "
            "has no labels, and no sampler chose it; set label_getter, or index_getter to an index per row"
        )
        raise AlignmentError(message)
    return seen[0]


def rows_of_labels(labels: Any) -> int | None:
    """Return how many rows the labels of a batch speak of, or None where they do not tell."""
    if not isinstance(labels, Mapping | list | tuple):
        return common_rows(labels) if is_array(labels) else None
    rows, kinds = common_rows(labels), set(map(type, labels))
    if isinstance(labels, Mapping) or rows is not None:
        return rows
    return len(labels) if len(kinds) == 1 and kinds <= {str, bytes, int, float, bool} else None


def _has_entries(labels: Any, rows: int | None) -> bool:
    """Return whether labels are a list of arrays alike, one per row, and not of columns."""
    return isinstance(labels, list) and len(labels) == rows and len({shape_of(one) for one in labels} - {None, ()}) == 1


def check_is_sample(value: Any, label: Any, kind: str) -> None:
    """Refuse the first sample of a dataset whose label has an entry for each row of its input: it may be a batch."""
    rows = common_rows(_with_samples(value))
    fits = rows is not None and (rows_of_labels(label) == rows or _has_entries(label, rows))
    if fits and not isinstance(label, Mapping):
        message = (
            f"an item of the {kind} has {rows} labels for an input of {rows} rows ({describe(value)}), so it may be a "
            "batch or a single sample; set batched=True if the dataset yields batches, batched=False if it yields "
            "samples"
        )
        raise AlignmentError(message)
