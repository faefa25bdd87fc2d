"""What is no error but hardly meant: said on standard error when a run is over."""

from typing import TYPE_CHECKING

from probly.data_generator.labels import class_columns
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
    columns, note = class_columns(store.labels, store.num_classes, store.class_names, store.classes)
    strange = columns is not None or any(word in (note or "") for word in ("none of the classes", "class indices"))
    return note if strange else None
