"""The figures of a report: what each shows, and in words what it says."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from probly_data_generator_report import class_plots, plots, sample_plots, simplex_plot
from probly_data_generator_report.counting import GROUPS_AT_MOST
from probly_data_generator_report.simplex import POINTS_AT_MOST
from probly_data_generator_report.style import styled
from probly_data_generator_report.summary import Summary


class Drawn(NamedTuple):
    """A figure: its name in ids and file names, its section, its heading, a caption that stands in for it, its axes."""

    name: str
    section: str
    title: str
    caption: str
    ax: Any


def draw_all(
    summary: Summary, other: Summary | None, inputs: Any, input_getter: Callable[[Any], Any] | None
) -> Iterator[Drawn]:
    """Yield the figures of a report, one at a time.

    Args:
        summary: What to draw.
        other: A second one, drawn over the first where both fit into one figure.
        inputs: The dataset, for pictures, or None.
        input_getter: Picks the picture from a sample.
    """
    if not summary.samples:
        return
    with styled():
        yield from _histograms(summary, other)
        if summary.members is not None:
            yield _members(summary)
        if summary.reliability is not None:
            yield _reliability(summary)
        yield from _classes(summary)
        if summary.triangle is not None:
            yield _simplex(summary)
        if summary.uncertain:
            ax = sample_plots.plot_samples(summary, inputs, input_getter=input_getter)
            yield Drawn("samples", "", "The most uncertain samples", "Those with the largest entropies.", ax)


def _histograms(summary: Summary, other: Summary | None) -> Iterator[Drawn]:
    entropy, confidence = summary.entropy, summary.confidence
    outline = "" if other is None else f" The outline: {other.title}."
    text = (
        f"Shannon entropy of {summary.samples:,} distributions, from 0 (sure) to {entropy.edges[-1]:.3g} nats (all "
        f"{summary.classes} classes alike). Mean {entropy.mean:.3g}, standard deviation {entropy.std:.3g}.{outline}"
    )
    yield Drawn("entropy", "Uncertainty", "Entropy", text, plots.plot_entropy(summary, other=other))
    text = (
        f"The largest probability of each distribution. Mean {confidence.mean:.3g}, "
        f"standard deviation {confidence.std:.3g}.{outline}"
    )
    yield Drawn("confidence", "Uncertainty", "Confidence", text, plots.plot_confidence(summary, other=other))


def _members(summary: Summary) -> Drawn:
    assert summary.members is not None
    means = summary.members.means
    text = (
        f"The mutual information of label and member for {summary.members.count} members: the part of the entropy that "
        f"is theirs and not the data's. Mean {means['epistemic']:.3g} of {means['total']:.3g} nats."
    )
    return Drawn("members", "Members", "What the members do not agree on", text, plots.plot_members(summary))


def _reliability(summary: Summary) -> Drawn:
    assert summary.reliability is not None
    text = (
        f"Accuracy against confidence in {len(summary.reliability.counts)} bins of equal width, with the number of "
        "samples of each bin above. Bars below the dashed line: too sure; above: not sure enough. "
        f"Expected calibration error {summary.reliability.expected_calibration_error:.3g}."
    )
    return Drawn("reliability", "Calibration", "Reliability", text, plots.plot_reliability(summary))


def _classes(summary: Summary) -> Iterator[Drawn]:
    groups, by = len(summary.mass.counts), summary.grouped_by
    grouped = f" Above {GROUPS_AT_MOST} classes, {summary.mass.width} neighbouring ones count as one." * (
        summary.mass.width > 1
    )
    empty = int((summary.mass.counts == 0).sum())
    missing = f" Of {groups}, {empty} have no samples." * (empty > 0)
    most, chosen = class_plots.BARS_AT_MOST, f"the {class_plots.BARS_AT_MOST} of {groups} "
    who = f"{chosen}whose samples give their own class least" if groups - empty > most else "each class with samples"
    text = f"Where the mean probability of a class's samples goes, for {who}; classes by {by}.{missing}{grouped}"
    yield Drawn(
        "mean_distribution", "Classes", "Mean distribution per class", text, class_plots.plot_mean_distribution(summary)
    )
    _, width = class_plots.confusion_cells(summary.mass)
    cell = f" A cell stands for {width * summary.mass.width} neighbouring classes." * (width * summary.mass.width > 1)
    text = f"Mean probability of each class (column) over the samples of each class by {by} (row).{cell}{missing}"
    yield Drawn("confusion", "Classes", "Confusion of soft mass", text, class_plots.plot_confusion(summary))
    who = f"{chosen}where the two differ most" if groups > most else "all classes"
    text = f"Mean probability over all samples, and the share of samples by {by}: {who}.{grouped}"
    yield Drawn("class_balance", "Classes", "Balance of classes", text, class_plots.plot_class_balance(summary))


def _simplex(summary: Summary) -> Drawn:
    form = "in small triangles" if summary.samples > POINTS_AT_MOST else "one by one"
    text = f"All {summary.samples:,} rows {form}. A corner is sure of its class; the middle is (1/3, 1/3, 1/3)."
    return Drawn("simplex", "Classes", "Simplex", text, simplex_plot.plot_simplex(summary))
