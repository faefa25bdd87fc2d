"""What is no error but hardly meant: said on standard error when a run is over."""

from probly.data_generator.distributions import Distributions
from probly.data_generator.labels import class_columns
from probly_data_generator_command_line.printing import say


def notice(found: Distributions, data: str) -> None:
    """Print a line if a run gave no rows, and one if its labels are none of its classes."""
    if not len(found):
        say(f"Warning: {data} has no samples, so the store has no rows", err=True)
        return
    problem = labels_problem(found)
    if problem is not None:
        say(
            f"Warning: the labels are kept, but not all of them are among the {found.num_classes} classes: {problem}",
            err=True,
        )


def labels_problem(found: Distributions) -> str | None:
    """Return which label is not among the classes, or None; boxes and targets are no labels of classes."""
    columns, note = class_columns(found.labels, found.num_classes, found.class_names, found.classes)
    strange = columns is not None or any(word in (note or "") for word in ("none of the classes", "class indices"))
    return note if strange else None
