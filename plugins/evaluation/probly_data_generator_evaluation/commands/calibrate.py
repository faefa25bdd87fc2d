"""``first-order calibrate``."""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from probly.data_generator.distributions import Distributions
from probly.data_generator.formats.choosing import format_of, save
from probly.data_generator.toolkit.places import Place
from probly.data_generator.toolkit.samples import Indices
from probly_data_generator_evaluation.blocks import rows_of
from probly_data_generator_evaluation.calibration import calibrate as calibrated_to
from probly_data_generator_evaluation.calibration import fit_temperature, rescale
from probly_data_generator_evaluation.commands.given import labels_of, votes_of
from probly_data_generator_evaluation.commands.scores import Scores, label_scores
from probly_data_generator_evaluation.commands.shared import (
    a_path,
    check_new,
    emit,
    file_argument,
    json_option,
    labels_option,
    number,
    opened,
    seed_option,
    subcommand,
    table,
    votes_option,
)
from probly_data_generator_evaluation.targets import label_columns

SHOWN = {
    "negative_log_likelihood": "negative log-likelihood",
    "brier_score": "Brier score",
    "calibration_error": "calibration error (ECE)",
    "adaptive_calibration_error": "adaptive calibration error",
    "classwise_calibration_error": "classwise calibration error",
    "unbiased_squared_distance": "unbiased squared distance to the votes",
    "total_variation": "total variation from the votes",
    "kullback_leibler": "Kullback-Leibler divergence from the votes",
    "jensen_shannon": "Jensen-Shannon divergence from the votes",
}


@subcommand("calibrate", "first-order calibrate teacher.fod --out calibrated.fod")
@file_argument
@click.option("--out", type=a_path, help="A new store or file for the rescaled rows.")
@labels_option
@votes_option
@seed_option("Of the halves.")
@json_option
def calibrate(file: Place, out: Path | None, labels: Path | None, votes: Path | None, seed: int, as_json: bool) -> None:
    """Fit one temperature to the labels of FILE, or to --votes, and write its rows at that temperature.

    It is fitted on one half of the samples, drawn by --seed. What is printed is of the other half, before and after:
    what to expect of samples that it was not fitted on. All rows are rescaled, and the metadata get the entry
    `rescaled_temperature`.
    """
    if out is not None:
        check_new(out)
        format_of(out)
    distributions = opened(file)
    given = labels_of(labels, distributions)
    if votes is not None:
        fit = _fit_to_votes(distributions, votes, seed)
    elif given is not None:
        fit = _fit_to_labels(distributions, given, seed)
    else:
        message = f"{file}: has no labels to calibrate to; give them by --labels, or human votes by --votes"
        raise ValueError(message)
    before, after = _before_and_after(distributions, given, fit, out)
    result = {
        "path": str(file),
        "out": None if out is None else str(out),
        "temperature": fit.temperature,
        "fitted_on": fit.samples,
        "reported_on": len(fit.others),
        "before": before,
        "after": after,
    }
    lines = _lines(result)
    if out is not None:
        lines.append(f"{out}: {len(distributions):,} rows")
    emit(result, lines, as_json)


class Fit(NamedTuple):
    """A temperature that was fitted on some samples, and the places of the others."""

    temperature: float
    samples: int
    others: Indices
    before: Scores
    after: Scores


def _fit_to_votes(distributions: Distributions, votes: Path, seed: int) -> Fit:
    found = calibrated_to(distributions, by=votes_of(votes, distributions), seed=seed)
    others = np.searchsorted(distributions.indices, found.reported_on)
    return Fit(found.temperature, len(found.fitted_on), others, found.before, found.after)


def _fit_to_labels(distributions: Distributions, labels: Any, seed: int) -> Fit:
    rows = rows_of(distributions)
    known = np.flatnonzero(label_columns(rows, labels) >= 0)
    half = len(known) // 2
    if not half:
        message = f"expected at least two rows with a label, one to fit a temperature on, got {len(known)}"
        raise ValueError(message)
    order = np.random.default_rng(seed).permutation(known)
    fitted, others = np.sort(order[:half]), np.sort(order[half:])
    return Fit(fit_temperature(rows.take(fitted), labels[fitted]).temperature, half, others, {}, {})


def _before_and_after(distributions: Distributions, labels: Any, fit: Fit, out: Path | None) -> tuple[Scores, Scores]:
    """Return the scores of the other half before and after all rows are rescaled, and write these."""
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
    shape = (len(distributions), distributions.num_classes)
    with tempfile.TemporaryFile(dir=None if out is None else out.parent) as room:  # memory may be too small for all
        rescaled = rescale(distributions, fit.temperature, np.memmap(room, np.float32, "w+", shape=shape))
        scores = [_scores(rows, labels, fit.others) for rows in (distributions, rescaled)]
        if out is not None:
            save(out, rescaled)
    return scores[0] | fit.before, scores[1] | fit.after


def _scores(distributions: Distributions, labels: Any, places: Indices) -> Scores:
    if labels is None:
        return {}
    rows = rows_of(distributions)
    labelled = places[label_columns(rows, labels)[places] >= 0]
    return label_scores(rows.take(labelled), labels[labelled]) if len(labelled) else {}


def _lines(found: dict[str, Any]) -> list[str]:
    rows = [
        [title, number(found["before"][name]), number(found["after"][name])]
        for name, title in SHOWN.items()
        if name in found["before"]
    ]
    accuracy = found["before"].get("accuracy")
    return [
        f"{found['path']}: temperature {number(found['temperature'])}, fitted on {found['fitted_on']:,} samples",
        *table([[f"on the other {found['reported_on']:,}", "before", "after"], *rows]),
        *([] if accuracy is None else [f"  accuracy, which no temperature changes, {number(accuracy)}"]),
    ]
