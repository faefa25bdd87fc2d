"""Distributions as JSON Lines, which log tools and ``jq`` read: a format that nobody asked us for, found by its suffix.

    {"rows": 2, "labels": "int64", "meta": {"class_names": ["cat", "dog"]}}
    {"index": 0, "label": 1, "probabilities": [0.25, 0.75]}
    {"index": 7, "label": 0, "probabilities": [1.0, 0.0]}

The first line says what the others cannot: how many there should be, of which type the labels are, and the metadata.
"""

import json

import numpy as np

from probly.data_generator.distributions import row_blocks
from probly.data_generator.formats.atomic import replacing
from probly.data_generator.formats.digest import compared, encode_with_digest
from probly.data_generator.formats.shared import decode_json, decode_meta, encode_meta, label_array, reading

NUMBERS_AT_ONCE = 2**14
KEEPS_SAMPLE_KEYS = True


def write(path, distributions, meta):
    """Write a file whole or not at all; every number is written so that it reads back exactly."""
    labels, keys = distributions.labels, distributions.sample_keys
    kind = None if labels is None else labels.dtype.name if labels.dtype.kind in "biuf" else "text"
    known = decode_meta(encode_with_digest(path, distributions, meta))  # it tells a changed digit from what was written
    with replacing(path) as file:
        file.write(encode_meta(path, {"rows": len(distributions), "labels": kind, "meta": known}) + b"\n")
        for part, rows in row_blocks(distributions, NUMBERS_AT_ONCE):
            columns = {"index": distributions.indices[part].tolist()}
            columns |= {} if keys is None else {"sample_key": keys[part].tolist()}
            columns |= {} if labels is None else {"label": [_plain(label) for label in labels[part].tolist()]}
            columns["probabilities"] = rows.tolist()  # Python's floats have the digits of float64
            for values in zip(*columns.values(), strict=True):
                line = json.dumps(dict(zip(columns, values, strict=True)), allow_nan=False)
                file.write(line.encode() + b"\n")


def _plain(label):
    return None if isinstance(label, float) and np.isnan(label) else label  # both stand for "no label"


def read(path):
    """Read a file and check everything in it; what is damaged raises StoreError."""
    content = path.read_bytes()
    with reading(path, KeyError, IndexError, TypeError, AttributeError):
        first, *lines = content.decode().removesuffix("\n").split("\n")
        said, rows = decode_meta(first.encode()), [decode_json(line.encode()) for line in lines]
        if len(rows) != said["rows"] or not content.endswith(b"\n"):
            message = f"expected {said['rows']} rows, got {len(rows)}, the last of which may be cut"
            raise ValueError(message)
        columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else ("index", "probabilities"))}
        probabilities = np.array(columns["probabilities"], np.float64)
        labels = None if said["labels"] is None else _labels(columns.get("label", []), said["labels"])
        return compared(probabilities, columns["index"], labels, said["meta"], sample_keys=columns.get("sample_key"))


def _labels(values, kind):
    if kind == "text":
        return label_array(values)
    if np.dtype(kind).kind not in "biuf":
        message = f"expected labels that are numbers or text, got {kind}"
        raise ValueError(message)
    return np.array(values, kind)
