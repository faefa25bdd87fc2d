"""The columns of tokenised samples: which a model takes, and which another model of a list may take."""

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from probly.data_generator.toolkit.nests import Samples, shape_of
from probly.data_generator.toolkit.parts import LABEL_KEYS
from probly_data_generator_transformers.checks import TOKENS


def of_model(inputs: Mapping[str, Any], names: Collection[str], beside: Collection[str] = ()) -> dict[str, Any]:
    """Return what a model takes of tokenised samples, or all but the labels where none of its inputs is there.

    Beside the inputs of a model stand the texts that they were made of, numbers, and labels, of which a model of
    transformers would compute its loss, which -1 breaks.

    Args:
        inputs: A sample, or the columns of a batch.
        names: What the model calls its inputs.
        beside: The names that are kept beside them.

    Examples:
        >>> of_model({"text": "a cat", "input_ids": [2, 7], "label": 1}, ["input_ids"])
        {'input_ids': [2, 7]}
        >>> of_model({"text": "a cat", "label": 1}, ["input_ids"])
        {'text': 'a cat'}
    """
    unlabelled = {name: value for name, value in inputs.items() if name not in LABEL_KEYS}
    if not any(name in names for name in unlabelled):
        return unlabelled
    return {name: value for name, value in unlabelled.items() if name in names or name in beside}


def beside_inputs(samples: Iterable[Any], names: Collection[str]) -> frozenset[str]:
    """Return the names of the numbers beside a model's inputs, which another model of a list may take.

    Examples:
        >>> beside_inputs([{"input_ids": [2], "text": "a cat", "bbox": [[0, 0, 9, 9]], "label": 1}], ["input_ids"])
        frozenset({'bbox'})
    """
    return frozenset(
        name
        for sample in samples
        if isinstance(sample, Mapping)
        for name, value in of_model(sample, names, sample).items()
        if name not in names and _holds_numbers(value)
    )


def stacks(samples: Sequence[Mapping[str, Any]], names: Collection[str]) -> bool:
    """Return whether tokenised samples have one shape each; of those with other keys, stacking says so."""
    first = samples[0]
    if any(sample.keys() != first.keys() for sample in samples):
        return True
    shapes = {name: {_shape(sample[name]) for sample in samples} for name in first}
    return all(len(found) == 1 and (name in names or None not in found) for name, found in shapes.items())


def refuse_unread(inputs: Any, names: Collection[str]) -> None:
    """Refuse numbers of the shape of the tokens that the model does not take: their name may be misspelt.

    Args:
        inputs: The columns of a batch, or its samples.
        names: What the model calls its inputs.
    """
    samples = [inputs] if isinstance(inputs, Mapping) else inputs if isinstance(inputs, Samples) else []
    axes = 2 if isinstance(inputs, Mapping) else 1  # a batch has one for its samples
    mappings = [sample for sample in samples if isinstance(sample, Mapping)]
    tokenised = [sample for sample in mappings if len(_shape(sample.get(TOKENS)) or ()) >= axes]
    for name in sorted(beside_inputs(tokenised, names)):
        if all(_shape(sample.get(name)) == _shape(sample[TOKENS]) for sample in tokenised):
            similar = ", ".join(difflib.get_close_matches(name, sorted(names), cutoff=0))
            message = (
                f"input {name!r}: has the shape of {TOKENS}, but the model takes nothing of this name; rename it if it "
                f"is an input of the model (similar names: {similar}), else leave it out; of a list of models, put "
                "first one that takes it"
            )
            raise ValueError(message)


def _holds_numbers(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_holds_numbers, value))
    if isinstance(value, np.ndarray) and value.dtype == np.object_:
        return any(map(_holds_numbers, value.flat))
    if hasattr(value, "dtype"):
        return getattr(value.dtype, "kind", "") not in ("U", "S", "T", "O", "M", "m")
    return isinstance(value, int | float)


def _shape(value: Any) -> Any:
    """Return the shape of an array or of lists of numbers; None of anything else."""
    if not isinstance(value, list | tuple | int | float):
        return shape_of(value)
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        return None
    return array.shape if array.dtype.kind in "biuf" else None
