"""Plots of entropy, confidence and calibration. Each returns its Matplotlib axes."""

from typing import Any

import numpy as np
import numpy.typing as npt

from probly_data_generator_report.scores import Histogram
from probly_data_generator_report.style import FIRST, GRID, INK, MUTED, SECOND, new_axes, plain, styled
from probly_data_generator_report.summary import Source, Summary, summarise

MANY = 50
"""From so many samples in one bin on, counts are drawn on a logarithmic axis."""

BASELINE = 1e-9
"""Where bars of counts begin: at nothing, for a linear axis as for a logarithmic one."""


def plot_entropy(distributions: Source, *, other: Source | None = None, ax: Any = None) -> Any:
    """Draw a histogram of the Shannon entropies, in nats, from 0 to log(classes).

    Args:
        distributions: A Distributions, any mapping from index to row, or a Summary of them.
        other: A second one, drawn as an outline over the first.
        ax: Matplotlib axes to draw on; a new figure by default.

    Returns:
        The axes; show a new figure in a notebook with ``plot_entropy(distributions).figure``.

    Examples:
        >>> plot_entropy({0: [0.5, 0.5], 1: [0.9, 0.1]}).get_xlabel()
        'entropy (nats)'
    """
    both = [summarise(source) for source in (distributions, other) if source is not None]
    return _histogram([one.entropy for one in both], [plain(name, 24) for name in titles(both)], "entropy (nats)", ax)


def plot_confidence(distributions: Source, *, other: Source | None = None, ax: Any = None) -> Any:
    """Draw a histogram of the confidences: the largest entry of each row.

    Args:
        distributions: A Distributions, any mapping from index to row, or a Summary of them.
        other: A second one, drawn as an outline over the first.
        ax: Matplotlib axes to draw on; a new figure by default.

    Returns:
        The axes.
    """
    both = [summarise(source) for source in (distributions, other) if source is not None]
    return _histogram(
        [one.confidence for one in both],
        [plain(name, 24) for name in titles(both)],
        "confidence (largest probability)",
        ax,
    )


def plot_members(distributions: Source, *, ax: Any = None) -> Any:
    """Draw a histogram of the mutual information of label and member: what the members do not agree on, in nats.

    Args:
        distributions: A Distributions with members, or a Summary of them.
        ax: Matplotlib axes to draw on; a new figure by default.

    Returns:
        The axes.

    Raises:
        ValueError: There are no members.

    Examples:
        >>> from probly.data_generator import Distributions
        >>> two = [[[1.0, 0.0], [0.0, 1.0]]]
        >>> plot_members(Distributions([[0.5, 0.5]], columns={"members": two})).get_xlabel()
        'mutual information (nats)'
    """
    summary = summarise(distributions)
    if summary.members is None:
        message = "expected distributions with members; see docs/members.md for how a run keeps some"
        raise ValueError(message)
    return _histogram([summary.members.epistemic], [plain(summary.title, 24)], "mutual information (nats)", ax)


def titles(summaries: list[Summary]) -> list[str]:
    """Return the names of what is shown, told apart by their order where they are the same."""
    names = [summary.title for summary in summaries]
    return [f"{name} ({number})" for number, name in enumerate(names, 1)] if len(set(names)) < len(names) else names


def _histogram(histograms: list[Histogram], names: list[str], label: str, ax: Any) -> Any:
    ax = new_axes(ax)
    first, second = histograms[0], histograms[-1]
    with styled():
        _count_axis(ax, np.maximum(first.counts, second.counts))
        ax.stairs(first.counts, first.edges, baseline=BASELINE, fill=True, color=FIRST, label=names[0])
        if second is first:
            _mean_line(ax, first)
        else:
            ax.stairs(second.counts, second.edges, baseline=BASELINE, color=SECOND, linewidth=1.8, label=names[1])
            ax.legend(loc="upper center")
        ax.set(xlabel=label, xlim=(0, max(first.edges[-1], second.edges[-1])))
    return ax


def _mean_line(ax: Any, histogram: Histogram) -> None:
    if histogram.total:
        ax.axvline(histogram.mean, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        right = histogram.mean > histogram.edges[-1] / 2
        ax.annotate(
            f"mean {histogram.mean:.3g}",
            (histogram.mean, 1),
            xycoords=("data", "axes fraction"),
            xytext=(-4 if right else 4, -2),
            textcoords="offset points",
            ha="right" if right else "left",
            va="top",
        )


def _count_axis(ax: Any, counts: npt.NDArray[Any]) -> None:
    """Label the axis of counts; it is logarithmic where a bin would hide the others."""
    most = int(counts.max(initial=0))
    ax.grid(axis="y", linewidth=0.6)
    if most >= MANY:
        ax.set_yscale("log")
        ax.set_ylim(0.5, most * 2.5)
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else "")
        ax.set_ylabel("samples (log scale)")
    else:
        ax.set_ylim(0, max(most * 1.15, 1))
        ax.yaxis.get_major_locator().set_params(integer=True)
        ax.set_ylabel("samples")


def plot_reliability(
    distributions: Source, labels: npt.ArrayLike | None = None, *, bins: int = 15, ax: Any = None
) -> Any:
    """Draw accuracy against confidence in bins of equal width, with the number of samples of each bin above.

    Source: Guo et al. (2017), https://arxiv.org/abs/1706.04599, figure 1; see ``calibration.Reliability``.

    Args:
        distributions: A Distributions, any mapping from index to row, or a Summary of them.
        labels: One per row in the order of the indices; by default those of the distributions.
        bins: The number of bins.
        ax: Matplotlib axes to draw on; a new figure by default.

    Returns:
        The axes of the diagram; those of the counts are its child.

    Raises:
        ValueError: There are no labels.

    Examples:
        >>> plot_reliability({0: [0.75, 0.25], 1: [0.75, 0.25]}, [0, 1]).get_ylabel()
        'accuracy (share of samples)'
    """
    reliability = summarise(distributions, labels, bins=bins).reliability
    if reliability is None:
        message = "a reliability diagram needs labels that are classes; pass labels="
        raise ValueError(message)
    ax = new_axes(ax, height=3.9)
    used, edges = reliability.counts > 0, reliability.edges
    accuracy, confidence = reliability.accuracy[used], reliability.confidence[used]
    left, width = edges[:-1][used], edges[1]
    with styled():
        ax.bar(left, accuracy, width, align="edge", color=FIRST, edgecolor=GRID, linewidth=0.8, label="accuracy")
        ax.hlines(confidence, left, left + width, color=SECOND, linewidth=2.5, label="mean confidence")
        ax.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label="perfectly calibrated")
        ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence (largest probability)")
        ax.set_ylabel("accuracy (share of samples)")
        ax.legend(loc="upper left")
        _bin_counts(ax, edges, reliability.counts)
    return ax


def _bin_counts(ax: Any, edges: npt.NDArray[Any], counts: npt.NDArray[Any]) -> None:
    """Draw the number of samples of each bin in axes above the diagram."""
    above = ax.inset_axes([0, 1.04, 1, 0.26])
    _count_axis(above, counts)
    above.stairs(counts, edges, baseline=BASELINE, fill=True, color=MUTED)
    above.set(xlim=(0, 1), ylabel="samples")
    above.tick_params(labelbottom=False, labelsize=7)
