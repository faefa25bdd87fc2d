"""CSV, which spreadsheets open: ``pandas.read_csv(path, skiprows=1)``.

    # {"rows": 2, "labels": "int64", "keys": null, "meta": {"class_names": ["cat", "dog"]}}
    "index","label","cat","dog"
    0,1,0.25,0.75
    7,0,1.0,0.0

The first line says what a table cannot: how many rows there should be, of which type labels and sample keys are, and
the metadata. A table of others need not have it: a line of names, then a line per row, with ``index``, ``sample_key``
and ``label`` where there are some, and every other column a class. Numbers are written so that they read back exactly.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from probly.data_generator.distributions import Distributions, row_blocks
from probly.data_generator.formats.atomic import replacing
from probly.data_generator.formats.digest import compared, encode_with_digest
from probly.data_generator.formats.shared import Array, decode_meta, encode_meta, label_array, reading, simple_labels
from probly.data_generator.label_values import names_in
from probly.data_generator.labels import position_names
from probly.data_generator.rows import SUM_TOLERANCE, decimals_tolerance

KEEPS_SAMPLE_KEYS = True
CHECKED = ("the number of rows",)
"""What reading such a file compares besides its digest."""
NUMBERS_AT_ONCE = 2**14
TEXT, SOME_TEXT = "text", "text or nothing"
BESIDE = ("index", "sample_key", "label")
NUMBER = re.compile(r"\s*-?[0-9]{1,19}\s*")  # int() would also take "1_0" and "٣"
DAMAGE = (csv.Error, KeyError, IndexError, TypeError, AttributeError, StopIteration)


def write(path: Path, distributions: Distributions, meta: Mapping[str, Any]) -> None:
    """Write a file, whole or not at all, block by block.

    Raises:
        TypeError: The metadata is not JSON-serialisable, or the labels are neither numbers nor text.
        ValueError: The metadata holds NaN or infinity, or a text is too long for readers of CSV.
    """
    labels, keys = simple_labels(path, distributions.labels), distributions.sample_keys
    kind = None if labels is None else _kind(labels)
    known = decode_meta(encode_with_digest(path, distributions, meta))  # it tells a changed digit from what was written
    said = {"rows": len(distributions), "labels": kind, "keys": None if keys is None else _kind(keys), "meta": known}
    first = encode_meta(path, said)
    header = _header(distributions.num_classes, known, keyed=keys is not None, labelled=labels is not None)
    with replacing(path) as file:
        file.write(b"# " + first + b"\n" + _lines(path, [header]))
        for part, rows in row_blocks(distributions, NUMBERS_AT_ONCE):
            columns: list[list[Any]] = [distributions.indices[part].tolist()]
            columns += [] if keys is None else [keys[part].tolist()]
            columns += [] if labels is None or kind is None else [_cells(labels[part], kind)]
            # As Python's floats: float32 has fewer digits, which a reader of float64 may round to a neighbour.
            file.write(_lines(path, ([*start, *row] for *start, row in zip(*columns, rows.tolist(), strict=True))))


def _kind(values: Array) -> str:
    if values.dtype.kind == "O":  # text: some rows have none, or it is of any length
        return SOME_TEXT if any(value is None for value in values) else TEXT
    return TEXT if values.dtype.kind == "U" and values.ndim == 1 else values.dtype.name


def _header(classes: int, meta: Mapping[str, Any], *, keyed: bool, labelled: bool) -> list[str]:
    names = names_in(meta, classes) or position_names(range(classes))
    return ["index", *(["sample_key"] if keyed else []), *(["label"] if labelled else []), *names]


def _cells(labels: Array, kind: str) -> list[Any]:
    cells: list[Any] = labels.tolist()
    if kind == TEXT:
        return cells
    return [_text_or_nothing(label) if kind == SOME_TEXT else _json(label) for label in cells]


def _text_or_nothing(label: str | None) -> str:
    """Return a cell that is empty for no label; a text that is empty itself, or begins with a quote, is JSON."""
    plain = label and not label.startswith('"')
    return "" if label is None else label if plain else json.dumps(label)


def _json(label: Any) -> str:
    missing = isinstance(label, float) and np.isnan(label)  # stands for "no label", as None does
    try:
        return json.dumps(None if missing else label, allow_nan=False)
    except ValueError as error:
        message = f"labels: {label} is none that a file of text can hold; save them as .npz"
        raise ValueError(message) from error


def _lines(path: Path, lines: Iterable[Sequence[Any]]) -> bytes:
    text, most = io.StringIO(), csv.field_size_limit()
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    for line in lines:
        longest = max((len(cell) for cell in line if isinstance(cell, str)), default=0)
        if longest > most:
            message = f"{path}: a text of {longest} characters; readers of CSV take {most}: choose another format"
            raise ValueError(message)
        writer.writerow(line)
    return text.getvalue().encode()


def read(path: Path) -> Distributions:
    """Read a file and check everything in it; a table without the column ``index`` counts from 0.

    Raises:
        FileNotFoundError: There is none.
        StoreError: It is damaged, or holds another table.
    """
    content = path.read_bytes()
    with reading(path, *DAMAGE):
        text = content.decode("utf-8-sig")
        first, _, table = text.partition("\n")
        if not first.startswith("# "):
            return _of_others(list(csv.reader(io.StringIO(text, newline=""), strict=True)))
        said = decode_meta(first.removeprefix("# ").encode())
        header, *lines = csv.reader(io.StringIO(table, newline=""), strict=True)
        keyed, labelled = said.get("keys") is not None, said["labels"] is not None
        start = 1 + keyed + labelled
        if len(lines) != said["rows"]:
            message = f"expected {said['rows']} rows, got {len(lines)}"
            raise ValueError(message)
        wanted = _header(len(header) - start, said["meta"], keyed=keyed, labelled=labelled)
        if header != wanted:
            message = f"expected the columns {', '.join(wanted[:6])}, got {', '.join(header[:6])}"
            raise ValueError(message)
        rows = _rows([line[start:] for line in lines], len(header) - start)
        keys = None if not keyed else _values([line[1] for line in lines], said["keys"])
        labels = None if not labelled else _values([line[start - 1] for line in lines], said["labels"])
        return compared(rows, _numbers([line[0] for line in lines]), labels, said["meta"], sample_keys=keys)


def _of_others(lines: list[list[str]]) -> Distributions:
    """Return what a table without a first line of ours holds: every column that is none of three is a class."""
    header, *lines = [line for line in lines if line] or [[]]  # an empty one may be at the end
    places = {name: header.index(name) for name in BESIDE if name in header}
    classes = [place for place, name in enumerate(header) if name not in places]
    if not lines or len(classes) < 2:
        message = "expected a line of names, two classes at least among them, then a line per row"
        raise ValueError(message)
    if len(header) > len(places) + len(classes) or any(len(line) != len(header) for line in lines):
        message = f"expected {len(header)} cells in every line, and each of {', '.join(BESIDE)} once"
        raise ValueError(message)
    found = {name: [line[place] for line in lines] for name, place in places.items()}
    names = [header[place] for place in classes]
    meta = {} if names == position_names(names) else {"class_names": names}
    rows = _rows([[line[place] for place in classes] for line in lines], len(classes))
    indices = _numbers(found["index"]) if "index" in found else np.arange(len(lines))
    label = None if "label" not in found else label_array(_told(found["label"]))
    tolerance = decimals_tolerance(rows) if rows.size else SUM_TOLERANCE
    return compared(rows, indices, label, meta, tolerance=tolerance, sample_keys=found.get("sample_key"))


def _told(cells: list[str]) -> list[Any]:
    """Return labels of a table that does not say what they are: whole numbers if all are, else text; "" is none.

    Examples:
        >>> _told(["1", "", "12"]), _told(["01", "1"])
        ([1, None, 12], ['01', '1'])
    """
    numbers = all(NUMBER.fullmatch(cell) and str(int(cell)) == cell.strip() for cell in cells if cell)
    return [(int(cell) if numbers else cell) if cell else None for cell in cells]


def _rows(cells: list[list[str]], classes: int) -> Array:
    return np.array(cells, np.float64).reshape(len(cells), classes)


def _numbers(cells: list[str]) -> list[int]:
    wrong = next((cell for cell in cells if not NUMBER.fullmatch(cell)), None)
    if wrong is not None:
        message = f"expected dataset indices, got {wrong[:40]!r}"
        raise ValueError(message)
    return [int(cell) for cell in cells]


def _values(cells: list[str], kind: str) -> Any:
    if kind == TEXT:
        return label_array(cells)
    if kind == SOME_TEXT:
        return label_array([(json.loads(cell) if cell.startswith('"') else cell) if cell else None for cell in cells])
    values = [json.loads(cell) for cell in cells]
    if kind.startswith("str"):  # several texts per row
        return label_array(values)
    if np.dtype(kind).kind not in "biuf":
        message = f"expected numbers or text, got {kind}"
        raise ValueError(message)
    return np.array(values, kind)
