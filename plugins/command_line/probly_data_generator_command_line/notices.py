"""What is no error but hardly meant: said on standard error when a run is over."""

from typing import TYPE_CHECKING

from probly.data_generator.labels import class_indices
from probly_data_generator_command_line.printing import say

if TYPE_CHECKING:
    from probly.data_generator.store import Store


def notice(store: "Store", data: str) -> None:
    """Print a line if a store has no rows, and one if its labels are none of its classes."""
    if not len(store):
        say(f"Warning: {data} has no samples, so the store has no rows", err=True)
        return
    problem = labels_problem(store)
    if problem is not None:
        say(
            f"Warning: the labels are kept, but not all of them are among the {store.num_classes} classes: {problem}",
            err=True,
        )


def labels_problem(store: "Store") -> str | None:
    """Return which label is not among the classes of a store, or None; boxes and targets are no labels of classes."""
    labels, names = store.labels, store.class_names
    try:
        columns = class_indices(labels, store.num_classes, names)
    except ValueError as error:
        return str(error).removeprefix("labels: ")
    if columns is None and names is not None and labels is not None and labels.dtype.kind == "U":
        unknown = sorted({*map(str, labels.flat)} - {*names})
        return f"{unknown[0]!r} is not among the class names" if unknown else None
    return None
