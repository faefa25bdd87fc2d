"""Batches in parts that a model can be called with, and its answers back in the order of the batch."""

import inspect
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import torch

from probly.data_generator.toolkit.outputs import Kept, pick_scores

HANDED_ON: Final = frozenset({"input_ids", "attention_mask", "token_type_ids", "position_ids", "inputs_embeds"})
"""What most models take, and those that wrap them hand on."""


class Prepared(NamedTuple):
    """A batch in parts that a model can be called with.

    Attributes:
        parts: Tensors by the names of the model's inputs.
        order: The place in the batch of each row of all parts.
    """

    parts: list[dict[str, Any]]
    order: list[int]


def names_of(
    takes: inspect.Signature | None, made: Collection[str], inner: Iterable[inspect.Signature | None] = ()
) -> frozenset[str]:
    """Return what a model calls its inputs; one that hands on whatever it is given by name, as PEFT's, takes more.

    Args:
        takes: The signature of its ``forward``.
        made: What its tokenizer makes.
        inner: The signatures of the models in it, to which it may hand on.
    """
    names = _named(takes)
    if takes is not None and any(one.kind is one.VAR_KEYWORD for one in takes.parameters.values()):
        names = names.union(HANDED_ON, made, *map(_named, inner))
    return names - {"labels", "label"}


def _named(takes: inspect.Signature | None) -> frozenset[str]:
    parameters = () if takes is None else takes.parameters.values()
    return frozenset(one.name for one in parameters if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD))


def listed(value: Any) -> Any:
    """Return the numbers of a sample as a list."""
    return value.tolist() if hasattr(value, "tolist") else list(value)


def stacked(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return samples of one shape as one batch."""
    return {name: torch.stack([torch.as_tensor(sample[name]) for sample in samples]) for name in samples[0]}


def joined(answers: Sequence[Any], order: Sequence[int]) -> Any:
    """Return the scores of several parts in the order of the batch, and those of layers that are kept.

    Raises:
        ValueError: The scores of two texts have different shapes.
    """
    kept = [answer for answer in answers if isinstance(answer, Kept)]
    scores = [pick_scores(answer.outputs if isinstance(answer, Kept) else answer) for answer in answers]
    shapes = sorted({tuple(part.shape[1:]) for part in scores})
    if len(shapes) > 1:
        message = (
            f"the model returns scores of the shape {shapes[0]} for one text and {shapes[-1]} for another, such as a "
            "row for each token; expected one row per text, as of BertForSequenceClassification"
        )
        raise ValueError(message)
    whole = _in_order(scores, order)
    if not kept:
        return whole
    layers = {name: _in_order([answer.layers[name] for answer in kept], order) for name in kept[0].layers}
    return Kept(whole, layers)


def _in_order(parts: Sequence[torch.Tensor], order: Sequence[int]) -> torch.Tensor:
    whole = torch.cat(list(parts))
    places = torch.empty(len(order), dtype=torch.int64)
    places[torch.as_tensor(order)] = torch.arange(len(order))
    return whole[places.to(whole.device)]
