"""What tells a model from another one: its weights, or the bytes of its files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from probly.data_generator.toolkit.digest import digest
from probly_data_generator_tensorflow.models import TensorFlowModel, is_keras, variables_of


def digest_of(model: TensorFlowModel) -> str:
    """Return the digest of a model, or an empty string where it has no variables.

    Of a live model and of a file of Keras it is that of all weights in their order; what a plain function refers to
    cannot be seen. A SavedModel tells neither all of its variables nor its constants and tables: its files are read.
    """
    if model.folder is not None:
        return digest(_files(model.folder))
    # Keras's variables are also the states of its random generators, which differ each time that a model is built.
    weights = model.module.weights if is_keras(model.module) else variables_of(model.module)
    # It numbers its names per process, so the order has to tell the weights apart.
    return digest((str(number), weight.numpy()) for number, weight in enumerate(weights)) if weights else ""


def _files(folder: Path) -> Iterator[tuple[str, Any]]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        size = path.stat().st_size
        # An empty file cannot be mapped to memory.
        content = np.memmap(path, np.uint8, mode="r") if size else np.empty(0, np.uint8)
        yield path.relative_to(folder).as_posix(), content
