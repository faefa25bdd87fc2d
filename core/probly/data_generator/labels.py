"""Labels as columns: by position, by name, or one-hot."""

from typing import Any

import numpy as np
import numpy.typing as npt

ClassIndices = npt.NDArray[np.int64]


def class_indices(
    labels: npt.NDArray[Any] | None, num_classes: int, class_names: list[str] | None = None
) -> ClassIndices | None:
    """Return labels as column indices, shape ``(N,)``; one-hot labels ``(N, classes)`` become the index of their 1.

    Args:
        labels: Shape ``(N,)``, ``(N, 1)`` or one-hot.
        num_classes: The number of columns.
        class_names: The name of each column; labels that are all among the names are looked up there first.

    Returns:
        None if there are no labels, or they are not classes (other text, regression targets, boxes).

    Raises:
        ValueError: A label is no index of one of the classes.

    Examples:
        >>> class_indices(np.array([[0, 1], [1, 0]]), num_classes=2)
        array([1, 0])
        >>> class_indices(np.array(["dog", "cat"]), num_classes=2, class_names=["cat", "dog"])
        array([1, 0])
    """
    if labels is None or labels.dtype.kind not in "iubfUS":
        return None
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    elif labels.ndim == 2 and labels.shape[1] == num_classes and labels.dtype.kind in "iubf":
        labels = labels.argmax(axis=1)
    if labels.ndim != 1:
        return None
    named = _by_name(labels, class_names)
    if named is None and labels.dtype.kind == "f":
        if not np.array_equal(labels, np.floor(labels)):
            return None
        labels = labels.astype(np.int64)
        named = _by_name(labels, class_names)
    if named is not None or labels.dtype.kind in "US":
        return named
    if len(labels) and (labels.min() < 0 or labels.max() >= num_classes):
        wrong = labels[(labels < 0) | (labels >= num_classes)][0]
        message = f"labels: expected class indices from 0 to {num_classes - 1}, got {wrong}"
        raise ValueError(message)
    indices: ClassIndices = labels.astype(np.int64)
    return indices


def _by_name(labels: npt.NDArray[Any], class_names: list[str] | None) -> ClassIndices | None:
    """Return the columns of labels that are names of classes, as those of a model with ``classes_`` = [1, 2, 3] are."""
    if class_names is None or len(set(class_names)) < len(class_names):
        return None
    columns = {name: column for column, name in enumerate(class_names)}
    distinct, positions = np.unique(labels, return_inverse=True)
    found = [columns.get(str(label)) for label in distinct.tolist()]
    return None if None in found else np.asarray(found, np.int64)[positions.reshape(-1)]
