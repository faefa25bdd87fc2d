"""``first-order rank``."""

from pathlib import Path

import click

from probly.data_generator.toolkit.places import Place
from probly_data_generator_evaluation.commands.given import labels_of
from probly_data_generator_evaluation.commands.shared import (
    a_path,
    check_new,
    emit,
    file_argument,
    json_option,
    labels_option,
    number,
    opened,
    subcommand,
    table,
)
from probly_data_generator_evaluation.ranking import MEMBER_SCORES, NAMES, Ranking
from probly_data_generator_evaluation.ranking import rank as ranked

SHOWN = 20


@subcommand("rank", "first-order rank teacher.fod --by label\nfirst-order rank teacher.fod --out next.csv")
@file_argument
@click.option("--by", default="entropy", show_default=True, type=click.Choice(NAMES), help="The score.")
@click.option("--top", type=click.IntRange(1), metavar="N", help=f"How many.  [default: {SHOWN}, with --out all]")
@click.option("--out", type=a_path, help="Write the table to this .csv or .parquet, and do not print it.")
@labels_option
@json_option
def rank(file: Place, by: str, top: int | None, out: Path | None, labels: Path | None, as_json: bool) -> None:
    """Say which samples of FILE to look at, or to label, next.

    Entropy, margin and confidence: where the model is least sure. Label: where the label is least expected, which may
    be wrong. Mutual_information, variance and disagreement: where its members differ, so that another label teaches
    most; aleatoric: where they agree that nobody can know. The table has index, key and label where FILE has them, and
    the score, the largest first.
    """
    if out is not None:
        check_new(out)
        if out.suffix not in (".csv", ".parquet"):
            message = f"{out}: expected a file ending in .csv or .parquet as --out"
            raise ValueError(message)
    distributions = opened(file)
    if by in MEMBER_SCORES and distributions.members is None:
        message = (
            f"{file}: --by {by} needs members, and these are distributions without; use entropy, margin, confidence or "
            "label, or make them with several models or passes"
        )
        raise ValueError(message)
    given = labels_of(labels, distributions)
    if by == "label" and given is None:
        message = f"{file}: --by label needs labels, and it has none; give them by --labels"
        raise ValueError(message)
    count = top if out is not None or top is not None else SHOWN
    found = ranked(distributions, by, count=count, labels=given)
    result = {"path": str(file), "by": by, "rows": len(distributions)}
    if out is None:
        plain = [{name: None if value != value else value for name, value in one.items()} for one in found]  # noqa: PLR0124  # NaN
        emit({**result, "samples": plain}, _lines(found), as_json)
        return
    found.save(out)
    emit({**result, "out": str(out), "samples": len(found)}, [f"{out}: {len(found):,} samples by {by}"], as_json)


def _lines(found: Ranking) -> list[str]:
    names = list(found.columns())
    rows = [[number(value) if name == "score" else value for name, value in sample.items()] for sample in found]
    return table([names, *rows], left=[place for place, name in enumerate(names) if name in ("key", "label")])
