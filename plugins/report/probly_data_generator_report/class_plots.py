"""Plots of what each class gets. Each returns its Matplotlib axes."""

from typing import Any

import numpy as np
import numpy.typing as npt

from probly_data_generator_report.counting import SoftMass
from probly_data_generator_report.scores import Numbers
from probly_data_generator_report.style import (
    COLOUR_MAP,
    FIRST,
    MUTED,
    SECOND,
    matplotlib,
    new_axes,
    short_names,
    styled,
)
from probly_data_generator_report.summary import Source, Summary, summarise

BARS_AT_MOST = 20
CELLS_AT_MOST = 100
NAMED_CELLS, NUMBERED_CELLS = 25, 12
OTHERS_SHOWN = 3
SMALLEST_MASS = 1e-4


def plot_mean_distribution(distributions: Source, labels: npt.ArrayLike | None = None, *, ax: Any = None) -> Any:
    """Draw the mean distribution of the samples of each class as one bar: its own class, the next three, all others.

    Above 20 classes, those whose samples give the least probability to their own class are drawn.

    Args:
        distributions: A Distributions, any mapping from index to row, or a Summary of them.
        labels: One per row in the order of the indices; by default those of the distributions. Without labels, the
            largest entry of a row says its class.
        ax: Matplotlib axes to draw on; a new figure by default.

    Returns:
        The axes.

    Examples:
        >>> ax = plot_mean_distribution({0: [0.75, 0.25], 1: [0.1, 0.9]}, [0, 1])
        >>> [text.get_text() for text in ax.get_yticklabels()]
        ['0', '1']
    """
    summary = summarise(distributions, labels)
    shown = least_own_mass(summary.mass, BARS_AT_MOST)
    ax = new_axes(ax, height=1.4 + 0.2 * len(shown))
    names = short_names(summary.group_names())
    with styled():
        for place, group in enumerate(shown):
            _stacked_bar(ax, place, group, summary.mass.means[group], names)
        ax.set_yticks(range(len(shown)), [names[group] for group in shown])
        ax.set(xlim=(0, 1), ylim=(max(len(shown), 1) - 0.4, -0.6), xlabel="mean probability; right: the next classes")
        ax.set_ylabel(summary.grouped_by)
        if shown:
            ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2)
    return ax


def least_own_mass(mass: SoftMass, count: int) -> list[int]:
    """Return the classes with samples; if they are more than ``count``, those that keep the least mass, by number."""
    present = np.flatnonzero(mass.counts)
    own = mass.means[present, present]
    return sorted(present[np.argsort(own, kind="stable")[:count]].tolist())


def _stacked_bar(ax: Any, place: int, group: int, row: Numbers, names: list[str]) -> None:
    others = row.copy()
    others[group] = -1.0
    following = np.argsort(-others, kind="stable")[: min(OTHERS_SHOWN, len(row) - 1)].tolist()
    parts = [("own class", row[group], FIRST, 1.0)]
    parts += [("the next three", row[one], SECOND, 1.0 - 0.25 * rank) for rank, one in enumerate(following)]
    parts += [("all others", max(row.sum() - row[group] - row[following].sum(), 0.0), MUTED, 0.6)]
    start = 0.0
    for number, (label, value, colour, alpha) in enumerate(parts):
        new = place == 0 and (number in (0, 1) or number == len(parts) - 1)
        ax.barh(place, value, 0.75, start, color=colour, alpha=alpha, label=label if new else None)
        start += value
    text = ", ".join(f"{names[one]}: {row[one]:.3f}" for one in following[: 2 if max(map(len, names)) < 7 else 1])
    ax.annotate(text, (1, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=7)


def plot_class_balance(distributions: Source, labels: npt.ArrayLike | None = None, *, ax: Any = None) -> Any:
    """Draw the mean probability of each class beside its share of the labels, or of the largest entries.

    Above 20 classes, those where the two differ most are drawn.

    Args:
        distributions: A Distributions, any mapping from index to row, or a Summary of them.
        labels: One per row in the order of the indices; by default those of the distributions.
        ax: Matplotlib axes to draw on; a new figure by default.

    Returns:
        The axes.
    """
    summary = summarise(distributions, labels)
    given, share = class_balance(summary)
    shown = sorted(np.argsort(-np.abs(given - share), kind="stable")[:BARS_AT_MOST].tolist())
    ax = new_axes(ax, height=1.4 + 0.2 * len(shown))
    names = short_names(summary.group_names())
    with styled():
        ax.barh(range(len(shown)), given[shown], 0.75, color=FIRST, label="mean probability")
        ax.plot(
            share[shown], range(len(shown)), "D", color=SECOND, markersize=5, label=f"share by {summary.grouped_by}"
        )
        ax.set_yticks(range(len(shown)), [names[group] for group in shown])
        ax.set(ylim=(max(len(shown), 1) - 0.4, -0.6), xlabel="share of all samples", ylabel="class")
        ax.set_xlim(0, max(float(given.max(initial=0)), float(share.max(initial=0)), 1e-6) * 1.08)
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    return ax


def class_balance(summary: Summary) -> tuple[Numbers, Numbers]:
    """Return the mean distribution of all samples, and the share of samples of each class."""
    total = max(summary.samples, 1)
    return summary.mass.sums.sum(axis=0) / total, summary.mass.counts / total


def plot_confusion(distributions: Source, labels: npt.ArrayLike | None = None, *, ax: Any = None) -> Any:
    """Draw where the probability of each class's samples goes: rows are the label, columns the mean probability.

    Unlike counts of wrong predictions, this shows what the model is unsure of even where it is right. Above 100
    classes, a cell is a range of neighbouring ones: its columns are added up, so that each row still sums to 1.

    Args:
        distributions: A Distributions, any mapping from index to row, or a Summary of them.
        labels: One per row in the order of the indices; by default those of the distributions. Without labels, the
            largest entry of a row says its class.
        ax: Matplotlib axes to draw on; a new figure by default.

    Returns:
        The axes.

    Examples:
        >>> plot_confusion({0: [0.75, 0.25], 1: [0.1, 0.9]}, [0, 1]).get_ylabel()
        'label'
    """
    summary = summarise(distributions, labels)
    cells, width = confusion_cells(summary.mass)
    ax = new_axes(ax, 4.6, 4.3)
    with styled():
        norm = matplotlib("colors").LogNorm(SMALLEST_MASS, 1)
        if cells.size:
            shown = np.ma.clip(cells, SMALLEST_MASS, 1)
            image = ax.imshow(shown, norm=norm, cmap=COLOUR_MAP, interpolation="nearest")
            ax.figure.colorbar(image, ax=ax, shrink=0.7, label="mean probability (log scale)")
        if len(cells) <= NUMBERED_CELLS:
            _write_numbers(ax, cells)
        _name_cells(ax, summary, width, len(cells))
        ax.spines[:].set_visible(False)
    return ax


def confusion_cells(mass: SoftMass) -> tuple[Any, int]:
    """Return the cells of the confusion plot, masked where a row has no samples, and how many groups make one.

    Examples:
        >>> mass = SoftMass(2)
        >>> mass.add(np.array([[0.75, 0.25]], np.float32), np.array([0]))
        >>> print(confusion_cells(mass)[0])
        [[0.75 0.25]
         [-- --]]
    """
    width = max(1, -(-len(mass.counts) // CELLS_AT_MOST))
    starts = np.arange(0, len(mass.counts), width)
    counts = np.add.reduceat(mass.counts, starts) if len(starts) else mass.counts
    sums = mass.sums
    if width > 1:
        sums = np.add.reduceat(np.add.reduceat(sums, starts, axis=0), starts, axis=1)
    empty = np.broadcast_to(counts[:, None] == 0, sums.shape)
    return np.ma.masked_array(sums / np.maximum(counts, 1)[:, None], empty), width


def _write_numbers(ax: Any, cells: Any) -> None:
    for (row, column), value in np.ndenumerate(cells.filled(-1)):
        if value >= 0:
            text = "0" if value < 0.0005 else f"{value:.2f}" if value >= 0.0995 else f"{value:.3f}"[1:]
            # In the upper half of the logarithmic scale, black is the more readable one on this colour map.
            colour = "#000000" if value > SMALLEST_MASS**0.53 else "#ffffff"
            ax.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)


def _name_cells(ax: Any, summary: Summary, width: int, count: int) -> None:
    """Write the names of few classes along both axes, or the numbers of many."""
    named = count <= NAMED_CELLS and width * summary.mass.width == 1
    step = 1 if named else 5 * -(-count // 50)
    places = range(0, count, step)
    names = short_names(summary.group_names(), 10)
    labels = [names[place] if named else str(place * width * summary.mass.width) for place in places]
    long = max(map(len, labels), default=0) > 3
    ax.set_xticks(places, labels, rotation=90 if long else 0, fontsize=8)
    ax.set_yticks(places, labels, fontsize=8)
    ax.tick_params(length=2)
    ax.set_xlabel("mean probability of class" if named else "mean probability of class number")
    ax.set_ylabel(summary.grouped_by if named else f"{summary.grouped_by} (class number)")
