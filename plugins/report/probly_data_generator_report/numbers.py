"""The numbers of a report, as JSON knows them."""

from typing import Any

import numpy as np

from probly.data_generator.calibration import Reliability
from probly_data_generator_report.class_plots import class_balance
from probly_data_generator_report.counting import Sample, SoftMass
from probly_data_generator_report.members import MemberCounts
from probly_data_generator_report.scores import Histogram
from probly_data_generator_report.summary import Summary

WHOLE_AT_MOST = 100
"""The soft mass of up to so many classes is written whole; of more, what the page shows of it."""
PAIRS = 12


def numbers(summary: Summary) -> dict[str, Any]:
    """Return every number that the page of a summary shows; None stands for what cannot be computed.

    Examples:
        >>> from probly_data_generator_report.summary import summarise
        >>> found = numbers(summarise({0: [0.25, 0.75]}, [1]))
        >>> found["accuracy"], found["samples"], found["most_uncertain"][0]["probabilities"]
        (1.0, 1, {'1': 0.75, '0': 0.25})
    """
    return {
        "samples": summary.samples,
        "classes": summary.classes,
        "labels": "used" if summary.labels is not None else summary.label_note or "none",
        "labelled": summary.labelled,
        "label_note": summary.label_note,
        **summary.scores,
        "entropy": _histogram(summary.entropy),
        "confidence": _histogram(summary.confidence),
        "reliability": None if summary.reliability is None else _reliability(summary.reliability),
        "members": None if summary.members is None else _members(summary, summary.members),
        "class_balance": _balance(summary),
        "soft_mass": _mass(summary),
        "most_uncertain": [_sample(summary, sample, "entropy") for sample in summary.uncertain],
        "least_expected": [_sample(summary, sample, "negative_log_likelihood") for sample in summary.unexpected],
    }


def _histogram(histogram: Histogram) -> dict[str, Any]:
    return {
        "mean": histogram.mean if histogram.total else None,
        "std": histogram.std if histogram.total else None,
        "edges": histogram.edges.tolist(),
        "counts": histogram.counts.tolist(),
    }


def _reliability(bins: Reliability) -> dict[str, Any]:
    return {
        "edges": bins.edges.tolist(),
        "counts": bins.counts.tolist(),
        "accuracy": bins.accuracy.tolist(),
        "confidence": bins.confidence.tolist(),
    }


def _members(summary: Summary, members: MemberCounts) -> dict[str, Any]:
    return {
        "count": members.count,
        **members.means,
        "mutual_information": _histogram(members.epistemic),
        "most_disputed": [_sample(summary, sample, "mutual_information") for sample in members.disputed],
    }


def _balance(summary: Summary) -> dict[str, Any]:
    given, _ = class_balance(summary)
    return {
        "classes": summary.group_names(),
        "samples": summary.mass.counts.tolist(),
        "by": summary.grouped_by,
        "mean_probability": given.tolist(),
        "top1": summary.predicted.tolist() if summary.mass.width == 1 else None,
    }


def _mass(summary: Summary) -> dict[str, Any]:
    mass = summary.mass
    return {
        "by": summary.grouped_by,
        "classes_per_row": mass.width,
        "own": np.diag(mass.means).tolist(),
        "largest_confusions": [
            {"from": source, "to": target, "mean_probability": value, "samples": count}
            for source, target, value, count in largest_confusions(summary)
        ],
        "means": mass.means.tolist() if len(mass.counts) <= WHOLE_AT_MOST else None,
    }


def largest_confusions(summary: Summary, count: int = PAIRS) -> list[tuple[str, str, float, int]]:
    """Return where most probability goes astray: (class of the samples, other class, mean probability, samples).

    The pairs with the largest means over the samples of a class come first.

    Examples:
        >>> from probly_data_generator_report.summary import summarise
        >>> largest_confusions(summarise({0: [0.75, 0.25], 1: [0.0, 1.0]}))
        [('0', '1', 0.25, 1)]
    """
    means, names = _without_own(summary.mass), summary.group_names()
    best = np.argsort(-means, axis=None, kind="stable")[: max(count, 0)]
    pairs = [(int(at) // means.shape[1], int(at) % means.shape[1]) for at in best.tolist()] if means.size else []
    return [
        (names[row], names[column], float(means[row, column]), int(summary.mass.counts[row]))
        for row, column in pairs
        if means[row, column] > 0
    ]


def _without_own(mass: SoftMass) -> Any:
    means = mass.means
    np.fill_diagonal(means, 0.0)
    return means


def _sample(summary: Summary, sample: Sample, score: str) -> dict[str, Any]:
    names = summary.names()
    order = np.argsort(-sample.row, kind="stable")[:10].tolist()
    repeated = len(set(names)) < len(names)
    return {
        "index": sample.dataset_index,
        **({"key": summary.keys[sample.dataset_index]} if sample.dataset_index in summary.keys else {}),
        "label": None if sample.label is None else names[sample.label],
        score: sample.score,
        "probabilities": {
            f"{names[column]} ({column})" if repeated else names[column]: float(sample.row[column]) for column in order
        },
    }
