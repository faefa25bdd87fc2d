"""Distributions as CSV, which spreadsheets open: a format that nobody asked us for, found by its suffix.

    # {"rows": 2, "labels": "int64", "meta": {"class_names": ["cat", "dog"]}}
    "index","label","cat","dog"
    0,1,0.25,0.75
    7,0,1.0,0.0

The first line says what a table cannot: how many rows there should be, of which type the labels are, and the metadata.
"""

import csv
import io
import json

import numpy as np

from probly.data_generator.distributions import row_blocks
from probly.data_generator.formats.atomic import replacing
from probly.data_generator.formats.digest import compared, encode_with_digest
from probly.data_generator.formats.shared import decode_meta, encode_meta, label_array, reading, simple_labels

NUMBERS_AT_ONCE = 2**14
TEXT = "text"


def write(path, distributions, meta):
    """Write a file whole or not at all; every number is written so that it reads back exactly."""
    labels = simple_labels(path, distributions.labels)
    kind = None if labels is None else TEXT if labels.dtype.kind == "U" and labels.ndim == 1 else labels.dtype.name
    if kind == "object":  # text, and rows without a label
        kind = "str or null"
    known = decode_meta(encode_with_digest(path, distributions, meta))  # it tells a changed digit from what was written
    first = encode_meta(path, {"rows": len(distributions), "labels": kind, "meta": known})
    names = distributions.class_names or []
    if len(names) != distributions.num_classes:
        names = range(distributions.num_classes)
    with replacing(path) as file:
        file.write(b"# " + first + b"\n")
        file.write(_table([["index", *(["label"] if kind else []), *map(str, names)]]))
        for part, rows in row_blocks(distributions, NUMBERS_AT_ONCE):
            columns = [distributions.indices[part].tolist()]
            if kind:
                values = labels[part].tolist()
                columns.append(values if kind == TEXT else [_cell(value) for value in values])
            # As Python's floats: float32 has fewer digits, which a reader of float64 may round to a neighbour.
            file.write(_table([*start, *row] for *start, row in zip(*columns, rows.tolist(), strict=True)))


def _cell(label):
    missing = isinstance(label, float) and np.isnan(label)  # stands for "no label", as None does
    return json.dumps(None if missing else label, allow_nan=False)


def _table(lines):
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerows(lines)
    return text.getvalue().encode()


def read(path):
    """Read a file and check everything in it; what is damaged raises StoreError."""
    content = path.read_bytes()
    with reading(path, csv.Error, KeyError, IndexError, TypeError, AttributeError, StopIteration):
        first, _, table = content.decode().partition("\n")
        said = decode_meta(first.removeprefix("# ").encode())
        header, *lines = csv.reader(io.StringIO(table, newline=""), strict=True)
        if len(lines) != said["rows"]:
            message = f"expected {said['rows']} rows, got {len(lines)}"
            raise ValueError(message)
        start = 1 if said["labels"] is None else 2
        rows = np.array([line[start:] for line in lines], np.float64).reshape(len(lines), len(header) - start)
        labels = None if start == 1 else _labels([line[1] for line in lines], said["labels"])
        return compared(rows, [int(line[0]) for line in lines], labels, said["meta"])


def _labels(cells, kind):
    if kind == TEXT:
        return label_array(cells)
    values = [json.loads(cell) for cell in cells]
    if kind.startswith("str"):  # several texts per row
        return label_array(values)
    if np.dtype(kind).kind not in "biuf":
        message = f"expected labels that are numbers or text, got {kind}"
        raise ValueError(message)
    return np.array(values, kind)
