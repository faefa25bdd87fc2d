"""From a batch to its rows: which output to take, and arrays of the maps that exporters of scikit-learn make."""

import functools
from collections.abc import Sequence
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from probly.data_generator.hookspecs import OutputMode
from probly.data_generator.rows import as_probabilities
from probly_data_generator_onnx.arrays import OPERATIONS, run_session
from probly_data_generator_onnx.chunks import run_in_chunks
from probly_data_generator_onnx.inputs import feeds

if TYPE_CHECKING:
    from probly_data_generator_onnx.models import OnnxModel

MAPS = "seq(map("
SCORES = ("tensor(float", "tensor(double", "tensor(bfloat16", MAPS)


def rows_of(model: "OnnxModel", inputs: Any, output_mode: OutputMode, batch_size: int) -> Any:
    """Return the probabilities of a batch, or for ``"raw"`` the outputs: one alone, several as a dict by name.

    Args:
        model: The model.
        inputs: The inputs of a batch.
        output_mode: See the hook.
        batch_size: The rows of a full batch; devices that compile always get as many.

    Raises:
        ValueError: The model has several outputs, and which one holds the scores is not known.
    """
    if output_mode not in model.wanted:  # the same for every batch
        model.wanted[output_mode] = wanted_names(model, output_mode)
    names = model.wanted[output_mode]
    run = functools.partial(run_session, model.session, names, bfloat16=model.bfloat16)
    arrays = feeds(inputs, model.inputs)
    size = model.rows or (batch_size if model.on.compiles else None)
    answers = run(arrays) if size is None else run_in_chunks(run, arrays, size)
    if output_mode == "raw":
        return answers[0] if len(names) == 1 else dict(zip(names, answers, strict=True))
    return as_probabilities(_scores(answers[0], model), output_mode, OPERATIONS).astype(np.float32, copy=False)


def wanted_names(model: "OnnxModel", output_mode: OutputMode) -> list[str]:
    """Return the names of the outputs to compute."""
    if model.output is not None:
        return [model.output]
    return [output.name for output in model.outputs] if output_mode == "raw" else [chosen(model, output_mode)]


def chosen(model: "OnnxModel", output_mode: OutputMode) -> str:
    """Return the name of the output that holds the scores: the only one, or the one whose name says so.

    Names with "logits" and "prob" count, and maps from class to probability, which only classifiers return.

    Raises:
        ValueError: It is not known; the message lists all outputs.
    """
    outputs = model.outputs
    if len(outputs) == 1:
        return str(outputs[0].name)
    scores = [output for output in outputs if output.type.startswith(SCORES)]
    found = {
        "logits": [output.name for output in scores if "logits" in output.name.lower()],
        "probs": [output.name for output in scores if "prob" in output.name.lower() or output.type.startswith(MAPS)],
    }
    for names in (found.pop(output_mode), *found.values()):
        if len(names) == 1:
            return str(names[0])
        if names:
            break
    shown = ", ".join(f"{output.name!r} ({output.type})" for output in outputs)
    message = (
        f"the model has several outputs, {shown}, and none alone is called logits or probabilities; choose one with "
        f"options={{'output': {(scores or outputs)[0].name!r}}}, or set output_transform, which gets a dict by name"
    )
    raise ValueError(message)


def _scores(answer: Any, model: "OnnxModel") -> Any:
    if isinstance(answer, list):
        return map_columns(answer, model.labels)
    if isinstance(answer, np.ndarray) and answer.dtype.kind not in "fiubV":
        message = f"Model must return scores, got {answer.dtype}, which looks like class labels; choose another output"
        raise TypeError(message)
    return answer


def map_columns(maps: Sequence[dict[Any, float]], labels: Sequence[Any] | None) -> Any:
    """Return maps from class to probability as an array with a column per class.

    Args:
        maps: One per row, all with the same classes.
        labels: The order of the columns; by default that of the maps, which ONNX Runtime sorts.

    Raises:
        ValueError: A row has other classes.

    Examples:
        >>> map_columns([{"a": 0.25, "b": 0.75}, {"a": 1.0, "b": 0.0}], ["b", "a"])
        array([[0.75, 0.25],
               [0.  , 1.  ]])
    """
    order = list(maps[0]) if labels is None else list(labels)
    pick = itemgetter(*order) if len(order) > 1 else lambda row: (row[order[0]],)
    try:
        # The lists of a million rows are one flat stream of numbers, and never a list of lists.
        flat = np.fromiter(chain.from_iterable(map(pick, maps)), np.float64, count=len(maps) * len(order))
    except KeyError as error:
        message = f"a row has no class {error}, expected {order}; set output_transform"
        raise ValueError(message) from error
    if any(len(row) != len(order) for row in maps):
        message = f"a row has other classes than {order}; set output_transform"
        raise ValueError(message)
    return flat.reshape(len(maps), len(order))
