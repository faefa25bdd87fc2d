"""What the inputs of a batch are: texts, pairs of texts, pictures, tokenised samples, or what a model takes as is."""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch

from probly.data_generator.toolkit.nests import Samples
from probly.data_generator.toolkit.outputs import describe
from probly.data_generator.toolkit.tables import column_names, column_of, is_table
from probly_data_generator_torch.arrays import stack_samples
from probly_data_generator_transformers.checks import TOKENS, refuse_batch_of_one
from probly_data_generator_transformers.columns import beside_inputs, of_model, stacks
from probly_data_generator_transformers.pictures import is_picture, picture_of, refuse_alpha, refuse_single

PAIR: Final = ("text", "text_pair")
"""What transformers calls the two texts of a pair."""
TEXTS: Final = ("O", "U", "T")
"""The kinds of NumPy's arrays of texts: of objects, of a fixed width, of any."""
GETTER: Final = (
    "set input_getter, such as lambda sample: sample['text'], or lambda sample: (sample['premise'], "
    "sample['hypothesis']) for a pair"
)
TWO_PAIRS: Final = (
    "a batch came as a list of two tuples of two texts: these may be its pairs, or the first and the second texts of "
    "two pairs; pass the dataset itself, or choose another batch_size"
)


def rows_of(inputs: Any, names: Collection[str], indices: Any = None, *, arrays: bool = False) -> Samples | None:
    """Return one entry per row of what has to be prepared for a model, or None where it takes the batch as it is.

    Args:
        inputs: The inputs of a batch, in any form that a dataset or a loader gives them.
        names: What the model calls its inputs, such as ``input_ids``.
        indices: The dataset index of each row, for messages, where batches are read; numbers beside the model's inputs
            are kept then, because another model of a list may take them.
        arrays: Whether arrays of uint8 are pictures, because an image processor is there.

    Returns:
        Texts; pairs of texts, as tuples; Pillow images; or tokenised samples of different lengths, as mappings.

    Raises:
        TypeError: A row is nothing of the kind; the message names it.
        ValueError: A picture has more than 8 bits per channel, or an alpha channel; or there is one, and no batch.
    """
    if isinstance(inputs, Mapping) or (is_table(inputs) and len(inputs.shape) == 2):
        columns = _columns_of(inputs)
        own = of_model(columns, names)
        if any(name in names for name in own):
            beside = () if indices is None else beside_inputs([columns], names)
            return _tokenised_rows(own, of_model(columns, names, beside), indices)
        rows = _rows_of_columns(own, arrays=arrays)
    elif is_table(inputs):
        rows = _rows_of_array(np.asarray(inputs), arrays=False)
    elif isinstance(inputs, np.ndarray | torch.Tensor):
        rows = _rows_of_array(inputs, arrays=arrays)
    elif type(inputs) in (tuple, list) and len(inputs) == 2 and _are_columns_of_pairs(inputs):
        rows = list(zip(*inputs, strict=True))
    else:
        rows = inputs if isinstance(inputs, list) and _are_rows(inputs, arrays=arrays) else None
    if rows is None:
        return None
    places = range(len(rows)) if indices is None else indices
    beside = () if indices is None else beside_inputs(rows, names)
    return Samples(_row(row, names, beside, place) for row, place in zip(rows, places, strict=True))


def stack(samples: Sequence[Any], names: Collection[str]) -> Any:
    """Make a batch of the inputs of samples: raw ones stay a list, others are stacked as torch does.

    Examples:
        >>> stack([{"text": "a cat", "label": 0}, {"text": "a dog", "label": 1}], ["input_ids"])
        [{'text': 'a cat', 'label': 0}, {'text': 'a dog', 'label': 1}]
        >>> stack([{"input_ids": [2, 7]}, {"input_ids": [2, 9]}], ["input_ids"])["input_ids"].tolist()
        [[2, 7], [2, 9]]
    """
    if all(isinstance(sample, Mapping) and any(name in names for name in sample) for sample in samples):
        beside = beside_inputs(samples, names)
        kept = [of_model(sample, names, beside) for sample in samples]
        return stack_samples(kept) if stacks(kept, names) else Samples(kept)
    return Samples(samples) if any(map(_is_raw, samples)) else stack_samples(samples)


def _is_raw(sample: Any) -> bool:
    if isinstance(sample, Mapping):
        return any(isinstance(value, str) or is_picture(value) for value in of_model(sample, ()).values())
    return isinstance(sample, str) or is_picture(sample) or _is_pair(sample)


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, tuple | list | np.ndarray) and len(value) == 2 and all(isinstance(one, str) for one in value)
    )


def _columns_of(inputs: Any) -> Mapping[str, Any]:
    if isinstance(inputs, Mapping):
        return inputs
    return {str(name): np.asarray(column_of(inputs, place)) for place, name in enumerate(column_names(inputs))}


def _tokenised_rows(columns: Mapping[str, Any], kept: Mapping[str, Any], indices: Any) -> Samples | None:
    """Return the rows of columns whose entries have different lengths; None of arrays, which the model takes.

    Args:
        columns: Those that the model takes.
        kept: Those of the rows.
        indices: See ``rows_of``.

    Raises:
        TypeError: A loader has put the tokens of its samples beside each other, and not its samples.
        ValueError: Each sample is a batch of one.
    """
    count = None if indices is None else len(indices)
    lists = [column for column in columns.values() if isinstance(column, list | tuple)]
    if any(not isinstance(column, Samples) or len(column) != (count or len(column)) for column in lists):
        message = (
            "a loader whose collate_fn is torch's own turns lists of tokens around, so that its columns have an entry "
            "per token; pass the dataset itself, or DataLoader(dataset, collate_fn=DataCollatorWithPadding(tokenizer))"
        )
        raise TypeError(message)
    places = itertools.count() if indices is None else indices
    for place, tokens in zip(places, columns.get(TOKENS, ()), strict=False):
        refuse_batch_of_one(tokens, place)
    if not lists and not any(getattr(column, "dtype", None) == np.object_ for column in columns.values()):
        return None
    rows = zip(*kept.values(), strict=True)
    return Samples(dict(zip(kept, row, strict=True)) for row in rows)


def _rows_of_columns(columns: Mapping[str, Any], *, arrays: bool) -> list[Any] | None:
    """Return the rows of a column of texts or pictures, or of the two of a pair; None of what a model may take."""
    values = list(columns.values())
    if len(columns) == 1 and isinstance(values[0], np.ndarray | torch.Tensor):
        return _rows_of_array(values[0], arrays=arrays)
    if not any(_holds_texts(value) or (isinstance(value, list) and any(map(is_picture, value))) for value in values):
        return None
    if columns.keys() == set(PAIR):
        return list(zip(columns[PAIR[0]], columns[PAIR[1]], strict=True))
    if len(columns) == 1:
        return list(values[0])
    message = (
        f"a mapping with the keys {', '.join(map(repr, columns))}: which of them the model is to see is not guessed; "
        f"{GETTER}"
    )
    raise TypeError(message)


def _rows_of_array(array: Any, *, arrays: bool) -> list[Any] | None:
    if arrays and str(array.dtype).rpartition(".")[2] == "uint8" and array.ndim in (3, 4):
        refuse_single(array)
        return list(np.asarray(array.cpu() if isinstance(array, torch.Tensor) else array))
    return list(array) if getattr(array.dtype, "kind", "") in (*TEXTS, "S") and array.ndim else None


def _are_rows(inputs: list[Any], *, arrays: bool) -> bool:
    """Return whether a list holds a raw sample per row, and not arrays, which a model takes as several inputs."""
    if any(map(_is_raw, inputs)):
        return True
    if not isinstance(inputs, Samples):
        return False
    return arrays or not all(isinstance(one, np.ndarray | torch.Tensor) for one in inputs)


def _are_columns_of_pairs(inputs: Any) -> bool:
    """Return whether a batch is two columns of texts, those of pairs, as loaders collate them.

    Raises:
        TypeError: It may as well be two pairs.
    """
    if isinstance(inputs, tuple):
        return all(map(_holds_texts, inputs))
    if isinstance(inputs, Samples) or not all(isinstance(column, tuple) and _holds_texts(column) for column in inputs):
        return False
    if are_two_pairs(inputs):
        raise TypeError(TWO_PAIRS)
    return len(inputs[0]) == len(inputs[1])


def are_two_pairs(inputs: Any) -> bool:
    """Return whether a list may be two pairs of texts, or a column of first and one of second texts.

    Examples:
        >>> are_two_pairs([("a cat", "an animal"), ("a dog", "a car")]), are_two_pairs([("a", "b", "c"), ("d", "e")])
        (True, False)
    """
    return isinstance(inputs, list) and len(inputs) == 2 and all(map(_is_pair, inputs))


def _holds_texts(column: Any) -> bool:
    listed = isinstance(column, list | tuple) or getattr(getattr(column, "dtype", None), "kind", "") in TEXTS
    return listed and any(isinstance(text, str) for text in column)


def _row(value: Any, names: Collection[str], beside: Collection[str], place: Any) -> Any:
    """Return a text, a pair, a picture or a tokenised sample."""
    found = _plain(value, names, beside)
    mode = str(getattr(found, "mode", ""))
    if mode in ("I", "F") or mode.startswith("I;"):
        message = (
            f"sample {place}: the picture has more than 8 bits per channel (Pillow mode {mode}), and what its numbers "
            "range over is not said; scale it in the dataset, or in input_getter"
        )
        raise ValueError(message)
    if found is not None:
        if isinstance(found, Mapping) and TOKENS in found:
            refuse_batch_of_one(found[TOKENS], place)
        return found
    refuse_alpha(value, place)
    if isinstance(value, Mapping):
        message = (
            f"sample {place} is a mapping with the keys {', '.join(map(repr, value))}: which of them the model is to "
            f"see is not guessed; {GETTER}"
        )
        raise TypeError(message)
    shown = repr(value) if value is None or isinstance(value, int | float | bytes) else describe(value)
    message = (
        f"sample {place}: expected a text, a pair of texts, a picture of Pillow, or a mapping by the names of the "
        f"model's inputs ({', '.join(list(names)[:3])}, ...), got {shown}; fill it in or leave it out, or {GETTER}"
    )
    raise TypeError(message)


def _plain(value: Any, names: Collection[str], beside: Collection[str] = ()) -> Any:
    if isinstance(value, str) or is_picture(value):
        return str(value) if isinstance(value, str) else value
    if _is_pair(value):
        return tuple(map(str, value))
    if isinstance(value, torch.Tensor):
        value = value.cpu().numpy()
    if isinstance(value, np.ndarray) and value.dtype == np.uint8:
        return picture_of(value)
    if isinstance(value, Mapping):
        return _plain_mapping(of_model(value, names, beside), names)
    return None


def _plain_mapping(value: dict[str, Any], names: Collection[str]) -> Any:
    if any(name in names for name in value):
        return value
    if value.keys() == set(PAIR):
        text, other = value[PAIR[0]], value[PAIR[1]]
        return _plain(text if other is None else (text, other), names)
    (only, *further) = [*value.values(), None]
    return None if len(further) != 1 or isinstance(only, Mapping) else _plain(only, names)


def kind_of(rows: Sequence[Any]) -> str:
    """Return what rows are: ``"texts"``, ``"pictures"`` or ``"tokens"``.

    Raises:
        TypeError: They are of several kinds.
    """
    kinds = sorted(set(_kinds(rows)))
    if len(kinds) > 1:
        message = f"the samples of a batch are {' and '.join(kinds)}; expected one kind for all"
        raise TypeError(message)
    return kinds[0]


def _kinds(rows: Sequence[Any]) -> Iterator[str]:
    for row in rows:
        yield "texts" if isinstance(row, str | tuple) else "tokens" if isinstance(row, Mapping) else "pictures"
