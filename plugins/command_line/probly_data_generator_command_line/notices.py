"""What is no error but hardly meant: said on standard error when a run is over; and the scores of its rows."""

import math
from typing import Any

from probly.data_generator.distributions import Distributions
from probly.data_generator.labels import class_columns
from probly.data_generator.metrics import BINS, report
from probly_data_generator_command_line.printing import number, say

LEAST_ROWS = 100
"""Of fewer, the share that is right says little."""


def notice(found: Distributions, data: str) -> dict[str, Any]:
    """Say so if a run gave no rows, if its labels are none of its classes, or guessed; return its scores."""
    if not len(found):
        say(f"Warning: {data} has no samples, so the store has no rows", err=True)
        return scores_of(found)
    problem = labels_problem(found)
    if problem is not None:
        say(
            f"Warning: the labels are kept, but not all of them are among the {found.num_classes} classes: {problem}",
            err=True,
        )
    scores = scores_of(found)
    guess = near_chance(scores, found.num_classes)
    if guess is not None:
        say(f"Warning: {guess}", err=True)
    return scores


def scores_of(found: Distributions) -> dict[str, Any]:
    """Return what is printed of all rows: the mean entropy, and where there are labels how right the rows are.

    Examples:
        >>> scores_of(Distributions([[0.75, 0.25], [0.75, 0.25]], labels=[0, 1]))["accuracy"]
        0.5
    """
    whole = report(found)
    names = ("accuracy", "expected_calibration_error", "mean_entropy")
    return {name: whole["metrics"][name] for name in names} | {"labelled": whole["labels"]["labelled"]}


def score_lines(scores: dict[str, Any]) -> dict[str, str | None]:
    """Return the scores as they are printed; what there is not as None."""
    accuracy, entropy, error = (scores[name] for name in ("accuracy", "mean_entropy", "expected_calibration_error"))
    return {
        "accuracy": None if accuracy is None else f"{number(accuracy)} over {scores['labelled']:,} labelled rows",
        "calibration error": None if error is None else f"{number(error)} expected, in {BINS} bins",
        "mean entropy": None if entropy is None else f"{number(entropy)} nats",
    }


def near_chance(scores: dict[str, Any], classes: int) -> str | None:
    """Say so if no more labels are right than guesses would be; the order of the classes is the usual reason.

    Three standard deviations of guessing are allowed for, and nothing is said of a few rows.

    Examples:
        >>> near_chance({"accuracy": 0.9, "labelled": 1000}, 10) is None
        True
        >>> near_chance({"accuracy": 0.11, "labelled": 1000}, 10)[:60]
        'the accuracy of 0.11 is what guessing gives among 10 classes'
    """
    accuracy, rows = scores["accuracy"], scores["labelled"]
    if accuracy is None or classes < 2 or rows < LEAST_ROWS:
        return None
    chance = 1 / classes
    if accuracy > chance + 3 * math.sqrt(chance * (1 - chance) / rows):
        return None
    return (
        f"the accuracy of {number(accuracy)} is what guessing gives among {classes} classes: if the model is better "
        "than that, its classes have another order than the labels' (folders count by the alphabet); --class-names "
        "says which name each column has"
    )


def labels_problem(found: Distributions) -> str | None:
    """Return which label is not among the classes, or None; boxes and targets are no labels of classes."""
    columns, note = class_columns(found.labels, found.num_classes, found.class_names, found.classes)
    strange = columns is not None or any(word in (note or "") for word in ("none of the classes", "class indices"))
    return note if strange else None
