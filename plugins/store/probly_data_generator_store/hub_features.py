"""The names of classes as Hugging Face ``datasets`` keeps them: features as JSON in the metadata of a schema."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from probly.data_generator.distributions import Distributions
from probly.data_generator.formats.shared import decode_json
from probly.data_generator.label_values import classes_in, names_in
from probly.data_generator.labels import class_columns

KEY = b"huggingface"


def class_label(distributions: Distributions, meta: Mapping[str, Any]) -> list[str] | None:
    """Return the names that labels count, or None where they are no positions of classes, or these have no names.

    Labels that are values of a model's own, such as 3 and 7, or text, stay as they are; so do those of classes of which
    two have one name, as there are among ImageNet's: ``datasets`` cannot open such features.

    Args:
        distributions: Their labels.
        meta: Where the names stand.
    """
    labels, count = distributions.labels, distributions.num_classes
    names = names_in(meta, count)
    if labels is None or labels.ndim != 1 or labels.dtype.kind not in "iu" or not names or len({*names}) < count:
        return None
    columns = class_columns(labels, count, names, classes_in(meta, count)).columns
    return names if columns is not None and np.array_equal(columns, labels) else None


def features_of(names: list[str] | None) -> dict[bytes, bytes]:
    """Return the entry of a schema's metadata that says what the labels are called.

    Only the label stands there: every version of ``datasets`` reads it, and makes the other features of the types.
    """
    if names is None:
        return {}
    features = {"label": {"names": names, "_type": "ClassLabel"}}
    return {KEY: json.dumps({"info": {"features": features}}).encode()}


def named_by(metadata: Mapping[bytes, bytes], schema: Any) -> list[str] | None:
    """Return the names that ``datasets`` gives to the classes of the column ``label``, or None.

    Args:
        metadata: That of a schema.
        schema: The schema.

    Raises:
        ValueError: It is not JSON.
    """
    found: Any = decode_json(metadata.get(KEY, b"{}")) if "label" in schema.names else {}
    for part in ("info", "features", "label"):
        found = found.get(part) if isinstance(found, dict) else None
    names = found.get("names") if isinstance(found, dict) and found.get("_type") == "ClassLabel" else None
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None
