"""``first-order report``."""

from pathlib import Path
from typing import Any

import click

from probly.data_generator.cli.arguments import file_argument, json_option, subcommand
from probly.data_generator.cli.errors import InputError
from probly.data_generator.cli.opening import open_complete
from probly.data_generator.cli.printing import emit


@subcommand("report", "first-order report teacher.fod --out report.html")
@file_argument("file")
@click.argument("other", required=False, type=click.Path(path_type=Path))
@click.option("--out", default="report.html", show_default=True, type=click.Path(path_type=Path), help="The page.")
@click.option("--data", help="What FILE was generated from, for the pictures of its samples; see `generate`.")
@click.option("--inputs-key", help="See `generate`.")
@click.option("--figures", type=click.Path(path_type=Path), help="A folder for each figure as PNG and SVG, and JSON.")
@click.option("--title", help="The heading of the page.")
@click.option("--bins", default=15, show_default=True, type=click.IntRange(1), help="Bins of the reliability diagram.")
@click.option("--samples", default=12, show_default=True, type=click.IntRange(0), help="How many samples are listed.")
@json_option
def report(
    file: Path, other: Path | None, out: Path, data: str | None, inputs_key: str | None, as_json: bool, **options: Any
) -> None:
    """Write a page about FILE, a store or a file of distributions, and about what OTHER does differently.

    One self-contained file with its pictures: provenance, uncertainty, classes, the most uncertain samples and, with
    labels, calibration. Needs Matplotlib: `pip install "probly-data-generator[report]"`.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        message = f"{out}: expected a page's path, which ends in .html, as --out"
        raise InputError(message)
    distributions = open_complete(file)
    second = None if other is None else open_complete(other)
    inputs = None if data is None else _pictures(data, inputs_key, len(distributions))
    from probly.data_generator.report import write_report  # noqa: PLC0415  # it has much to import

    numbers = write_report(out, distributions, second, inputs=inputs, **options)
    figures = options["figures"]
    lines = [f"{out}: {len(distributions):,} rows", *([] if figures is None else [f"{figures}: its figures"])]
    emit(numbers, lines, as_json)


def _pictures(data: str, inputs_key: str | None, rows: int) -> Any:
    """Return the samples as they are, so that pictures look as they do in their files."""
    from probly.data_generator.cli.datasets import DataSettings, load_data  # noqa: PLC0415  # only where it is asked for

    loaded = load_data(data, DataSettings(inputs_key=inputs_key, raw=True))
    if loaded.length not in (None, rows):
        message = f"--data {data}: expected the {rows:,} samples that the rows belong to, got {loaded.length:,}"
        raise InputError(message)
    return loaded.samples
