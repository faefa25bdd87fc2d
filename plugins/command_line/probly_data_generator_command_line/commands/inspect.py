"""``first-order inspect``."""

from pathlib import Path
from typing import Any

import click
import numpy as np

from probly.data_generator.distributions import Distributions
from probly_data_generator_command_line.arguments import file_argument, json_option, subcommand
from probly_data_generator_command_line.notices import near_chance, score_lines, scores_of
from probly_data_generator_command_line.opening import bytes_text, missing_rows, open_any, size_of
from probly_data_generator_command_line.printing import emit, named, number, shortened, table
from probly_data_generator_command_line.stores import as_store

SHOWN_CLASSES = 5


@subcommand("inspect", "first-order inspect teacher.fod\nfirst-order inspect teacher.fod --rows 2 --json")
@file_argument("file")
@click.option("--rows", default=5, show_default=True, type=click.IntRange(0), help="How many rows to show.")
@json_option
def inspect(file: Path, rows: int, as_json: bool) -> None:
    """Show what is in FILE, a store or a file of distributions: size, classes, provenance and the first rows.

    An unfinished store is shown with the rows that it has. All rows are read for the scores; `verify` checks whether
    every byte is right.
    """
    distributions = open_any(file)
    result = describe(file, distributions)
    result["scores"] = scores_of(distributions)
    result["columns"] = {name: _array(column) for name, column in distributions.columns.items()}
    result["first_rows"] = _first_rows(distributions, rows)
    emit(result, _lines(result), as_json)


def describe(path: Path, distributions: Distributions) -> dict[str, Any]:
    """Return what a store or a file holds, JSON-serialisable."""
    found: dict[str, Any] = {
        "path": str(path),
        "rows": len(distributions),
        "classes": distributions.num_classes,
        "class_names": distributions.class_names,
        "complete": True,
        "state": "complete",
        "encoding": "float32",
        "bytes": size_of(path),
        "labels": None if distributions.labels is None else _array(distributions.labels),
        "sample_keys": None if distributions.sample_keys is None else _array(distributions.sample_keys),
        "meta": distributions.meta,
    }
    store = as_store(distributions)
    if store is not None:
        found |= {
            "complete": store.complete,
            "state": "complete" if store.complete else missing_rows(store),
            "expected_rows": store.spec.rows,
            "encoding": store.spec.encoding,
            "identity": store.spec.identity,
        }
    return found | {"representation": found["encoding"]}  # its name in version 0.1


def _array(values: Any) -> str:
    return f"{values.dtype} {list(values.shape)}"


def _first_rows(distributions: Distributions, count: int) -> list[dict[str, Any]]:
    indices = distributions.indices[:count]
    if not len(indices):
        return []
    values = distributions.gather(indices)
    labels = distributions.labels
    keys = distributions.sample_keys
    return [
        {
            "index": int(index),
            **({} if keys is None else {"key": keys[row : row + 1].tolist()[0]}),
            **({} if labels is None else {"label": labels[row : row + 1].tolist()[0]}),
            "probabilities": values[row].tolist(),
        }
        for row, index in enumerate(indices)
    ]


def _lines(found: dict[str, Any]) -> list[str]:
    identity = found.get("identity", {})
    known = identity.get("model") or {}
    transform = identity.get("output_transform") or {}
    meta = {name: value for name, value in found["meta"].items() if name != "class_names"}
    shown = {
        "state": found["state"],
        "size": f"{found['rows']:,} rows x {found['classes']:,} classes, {bytes_text(found['bytes'])}",
        "encoding": found["encoding"],
        "class names": shortened(found["class_names"] or []),
        "labels": found["labels"],
        **score_lines(found["scores"]),
        **{f"column {name}": what for name, what in found["columns"].items()},
        "sample keys": found.get("sample_keys"),
        "output transform": transform.get("name"),
        # Version 0.1 recorded the weights alone.
        "model digest": known.get("digest", known.get("weights")),
        **{name.replace("_", " "): _text(value) for name, value in meta.items()},
    }
    guess = near_chance(found["scores"], found["classes"])
    warning = [] if guess is None else ["", f"Note: {guess}"]
    return [f"{found['path']}:", *named(shown), *_row_lines(found), *warning]


def _text(value: Any) -> Any:
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    return shortened(value) if isinstance(value, list) else value


def _row_lines(found: dict[str, Any]) -> list[str]:
    rows = found["first_rows"]
    if not rows:
        return []
    titles = [title for title in ("key", "label") if title in rows[0]]
    lines = [["index", *titles, "largest probabilities"]]
    for row in rows:
        values = np.asarray(row["probabilities"])
        order = np.argsort(-values, kind="stable")[:SHOWN_CLASSES]
        largest = "  ".join(f"{_name(found, column)} {number(values[column])}" for column in order)
        lines.append([str(row["index"]), *(str(row[title]) for title in titles), largest])
    return ["", *table(lines, left=range(len(lines[0])))]


def _name(found: dict[str, Any], column: int) -> str:
    return str(column if found["class_names"] is None else found["class_names"][column])
