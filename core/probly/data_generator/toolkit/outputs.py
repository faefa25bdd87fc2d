"""What a model returned: the scores in it, words for it, and cutting it back after padding."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from probly.data_generator.errors import InvalidOutputError
from probly.data_generator.toolkit.nests import common_rows, holds_samples, map_leaves, shape_of


@dataclass(frozen=True)
class Kept:
    """What ``forward`` returns for a model of the hook ``keep_layers``.

    Attributes:
        outputs: The model's own outputs.
        layers: By name, what each layer that is kept returned: one array with a row per input.
    """

    outputs: Any
    layers: Mapping[str, Any]


def pick_scores(outputs: Any) -> Any:
    """Return the array in a model's outputs: itself, its ``.logits`` or its ``"logits"`` entry.

    Raises:
        TypeError: The outputs are another container.

    Examples:
        >>> import numpy as np
        >>> pick_scores({"logits": np.zeros((2, 3)), "loss": 0.1}).shape
        (2, 3)
    """
    by_name = isinstance(outputs, Mapping) and "logits" in outputs
    scores = outputs["logits"] if by_name else getattr(outputs, "logits", outputs)
    if hasattr(scores, "shape") and hasattr(scores, "dtype"):
        return scores
    message = f"Model must return its scores in one array, got {describe(scores)}; set output_transform"
    if scores is outputs:
        message = (
            "Model must return one array with a row per input, or an object with .logits; "
            f"got {describe(outputs)}. Pass output_transform to pick the probabilities from it"
        )
    raise TypeError(message)


def describe(value: Any) -> str:
    """Say in a few words what a value is, for error messages."""
    kind = type(value).__name__
    if isinstance(value, Mapping):
        return f"{kind} with keys {', '.join(map(repr, list(value)[:5]))}"
    shape = shape_of(value)
    if shape is not None:
        return f"{kind} of shape {shape}"
    if type(value) in (list, tuple):  # not a PackedSequence, whose fields are no parts
        return f"{kind} of {len(value)}"
    return kind


def call_padded(function: Callable[[Any], Any], inputs: Any, size: int, pad: Callable[[Any, int], Any]) -> Any:
    """Call a model over a batch of fewer rows than it was compiled for: with its last row repeated, and cut back.

    Args:
        function: Takes the inputs of a batch and returns the model's outputs.
        inputs: A nest of the framework's arrays. One whose arrays do not share a number of rows, a full batch and a
            larger one are passed on as they are.
        size: The rows that the model is compiled for.
        pad: Returns one array with its last row repeated so many times at its end.

    Returns:
        The model's outputs; of a padded batch, the scores in them.

    Raises:
        InvalidOutputError: The model did not return one row per input of a padded batch.

    Examples:
        >>> import numpy as np
        >>> def repeat_last(array, times):
        ...     return np.concatenate([array, np.repeat(array[-1:], times, axis=0)])
        >>> call_padded(lambda batch: batch * len(batch), np.ones((2, 1)), 5, repeat_last).tolist()
        [[5.0], [5.0]]
    """
    # Samples that did not stack are no columns.
    rows = None if holds_samples(inputs) else common_rows(inputs)
    if not rows or rows >= size:
        return function(inputs)
    padded = map_leaves(lambda leaf: pad(leaf, size - rows), inputs)
    outputs = function(padded)
    if isinstance(outputs, Kept):
        layers = {name: cut_rows(part, size, rows) for name, part in outputs.layers.items()}
        return Kept(cut_rows(pick_scores(outputs.outputs), size, rows), layers)
    return cut_rows(pick_scores(outputs), size, rows)


def cut_rows(rows: Any, padded: int, wanted: int) -> Any:
    """Cut the result of a padded batch back to its own rows; a wrong count must not be cut to a right one.

    Raises:
        InvalidOutputError: The model did not return one row per input.
    """
    got = int(rows.shape[0]) if len(rows.shape) else 0
    if got != padded:
        message = f"expected {padded} rows, got {got}; return one row per input or set output_transform"
        raise InvalidOutputError(message)
    return rows[:wanted]
