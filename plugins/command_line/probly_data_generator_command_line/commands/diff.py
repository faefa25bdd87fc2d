"""``first-order diff``."""

from pathlib import Path
from typing import Any

import click

from probly_data_generator_command_line.arguments import file_argument, json_option, subcommand
from probly_data_generator_command_line.opening import open_complete
from probly_data_generator_command_line.printing import emit, named, number, table

SHOWN_CLASSES = 10


@subcommand("diff", "first-order diff teacher.fod teacher.npz")
@file_argument("first")
@file_argument("second")
@click.option(
    "--tolerance", default=0.0, show_default=True, type=click.FloatRange(0), help="The largest difference that is none."
)
@json_option
def diff(first: Path, second: Path, tolerance: float, as_json: bool) -> int:
    """Compare FIRST with SECOND, stores or files of distributions, rows matched by dataset index.

    Prints the largest and the mean difference, total variation, Kullback-Leibler divergence (in nats, of SECOND from
    FIRST), the share of rows with the same most probable class, and the classes that differ most; --json has all
    classes. The exit code is 1 if a number differs by more than --tolerance, in members and other columns that both
    have, too, or one side lacks rows of the other.
    """
    from probly.data_generator.comparison import compare  # of the report, which may not be installed

    found = compare(open_complete(first), open_complete(second))
    rows, largest = found["rows"], found["difference"]["largest"]
    same = not rows["only_first"] and not rows["only_second"] and (largest is None or largest <= tolerance)
    same = same and all(one is None or one <= tolerance for one in found["columns"].values())
    result = {"first": str(first), "second": str(second), "same": same, "tolerance": tolerance, **found}
    emit(result, _lines(result), as_json)
    return int(not same)


def _lines(found: dict[str, Any]) -> list[str]:
    rows = found["rows"]
    heading = f"{found['first']} and {found['second']}: {'the same' if found['same'] else 'different'}"
    counts = {
        "rows in both": f"{rows['both']:,} x {found['classes']:,} classes",
        "only in the first": f"{rows['only_first']:,}" if rows["only_first"] else None,
        "only in the second": f"{rows['only_second']:,}" if rows["only_second"] else None,
    }
    for name, differs in found["columns"].items():
        if differs is None:
            counts[f"column {name}"] = "not compared: in one of them only, of other shapes, or no numbers"
        elif differs:
            counts[f"column {name}"] = f"largest difference {number(differs)}"
    if not rows["both"] or found["identical"]:
        return [heading, *named(counts)]
    largest, variation, divergence = found["difference"], found["total_variation"], found["kl_divergence"]
    values = {
        "largest difference": f"{number(largest['largest'])} (index {largest['index']}, class {largest['class']})",
        "mean difference": number(largest["mean"]),
        "total variation": _spread(variation),
        "KL divergence": f"{_spread(divergence)} nats",
        "top-1 agreement": f"{100 * found['top1_agreement']:.4g} %",
    }
    return [heading, *named(counts | values), "", *_classes(found["per_class"])]


def _spread(values: dict[str, Any]) -> str:
    return f"mean {number(values['mean'])}, largest {number(values['largest'])} (index {values['index']})"


def _classes(found: list[dict[str, Any]]) -> list[str]:
    most = sorted(found, key=lambda entry: -entry["mean_difference"])[:SHOWN_CLASSES]
    lines = [["class", "mean first", "mean second", "mean diff.", "largest diff.", "top-1 agreement"]]
    for entry in most:
        agreed = entry["top1_agreement"]
        lines.append(
            [
                str(entry["class"] if entry["name"] is None else entry["name"]),
                *(
                    number(entry[name])
                    for name in ("mean_first", "mean_second", "mean_difference", "largest_difference")
                ),
                "-" if agreed is None else f"{100 * agreed:.4g} % of {entry['top1_first']:,}",
            ]
        )
    left = [f"  and {len(found) - len(most):,} classes that differ less"] if len(found) > len(most) else []
    return [*table(lines), *left]
