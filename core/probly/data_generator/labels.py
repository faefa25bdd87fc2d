"""Which column the label of each row is.

Labels are class positions or class names, and who made them says which: text is names; numbers are positions, unless
the model (or the user) says that its classes are called by numbers. It is never
guessed from the labels, so it does not depend on which samples a dataset has. None, NaN and -1 stand for "no label".
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from probly.data_generator.label_values import UNLABELLED, Labels, are_text, label_values

ClassIndices = npt.NDArray[np.int64]

OTHER = -2
"""In place of a column: a class that the model has not learned, which it gives probability 0."""


class LabelColumns(NamedTuple):
    """Which column the label of each row is.

    Attributes:
        columns: int64, shape ``(N,)``; -1 for a row without a label, or without one that is a class, and ``OTHER``.
            None where there are no labels of classes at all.
        note: What keeps all or some of them from being used, or None.
    """

    columns: ClassIndices | None
    note: str | None = None

    @property
    def labelled(self) -> int:
        """How many rows have a label."""
        return 0 if self.columns is None else int(np.count_nonzero(self.columns != UNLABELLED))


def class_columns(
    labels: Any, num_classes: int, class_names: Sequence[Any] | None = None, classes: Sequence[Any] | None = None
) -> LabelColumns:
    """Return which column the label of each row is.

    Args:
        labels: Shape ``(N,)``, ``(N, 1)`` or one-hot ``(N, classes)``.
        num_classes: The number of columns.
        class_names: The name of each column, where known; labels that are text are looked up there.
        classes: What the labels of each column are, where the model says so, as ``classes_`` does. Labels of
            their kind are looked up there; one of none of them is of a class that the model has not learned.

    Examples:
        >>> class_columns(np.array(["dog", "cat", "cow"]), 2, ["cat", "dog"])
        LabelColumns(columns=array([ 1,  0, -1]), note="1 label is none of the classes, such as 'cow'")
        >>> class_columns(np.array([7, 3, 5]), 2, classes=[3, 7]).columns
        array([ 1,  0, -2])
        >>> class_columns(np.array([[1, 1], [0, 1]]), 2).note[:30]
        'labels of the shape (2, 2) are'
    """
    if labels is None:
        return LabelColumns(None)
    values = label_values(labels)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        return _one_hot(values, num_classes)
    if values.dtype.kind == "b" and {"False", "True"} <= set(map(str, class_names or ())):
        values = np.asarray(list(map(str, values.tolist())), dtype=np.str_)
    if are_text(values) and not all(value is None for value in values):
        return _by_text(values, class_names, classes)
    if values.dtype.kind not in "biuf":
        return _no_classes(values)
    if classes is not None and are_numbers(classes):
        return _by_number(values, classes)
    return _by_position(values, num_classes, class_names if classes is None else None)


def _no_classes(values: Labels) -> LabelColumns:
    given = [value for value in values.tolist() if value is not None]
    if not given:
        return LabelColumns(None, "no row has a label" if len(values) else None)
    kinds = sorted({type(value).__name__ for value in given})
    return LabelColumns(None, f"labels of the types {', '.join(kinds)} are no labels of classes")


def _one_hot(values: Labels, num_classes: int) -> LabelColumns:
    """Return the places of the ones, only where each row has a single 1 and else zeros."""
    if values.ndim == 2 and values.shape[1] == num_classes and values.dtype.kind in "biuf":
        ones = values == 1
        if (ones.sum(axis=1) == 1).all() and ((values == 0) | ones).all():
            return LabelColumns(values.argmax(axis=1).astype(np.int64))
    return LabelColumns(
        None,
        f"labels of the shape {values.shape} are not one-hot (several labels per sample, boxes or targets?); scores "
        "need one class per row",
    )


def _by_text(values: Labels, names: Sequence[Any] | None, classes: Sequence[Any] | None) -> LabelColumns:
    known = [str(name) for name in (names if classes is None or are_numbers(classes) else classes) or ()]
    if not known:
        example = next(value for value in values.tolist() if value is not None)
        note = f"labels are text, such as {example!r}, but the columns have no names; set class_names"
        return LabelColumns(None, note)
    if len(set(known)) < len(known):
        twice = next(name for name in known if known.count(name) > 1)
        return LabelColumns(None, f"labels are text, but two columns are called {twice!r}")
    places = {name: column for column, name in enumerate(known)}
    other = UNLABELLED if classes is None else OTHER
    distinct: dict[Any, int] = {value: places.get(value, other) for value in set(values.tolist()) - {None}}
    columns = np.asarray([UNLABELLED if value is None else distinct[value] for value in values.tolist()], np.int64)
    return _noted(columns, values, np.asarray([value is not None for value in values.tolist()], bool), other)


def _by_number(values: Labels, classes: Sequence[Any]) -> LabelColumns:
    numbers = np.asarray(classes, np.float64)
    if len(np.unique(numbers)) < len(numbers):
        return LabelColumns(None, "two columns are called by the same number")
    order = np.argsort(numbers)
    exact = values.astype(np.float64)
    places = np.minimum(np.searchsorted(numbers[order], exact), len(numbers) - 1)
    columns = np.where(numbers[order][places] == exact, order[places], OTHER).astype(np.int64)
    given = ~np.isnan(exact) & ~((exact == UNLABELLED) & (columns == OTHER))
    columns[~given] = UNLABELLED
    return _noted(columns, values, given, OTHER)


def _by_position(values: Labels, num_classes: int, names: Sequence[Any] | None) -> LabelColumns:
    given = ~np.isnan(values) if values.dtype.kind == "f" else np.ones(len(values), bool)
    given &= values != UNLABELLED
    if not given.any():
        return LabelColumns(None, "no row has a label" if len(values) else None)
    if values.dtype.kind == "f" and not (values[given] == np.floor(values[given])).all():
        wrong = next(value for value in values[given].tolist() if value != np.floor(value))
        return LabelColumns(None, f"labels such as {wrong} are targets, not classes")
    if _called_by_numbers(names):
        return LabelColumns(
            None,
            "labels are numbers, and so are the names of the classes, and nothing says whether they are names or "
            f"positions; pass class_names as numbers ({', '.join(map(str, list(names or ())[:3]))}, ...) if they are "
            "names",
        )
    smallest, largest = values[given].min(), values[given].max()
    if smallest >= 1 and largest == num_classes:
        return LabelColumns(
            None,
            f"labels count from {smallest:g} to {largest:g}: expected class indices from 0 to {num_classes - 1}; "
            "subtract 1, or set class_names to the numbers that the columns are called by",
        )
    inside = given & (values >= 0) & (values < num_classes)
    columns = np.full(len(values), UNLABELLED, np.int64)
    columns[inside] = values[inside].astype(np.int64)
    return _noted(columns, values, given, UNLABELLED, f"; expected class indices from 0 to {num_classes - 1}")


def _noted(
    columns: ClassIndices, values: Labels, given: npt.NDArray[np.bool_], other: int, expected: str = ""
) -> LabelColumns:
    """Return the columns with a word about labels that are none of the classes."""
    strange = given & (columns < 0)
    count = int(np.count_nonzero(strange))
    if not count:
        return LabelColumns(columns)
    example = values[strange].tolist()[0]
    example = f"{example:g}" if isinstance(example, float) else repr(example)
    what = "none of the classes" if other == UNLABELLED else "a class that the model has not learned"
    note = f"{count} label{'s are' if count > 1 else ' is'} {what}, such as {example}{expected}"
    if other == UNLABELLED and count == np.count_nonzero(given):
        return LabelColumns(None, note)
    return LabelColumns(columns, note)


def are_numbers(classes: Sequence[Any] | None) -> bool:
    """Return whether classes are called by numbers; True and False are no numbers, they are the positions 1 and 0."""
    return bool(classes) and all(isinstance(one, int | float) and not isinstance(one, bool) for one in classes or ())


def _called_by_numbers(names: Sequence[Any] | None) -> bool:
    """Return whether names are those of whole numbers other than the positions: nobody said what numbers mean then."""
    texts = [str(name) for name in names or ()]
    return bool(texts) and all(text.isascii() and text.isdigit() for text in texts) and texts != position_names(texts)


def position_names(names: Sequence[Any]) -> list[str]:
    """Return "0", "1", ... as many as there are names: what classes are called that have no other name."""
    return [str(column) for column in range(len(names))]
