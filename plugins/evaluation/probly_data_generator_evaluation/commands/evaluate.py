"""``first-order evaluate``."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from probly.data_generator.distributions import Distributions
from probly.data_generator.errors import AlignmentError
from probly.data_generator.toolkit.places import Place
from probly.data_generator.toolkit.samples import Indices
from probly_data_generator_evaluation.blocks import Rows, members_of, rows_of
from probly_data_generator_evaluation.commands.given import labels_of, votes_of
from probly_data_generator_evaluation.commands.scores import Scores, distances_to, label_scores, row_scores
from probly_data_generator_evaluation.commands.shared import (
    a_path,
    emit,
    file_argument,
    json_option,
    labels_option,
    number,
    opened,
    subcommand,
    table,
    votes_option,
)
from probly_data_generator_evaluation.coverage import FewVotesWarning, coverage
from probly_data_generator_evaluation.credal_sets import Balls, ConvexHulls, CredalSets, ProbabilityIntervals
from probly_data_generator_evaluation.decompose import decompose
from probly_data_generator_evaluation.human_comparison import compare_to_humans

SETS: dict[str, Callable[[Any], CredalSets]] = {
    "probability intervals": ProbabilityIntervals,
    "convex hulls": ConvexHulls,
    "total variation balls": Balls.from_members,
}


@subcommand("evaluate", "first-order evaluate teacher.fod\nfirst-order evaluate teacher.fod --truth truth.npz")
@file_argument
@labels_option
@votes_option
@click.option("--truth", type=a_path, help="A file of the true distributions, where they are known.")
@json_option
def evaluate(file: Place, labels: Path | None, votes: Path | None, truth: Path | None, as_json: bool) -> None:
    """Say how good the distributions in FILE are, by all that is known of its samples.

    Always the mean entropy. With labels, its own or those of --labels: accuracy, likelihood, Brier score and
    calibration errors. With members: how much of the uncertainty is theirs. With --votes: how far the rows are from
    human judgement, and how far the noise of so few votes would take them. With --truth: how far they are from
    that. With members and either of these two: how often credal sets made of the members have it in them, and
    how narrow they are.
    """
    distributions = opened(file)
    rows = rows_of(distributions)
    found: Scores = {"path": str(file), "rows": len(rows), "classes": rows.classes, **row_scores(rows)}
    found["labels"], found["labels_note"] = _by_labels(rows, labels, distributions)
    members = None if distributions.members is None else members_of(distributions)
    found["members"] = None if members is None else {"members": members.members, **decompose(members).means()}
    found["votes"], found["truth"], found["coverage"] = None, None, {}
    if votes is not None:
        human = votes_of(votes, distributions)
        places = _places(rows, human.indices, votes)
        found["votes"] = compare_to_humans(rows.take(places), human).summary()
        found["coverage"]["votes"] = _covered(members, places, human)
    if truth is not None:
        true = opened(truth)
        places = _places(rows, true.indices, truth)
        found["truth"] = distances_to(rows.take(places), rows_of(true))
        found["coverage"]["truth"] = _covered(members, places, true)
    emit(found, _lines(found), as_json)


def _by_labels(rows: Rows, path: Path | None, distributions: Distributions) -> tuple[Scores | None, str | None]:
    """Return the scores, or why there are none; labels that were asked for must do."""
    given = labels_of(path, distributions)
    if given is None:
        return None, "none"
    try:
        return label_scores(rows, given), None
    except ValueError as error:
        if path is not None:
            raise
        return None, str(error).removeprefix("labels: ")


def _places(rows: Rows, indices: Any, path: Path) -> Indices:
    """Return the places of the rows that something is known of."""
    places = np.flatnonzero(np.isin(rows.indices, indices))
    if not len(places):
        message = (
            f"{path}: has none of the samples; their indices are {rows.indices[0]} to {rows.indices[-1]}, its own are "
            f"{indices[0]} to {indices[-1]}"
        )
        raise AlignmentError(message)
    return places


def _covered(members: Rows | None, places: Indices, truth: Any) -> Scores | None:
    """Return the coverage of each kind of credal sets."""
    if members is None:
        return None
    found = {}
    for name, make in SETS.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", FewVotesWarning)
            summary = coverage(make(members.take(places)), truth).summary()
        found[name] = {**summary, "note": str(caught[0].message) if caught else None}
    return found


def _lines(found: Scores) -> list[str]:
    lines = [
        f"{found['path']}: {found['rows']:,} rows x {found['classes']:,} classes",
        *_named({"mean entropy": _nats(found["mean_entropy"]), "mean confidence": number(found["mean_confidence"])}),
    ]
    parts = {"labels": _label_lines, "members": _member_lines, "votes": _vote_lines, "truth": _truth_lines}
    for name, make in parts.items():
        if found[name] is not None:
            lines += ["", *make(found[name])]
    if found["labels"] is None:
        lines += ["", f"no scores of labels: {found['labels_note']}"]
    for name, sets in found["coverage"].items() if found["members"] else ():
        lines += ["", *_coverage_lines(name, sets)]
    if found["coverage"] and found["members"] is None:
        lines += ["", "no credal sets, which are made of members: these are distributions without"]
    return lines


def _label_lines(scores: Scores) -> list[str]:
    values = {
        "accuracy": number(scores["accuracy"]),
        "negative log-likelihood": _nats(scores["negative_log_likelihood"]),
        "Brier score": number(scores["brier_score"]),
        "calibration error (ECE)": number(scores["calibration_error"]),
        "adaptive": number(scores["adaptive_calibration_error"]),
        "classwise": number(scores["classwise_calibration_error"]),
    }
    return [f"labels of {scores['samples']:,} rows:", *_named(values)]


def _member_lines(scores: Scores) -> list[str]:
    values = {
        "uncertainty": _nats(scores["total"]),
        "aleatoric, of the data": _nats(scores["aleatoric"]),
        "epistemic, of the models": f"{_nats(scores['epistemic'])} (mutual information)",
        "disagreement": f"{number(scores['disagreement'])} of the pairs have another largest entry",
    }
    return [f"{scores['members']:,} members:", *_named(values)]


def _vote_lines(scores: Scores) -> list[str]:
    values = {
        "total variation": f"{number(scores['total_variation'])}; {number(scores['total_variation_of_noise'])} if the "
        "rows were what humans voted from",
        "unbiased squared distance": f"{number(scores['unbiased_squared_distance'])}; 0 if they were",
        "Kullback-Leibler": f"{_nats(scores['kullback_leibler'])}, corrected "
        f"{number(scores['corrected_kullback_leibler'])}",
        "Jensen-Shannon": f"{_nats(scores['jensen_shannon'])}; {number(scores['half_jensen_shannon'])} between halves "
        "of the votes",
        "entropy": f"{_nats(scores['entropy'])}, of the votes {number(scores['human_entropy'])}, corrected "
        f"{number(scores['corrected_human_entropy'])}",
        "correlation of entropies": f"{number(scores['entropy_correlation'])}, at most "
        f"{number(scores['entropy_correlation_ceiling'])} with these votes",
        "same order of classes": number(scores["ranking"]),
    }
    return [f"votes for {scores['samples']:,} rows, at least {scores['fewest_votes']:,} each:", *_named(values)]


def _truth_lines(scores: Scores) -> list[str]:
    values = {
        "total variation": number(scores["total_variation"]),
        "Kullback-Leibler": _nats(scores["kullback_leibler"]),
        "Jensen-Shannon": _nats(scores["jensen_shannon"]),
        "squared distance": number(scores["squared_distance"]),
    }
    return [f"distance of {scores['samples']:,} rows to the truth:", *_named(values)]


def _coverage_lines(name: str, sets: Scores) -> list[str]:
    votes = name == "votes"
    rows = [["credal sets of the members", "covered", "95 % limits", *(["possible"] if votes else []), "efficiency"]]
    for title, one in sets.items():
        limits = f"{number(one['lower'])} - {number(one['upper'])}"
        possible = [number(one["highest_rate"])] if votes else []
        rows.append([title, number(one["rate"]), limits, *possible, number(one["efficiency"])])
    lines = [f"coverage of the {'frequencies of the votes' if votes else 'truth'}:", *table(rows)]
    if any(one["note"] for one in sets.values()):
        lines.append("  possible: of what humans voted from, which so few votes cannot tell; report both")
    return lines


def _nats(value: float | None) -> str:
    return number(value) if value is None else f"{number(value)} nats"


def _named(values: dict[str, str]) -> list[str]:
    return table(list(values.items()), left=(0, 1))
