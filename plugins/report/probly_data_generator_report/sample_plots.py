"""The plot of single samples with their distributions."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from probly_data_generator_report.counting import Sample
from probly_data_generator_report.pictures import Picture, pictures
from probly_data_generator_report.style import FIRST, INK, MUTED, SECOND, new_axes, plain, short_names, styled
from probly_data_generator_report.summary import Source, Summary, summarise

BARS = 10
LETTERS = 24
"""What there is room for of a sample's key, of which the end tells most: the file's name."""


def plot_samples(
    distributions: Source,
    inputs: Any = None,
    labels: npt.ArrayLike | None = None,
    *,
    count: int = 6,
    unexpected: bool = False,
    input_getter: Callable[[Any], Any] | None = None,
    ax: Any = None,
) -> Any:
    """Draw the most uncertain samples: their pictures, and their largest probabilities by class.

    A label is marked by its colour and a triangle.

    Args:
        distributions: A Distributions, any mapping from index to row, or a Summary of them.
        inputs: The dataset they were made from, for the pictures; see ``pictures.pictures``.
        labels: One per row in the order of the indices; by default those of the distributions.
        count: How many samples, at most.
        unexpected: Draw the samples with the least probable labels instead.
        input_getter: Picks the picture from a sample.
        ax: Matplotlib axes to draw in; a new figure by default.

    Returns:
        The axes that hold those of the samples.

    Examples:
        >>> ax = plot_samples({0: [0.5, 0.5], 7: [0.9, 0.1]}, count=1)
        >>> ax.child_axes[0].get_title(loc="left")
        'index 0'
    """
    summary = summarise(distributions, labels, samples=count)
    chosen = (summary.unexpected if unexpected else summary.uncertain)[:count]
    shown = {} if inputs is None else pictures(inputs, [sample.dataset_index for sample in chosen], input_getter)
    ax = new_axes(ax, max(1.55 * len(chosen), 2.0), 3.4 if shown else 2.2)
    with styled():
        ax.set_axis_off()
        for place, sample in enumerate(chosen):
            left, width = place / len(chosen), 0.78 / len(chosen)
            bars = ax.inset_axes([left, 0, width, 0.45 if shown else 0.9])
            _draw_bars(bars, summary, sample, first=place == 0)
            if shown:
                bars = ax.inset_axes([left, 0.52, width, 0.4])
                _draw_picture(bars, shown.get(sample.dataset_index))
            bars.set_title(_headline(summary, sample), fontsize=8, loc="left")
    return ax


def _headline(summary: Summary, sample: Sample) -> str:
    label = "" if sample.label is None else f"label {plain(summary.names()[sample.label], 10)}, "
    key = summary.keys_of([sample.dataset_index]).get(sample.dataset_index)
    named = "" if key is None else f"\n{plain(key if len(key) <= LETTERS else '…' + key[1 - LETTERS :], LETTERS)}"
    return f"{label}index {sample.dataset_index}{named}"


def _draw_picture(ax: Any, picture: Picture | None) -> None:
    ax.set_axis_off()
    if picture is None:
        ax.text(0.5, 0.5, "no picture", ha="center", va="center", color=MUTED)
    else:
        ax.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")


def shown_classes(row: npt.NDArray[Any], label: int | None, count: int = BARS) -> list[int]:
    """Return the columns to show of a row: all of few, else the largest and the label's, ascending.

    Examples:
        >>> shown_classes(np.array([0.4, 0.0, 0.1, 0.5]), label=1, count=3)
        [0, 1, 3]
    """
    if len(row) <= count:
        return list(range(len(row)))
    largest: list[int] = np.argsort(-row, kind="stable")[:count].tolist()
    if label is not None and label not in largest:
        largest[-1] = label
    return sorted(largest)


def _draw_bars(ax: Any, summary: Summary, sample: Sample, *, first: bool) -> None:
    classes = shown_classes(sample.row, sample.label)
    names = short_names(summary.names(), 10)
    names = [names[column] for column in classes]
    colours = [SECOND if column == sample.label else FIRST for column in classes]
    ax.bar(range(len(classes)), sample.row[classes], color=colours)
    if sample.label in classes:
        place = classes.index(sample.label)
        ax.plot([place], [sample.row[sample.label] + 0.06], "v", color=INK, markersize=4)
    ax.set_ylim(0, 1.1)
    ax.set_yticks([0, 0.5, 1], ["0", "0.5", "1"] if first else [""] * 3, fontsize=7)
    ax.set_xticks(range(len(classes)), names, fontsize=7, rotation=90 if max(map(len, names)) > 2 else 0)
    ax.tick_params(length=2)
    if first:
        ax.set_ylabel("probability", fontsize=8)
        ax.set_xlabel("class" if sample.label is None else "class (▼: the label)", fontsize=8)
