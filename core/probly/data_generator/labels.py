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
    by_number = classes is not None and are_numbers(classes)
    if are_text(values):
        return _by_text(values, class_names if by_number else classes or class_names, known=classes is not None)
    if values.dtype.kind not in "biuf":
        kinds = sorted({type(value).__name__ for value in values.tolist() if value is not None})
        return LabelColumns(None, f"labels of the types {', '.join(kinds)} are no labels of classes")
    if by_number:
        return _looked_up(values, classes or (), OTHER)
    return _by_position(values, num_classes, class_names if classes is None else None)


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


def _by_text(values: Labels, names: Sequence[Any] | None, *, known: bool) -> LabelColumns:
    """Return the column of each name; where all names are known, another one is of a class that was not learned."""
    example = next((value for value in values.tolist() if value is not None), None)
    if example is not None and not names:
        note = f"labels are text, such as {example!r}, but the columns have no names; set class_names"
        return LabelColumns(None, note)
    return _looked_up(values, [str(name) for name in names or ()], OTHER if known else UNLABELLED)


def _by_position(values: Labels, num_classes: int, names: Sequence[Any] | None) -> LabelColumns:
    texts = [str(name) for name in names or ()]
    numbers = bool(texts) and all(text.isascii() and text.isdigit() for text in texts)
    given = values[(values == values) & (values != UNLABELLED)]  # noqa: PLR0124  # NaN
    wrong = given[given != np.floor(given)]
    note = None
    if len(wrong):
        note = f"labels such as {wrong[0]} are targets, not classes"
    elif len(given) and numbers and texts != position_names(texts):
        note = (
            "labels are numbers, and so are the names of the classes, and nothing says whether they are names or "
            f"positions; pass class_names as numbers ({', '.join(texts[:3])}, ...) if they are names"
        )
    elif len(given) and given.min() >= 1 and given.max() == num_classes:
        note = (
            f"labels count from {given.min():g} to {num_classes}: expected class indices from 0 to {num_classes - 1}; "
            "subtract 1, or set class_names to the numbers that the columns are called by"
        )
    if note is not None:
        return LabelColumns(None, note)
    return _looked_up(values, range(num_classes), UNLABELLED, f"; expected class indices from 0 to {num_classes - 1}")


def _looked_up(values: Labels, called: Sequence[Any], other: int, expected: str = "") -> LabelColumns:
    """Return the column that is called as each label is, and a word about labels that no column is called."""
    places = {name: column for column, name in enumerate(called)}
    number_of: dict[Any, int] = {}  # of each distinct label
    if values.dtype.kind in "biuf":
        found, inverse = np.unique(values, return_inverse=True)
        distinct = found.tolist()
    else:
        inverse = np.asarray([number_of.setdefault(value, len(number_of)) for value in values.tolist()], np.int64)
        distinct = list(number_of)
    absent = [
        value is None or value != value or (value == UNLABELLED and value not in places)  # noqa: PLR0124  # NaN
        for value in distinct
    ]
    strange = [not gone and value not in places for gone, value in zip(absent, distinct, strict=True)]
    columns = [UNLABELLED if gone else places.get(value, other) for gone, value in zip(absent, distinct, strict=True)]
    counts = np.bincount(inverse, minlength=len(distinct))
    count, given = int(counts[strange].sum()), len(values) - int(counts[absent].sum())
    note = None
    if not given:
        note = "no row has a label" if len(values) else None
    elif len(places) < len(called):
        note = f"two columns are called {next(name for at, name in enumerate(called) if places[name] != at)!r}"
    elif count:
        example = distinct[next(number for number in inverse.tolist() if strange[number])]
        shown = f"{example:g}" if isinstance(example, float) else repr(example)
        what = "none of the classes" if other == UNLABELLED else "a class that the model has not learned"
        note = f"{count} label{'s are' if count > 1 else ' is'} {what}, such as {shown}{expected}"
    useless = not given or len(places) < len(called) or (other == UNLABELLED and count == given)
    return LabelColumns(None if useless else np.asarray(columns, np.int64)[inverse], note)


def are_numbers(classes: Sequence[Any] | None) -> bool:
    """Return whether classes are called by numbers; True and False are no numbers, they are the positions 1 and 0."""
    return bool(classes) and all(isinstance(one, int | float) and not isinstance(one, bool) for one in classes or ())


def position_names(names: Sequence[Any]) -> list[str]:
    """Return "0", "1", ... as many as there are names: what classes are called that have no other name."""
    return [str(column) for column in range(len(names))]
