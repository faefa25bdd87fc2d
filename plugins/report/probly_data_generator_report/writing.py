"""Writing a report: one page, its figures as files, its numbers as JSON."""

import json
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy.typing as npt

from probly.data_generator.formats.atomic import replacing
from probly_data_generator_report.comparison import compare
from probly_data_generator_report.figures import Drawn, draw_all
from probly_data_generator_report.numbers import numbers as numbers_of
from probly_data_generator_report.page import POLICY, page
from probly_data_generator_report.pictures import pictures
from probly_data_generator_report.plots import titles
from probly_data_generator_report.provenance_table import facts
from probly_data_generator_report.style import matplotlib
from probly_data_generator_report.summary import summarise
from probly_data_generator_report.svg import render


def write_report(
    path: str | PathLike[str],
    distributions: Mapping[Any, Any],
    other: Mapping[Any, Any] | None = None,
    *,
    inputs: Any = None,
    labels: npt.ArrayLike | None = None,
    title: str | None = None,
    figures: str | PathLike[str] | None = None,
    input_getter: Callable[[Any], Any] | None = None,
    bins: int = 15,
    samples: int = 12,
) -> dict[str, Any]:
    """Write a page that shows distributions: uncertainty, classes, single samples and, with labels, calibration.

    The page is one file of HTML with its pictures in it; it needs no network and runs no JavaScript. Stores are read
    block by block, so memory does not grow with the number of rows.

    Args:
        path: The HTML file; it is written whole or not at all, in place of an older one.
        distributions: A Distributions, an open store, or any mapping from index to row.
        other: A second one, which is compared with the first; rows are matched by dataset index.
        inputs: The dataset that the distributions were made from: the samples that are listed get their pictures, if
            the inputs are pictures.
        labels: One per row in the order of ``distributions.indices``; by default those that the distributions carry.
        title: The heading of the page.
        figures: A folder that gets each figure as PNG and SVG, and the numbers as ``report.json``.
        input_getter: Picks the picture from a sample of ``inputs``.
        bins: The number of bins of the reliability diagram.
        samples: How many samples are listed, at most.

    Returns:
        Every number of the page, JSON-serialisable; None stands for what cannot be computed.

    Raises:
        ImportError: Matplotlib is not installed; the message says what to run.
        ValueError: The given labels are no classes, or the two sets have other columns.
        OSError: A file cannot be written.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "report.html"
        >>> found = write_report(path, {0: [0.75, 0.25], 1: [0.25, 0.75]}, labels=[0, 0])
        >>> found["accuracy"], found["brier_score"]
        (0.5, 0.625)
    """
    matplotlib()  # what is missing, or does not fit together, is said before anything is counted
    compared = None if other is None else compare(distributions, other)
    summary = summarise(distributions, labels, bins=bins, samples=samples)
    second = None if other is None else summarise(other, bins=bins, samples=samples)
    found = numbers_of(summary) | {"provenance": facts(summary.distributions)}
    if second is not None:
        found |= {"comparison": compared, "other": numbers_of(second) | {"provenance": facts(second.distributions)}}
    listed = [sample.dataset_index for sample in summary.listed]
    shown = {} if inputs is None else pictures(inputs, dict.fromkeys(listed), input_getter)
    drawn = list(draw_all(summary, second, inputs, input_getter))
    remarks = ["The inputs that were given are no pictures."] if inputs is not None and listed and not shown else []
    heading = title or " and ".join(titles([one for one in (summary, second) if one is not None]))
    text = page(heading, summary, drawn, shown, found, second, remarks)
    if figures is not None:
        _write_figures(Path(figures), drawn, found)
    _write(Path(path), text.encode())
    return found


def is_report(path: str | PathLike[str]) -> bool:
    """Return whether a file is a page that ``write_report`` wrote, so that a program may replace it by a new one.

    Raises:
        OSError: It cannot be read.

    Examples:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "index.html"
        >>> path.write_text("<!DOCTYPE html>") and is_report(path)
        False
    """
    with Path(path).open("rb") as file:
        return POLICY.encode() in file.read(1024)


def _write_figures(folder: Path, drawn: list[Drawn], found: Mapping[str, Any]) -> None:
    for figure in drawn:
        for form in ("png", "svg"):
            _write(folder / f"{figure.name}.{form}", render(figure.ax, form))
    _write(folder / "report.json", json.dumps(found, indent=1, allow_nan=False).encode() + b"\n")


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as file:
        file.write(content)
