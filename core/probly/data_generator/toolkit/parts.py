"""Which part of a sample, or of a batch, is the model's input, and which is the label."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

import numpy as np

from probly.data_generator.toolkit.nests import Samples, moves_itself
from probly.data_generator.toolkit.outputs import describe

Getter = Callable[[Any], Any]

LABEL_KEYS: Final = ("label", "labels")
"""The keys of a mapping that are known to hold its label."""


def split_sample(
    sample: Any,
    input_getter: Getter | None = None,
    pairs: tuple[type, ...] = (tuple,),
    label_getter: Getter | None = None,
    index: Any = None,
) -> tuple[Any, Any]:
    """Return (input, label) of a sample or a batch; the label is None where there is none.

    A pair is (input, label), a mapping is an input with its label under "label" or "labels", which some models take
    beside the rest, and anything else is an input as a whole. A tuple of more parts is never guessed at.

    Args:
        sample: A sample or a batch.
        input_getter: Picks the input; nothing is then implied about the parts of a tuple of more than two.
        pairs: The types that hold an input and a label. A list of numbers or of texts alone is an input all the same.
        label_getter: Picks the label.
        index: What the user's index_getter returned; a third part that is the index is neither input nor label.

    Raises:
        ValueError: The parts are not two, and no getter says what they are; or there are two keys of labels.

    Examples:
        >>> split_sample(("image", 3))
        ('image', 3)
        >>> split_sample({"pixels": 1, "label": 2})
        ({'pixels': 1, 'label': 2}, 2)
        >>> split_sample({"image": 1, "target": 2}, lambda sample: sample["image"])
        (1, None)
        >>> split_sample((1, 2, 3), lambda sample: sample[:2], label_getter=lambda sample: sample[2])
        ((1, 2), 3)
    """
    if input_getter is not None and label_getter is not None:
        return input_getter(sample), label_getter(sample)
    if isinstance(sample, Mapping):
        keys = [] if label_getter is not None else [key for key in LABEL_KEYS if key in sample]
        if len(keys) > 1:
            message = (
                "a mapping has both 'label' and 'labels'; set label_getter, such as lambda sample: sample['label']"
            )
            raise ValueError(message)
        parts: Sequence[Any] = (sample, *(sample[key] for key in keys))
    else:
        parts = parts_of(sample, pairs)
        if len(parts) == 3 and index is not None and _are_equal(parts[2], index):
            parts = parts[:2]
        if input_getter is None and len(parts) not in (1, 2):
            raise ValueError(_not_guessed(parts, type(sample).__name__))
    value = parts[0] if input_getter is None else input_getter(sample)
    if label_getter is not None:
        return value, label_getter(sample)
    return value, parts[1] if len(parts) == 2 else None


def prepares_batch_inp(sample: Any, input_getter: Getter | None = None) -> Any:
    """Return the model's input of a sample or a batch.

    Examples:
        >>> prepares_batch_inp(("image", 3))
        'image'
    """
    return split_sample(sample, input_getter)[0]


def parts_of(sample: Any, pairs: tuple[type, ...] = (tuple,)) -> Sequence[Any]:
    """Return the parts of a sample or a batch: those of a pair, or the whole as the only one."""
    if not isinstance(sample, pairs) or isinstance(sample, Samples) or moves_itself(sample):
        return (sample,)
    all_text = isinstance(sample, list) and all(isinstance(part, str) for part in sample)
    return (sample,) if all_text or _is_list_of_numbers(sample) else cast("Sequence[Any]", sample)


def _is_list_of_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, int | float) or _is_list_of_numbers(one) for one in value)


def _are_equal(part: Any, index: Any) -> bool:
    try:
        return part is index or bool(np.array_equal(np.asarray(part), np.asarray(index)))
    except Exception:  # noqa: BLE001  # what NumPy cannot read is no index
        return False


def _not_guessed(parts: Sequence[Any], kind: str) -> str:
    shown = ", ".join(map(describe, parts[:8])) + (", ..." if len(parts) > 8 else "")
    firsts = [f"sample[{place}]" for place in range(min(len(parts) - 1, 3))] or ["sample[0]"]
    return (
        f"a {kind} of {len(parts)} parts ({shown}): which of them are inputs and which is the label is not guessed; "
        f"set input_getter, such as lambda sample: ({', '.join(firsts)}), and label_getter, such as lambda sample: "
        "sample[-1] (of a loader, both get a batch)"
    )
