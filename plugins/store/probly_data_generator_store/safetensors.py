"""One file in the layout of a shard, readable by any safetensors library: ``probs``, ``keys``, ``labels``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from probly.data_generator.distributions import Distributions
from probly.data_generator.errors import StoreError
from probly.data_generator.formats.atomic import replacing
from probly.data_generator.formats.shared import decode_meta, encode_meta, join_missing, split_missing
from probly.data_generator.label_values import are_text
from probly_data_generator_store import layout
from probly_data_generator_store.shards import LABELLED, TEXT, label_tensor


def write(path: Path, distributions: Distributions, meta: Mapping[str, Any]) -> None:
    """Write a file, whole or not at all.

    Raises:
        TypeError: The metadata is not JSON-serialisable, or the labels fit no tensor.
        ValueError: The metadata hold NaN or infinity.
    """
    metadata = {"meta": encode_meta(path, meta).decode()}
    tensors = {
        "probs": np.ascontiguousarray(distributions.probabilities, "<f4"),
        "keys": np.ascontiguousarray(distributions.indices, "<i8"),
    }
    if distributions.labels is not None:
        given = distributions.labels
        texts, labelled = split_missing(given) if are_text(given) else (given, None)
        labels = label_tensor(texts)
        if labels is None:
            message = f"{path}: labels of the dtype {given.dtype} fit no tensor; nothing written"
            raise TypeError(message)
        tensors["labels"], text = labels
        tensors |= {} if labelled is None else {LABELLED: labelled}
        metadata |= {} if text is None else {"labels_dtype": text}
    with replacing(path) as file:
        for piece in layout.pieces(tensors, metadata):
            file.write(piece)


def read(path: Path) -> Distributions:
    """Read a file that ``write`` made, without a copy of its rows.

    Raises:
        FileNotFoundError: There is none.
        StoreError: It is damaged, or another safetensors file.
    """
    path.stat()
    header, tensors = layout.read_file(path)
    try:
        meta, labels, text = (
            decode_meta(header.metadata["meta"].encode()),
            tensors.get("labels"),
            header.metadata.get("labels_dtype"),
        )
        if tensors["probs"].dtype != np.float32 or tensors["keys"].dtype != np.int64:
            message = "expected float32 'probs', int64 'keys'"
            raise ValueError(message)  # noqa: TRY301
        if labels is not None and text is not None:
            if not TEXT.fullmatch(text):
                message = f"labels: expected a dtype of text, got {text[:20]!r}"
                raise ValueError(message)  # noqa: TRY301
            labels = np.frombuffer(np.ascontiguousarray(labels), text)
        labels = join_missing(labels, tensors.get(LABELLED))
        return Distributions(tensors["probs"], tensors["keys"], labels, meta)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        message = f"{path}: not a file of distributions: {error}"
        raise StoreError(message) from error
