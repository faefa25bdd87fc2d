"""``first-order report``."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from probly.data_generator.discovery.listing import find_backend
from probly.data_generator.discovery.loading import load_backend
from probly.data_generator.distributions import Distributions
from probly.data_generator.run.identity import describe_dataset
from probly_data_generator_command_line.arguments import file_argument, json_option, limit_option, subcommand
from probly_data_generator_command_line.data.loading import load_data
from probly_data_generator_command_line.data.picture_sets import Pictures
from probly_data_generator_command_line.data.settings import Data, DataSettings
from probly_data_generator_command_line.errors import InputError
from probly_data_generator_command_line.opening import open_complete
from probly_data_generator_command_line.printing import apart, emit, say
from probly_data_generator_command_line.stores import as_store, check_place


@subcommand("report", "first-order report teacher.fod --out report.html")
@file_argument("file")
@click.argument("other", required=False, type=click.Path(path_type=Path))
@click.option(
    "--out",
    default="report.html",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The page; replaces an older report.",
)
@click.option("--data", help="What FILE was generated from, for the pictures of its samples; see `generate`.")
@click.option("--inputs-key", help="See `generate`.")
@click.option("--split", metavar="NAME", help="See `generate`.")
@limit_option
@click.option(
    "--figures",
    type=click.Path(path_type=Path),
    help="A folder for figures (PNG, SVG) and numbers (JSON); replaces those of before.",
)
@click.option("--title", help="The heading of the page.")
@click.option("--bins", default=15, show_default=True, type=click.IntRange(1), help="Bins of the reliability diagram.")
@click.option("--samples", default=12, show_default=True, type=click.IntRange(0), help="How many samples are listed.")
@json_option
def report(
    file: Path, other: Path | None, out: Path, data: str | None, inputs_key: str | None, as_json: bool, **options: Any
) -> None:
    """Write a page about FILE, a store or a file of distributions, and about what OTHER does differently.

    One self-contained file with its pictures: provenance, uncertainty, classes, the most uncertain samples and, with
    labels, calibration. Needs the extra `report`.
    """
    from probly.data_generator.report import is_report, write_report  # it may not be installed

    if out.suffix.lower() not in (".html", ".htm"):
        message = f"{out}: expected a page's path, which ends in .html, as --out"
        raise InputError(message)
    figures = options["figures"]
    for path in (out,) if figures is None else (out, figures / "report.json"):
        check_place(path)
    if out.is_file() and not is_report(out):
        message = f"{out}: exists, and is no report, so it is not replaced; choose another --out, or remove it"
        raise InputError(message)
    limit, split = options.pop("data_limit"), options.pop("split")
    settings = DataSettings(inputs_key=inputs_key, raw=True, limit=limit, split=split)
    distributions = open_complete(file)
    second = None if other is None else open_complete(other)
    with apart(as_json):
        inputs = None if data is None else _pictures(data, settings, distributions)
        numbers = write_report(out, distributions, second, inputs=inputs, **options)
    lines = [f"{out}: {len(distributions):,} rows", *([] if figures is None else [f"{figures}: its figures"])]
    if numbers["labels"] not in ("used", "none"):
        say(f"Warning: the labels were not used, so there are no scores: {numbers['labels']}", err=True)
    emit(numbers, lines, as_json)


def _pictures(data: str, settings: DataSettings, distributions: Distributions) -> Any:
    """Return the samples as they are, so that pictures look as they do in their files."""
    store = as_store(distributions)
    stored_data = None if store is None else store.spec.identity.get("dataset")
    names = _columns(stored_data)
    loaded = load_data(data, replace(settings, feature_names=names))
    rows = len(distributions)
    stored = getattr(distributions, "sample_keys", None)
    if stored is not None and loaded.length not in (None, rows):
        loaded = _without_left_out(loaded, stored.tolist())
    if loaded.length not in (None, rows):
        message = f"--data {data}: expected the {rows:,} samples that the rows belong to, got {loaded.length:,}"
        raise InputError(message)
    if stored is not None and loaded.keys is not None:
        _compare_keys(data, [str(key) for key in stored], [str(key) for key in loaded.keys])
    _compare_arrays(data, stored_data, loaded.samples)
    return loaded.samples if names is None else None  # a data frame has no pictures


def _columns(stored: Any) -> list[str] | None:
    """Return the columns of the data frame that the rows were made from; None where it was none."""
    described = _first(stored.get("content")) if isinstance(stored, Mapping) else None
    parts = [str(key).partition(" ") for key in described] if isinstance(described, Mapping) else []
    numbered = [place == str(number) and space for number, (place, space, _) in enumerate(parts)]
    return [name for _, _, name in parts] if numbered and all(numbered) else None


def _without_left_out(loaded: Data, stored: list[Any]) -> Data:
    """Return the pictures that a run kept: it may have left out damaged ones, and its keys say which it did not."""
    keys: list[Any] = [*range(loaded.length or 0)] if loaded.keys is None else [*loaded.keys]
    places = {key: place for place, key in enumerate(keys)}
    kept = [places[key] for key in stored if key in places]
    if not isinstance(loaded.samples, Pictures) or len(kept) < len(stored):
        return loaded
    return replace(loaded, samples=loaded.samples.only(kept), keys=stored)


def _compare_keys(data: str, stored: list[str], found: list[str]) -> None:
    """Refuse other samples than those that the rows were made from: a picture would stand beside another's row."""
    for index, (old, new) in enumerate(zip(stored, found, strict=True)):
        if old != new:
            message = (
                f"--data {data}: is not what the rows were made from: at index {index} the store has {old!r}, the data "
                f"has {new!r}; pass the folder as it was, or leave out --data"
            )
            raise InputError(message)


def _compare_arrays(data: str, stored: Any, samples: Any) -> None:
    """Warn of other arrays than the rows were made from; the same ones before they were normalised may be meant."""
    if not isinstance(stored, Mapping) or stored.get("type") != "arrays":
        return
    found = describe_dataset(samples, load_backend(find_backend("numpy")))
    if found.get("type") == "arrays" and _first(found["content"]) != _first(stored["content"]):
        message = "its inputs are not the arrays that the rows were made from; see that their order is the same"
        say(f"Warning: --data {data}: {message}", err=True)


def _first(content: Any) -> Any:
    """Return what is said of the inputs, where labels may follow them."""
    return content.get("0", content) if isinstance(content, Mapping) else content
