"""What is refused before a model of transformers would fail at it in its own words, or take it for something else."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch

from probly.data_generator.toolkit.feeds import UNSCALED
from probly.data_generator.toolkit.outputs import Kept, describe

PIXELS: Final = "pixel_values"
TOKENS: Final = "input_ids"
POSITIONS: Final = ("position_embeddings", "embed_positions", "wpe")
"""What tables of learned positions are called."""


def positions_of(module: torch.nn.Module) -> dict[str, int]:
    """Return how many positions a model knows, by the name of its table of them; none where it has no such table."""
    found = {}
    for name, part in module.named_modules():
        if isinstance(part, torch.nn.Embedding) and name.endswith(POSITIONS):
            # Those of RoBERTa begin after the number of the padding token, those of BART after an offset.
            before: Any = part.padding_idx + 1 if part.padding_idx is not None else getattr(part, "offset", 0)
            found[name] = part.num_embeddings - int(before)
    return found


def refuse_empty(samples: Iterable[Mapping[str, Any]], names: Iterable[str]) -> None:
    """Refuse a text without tokens, of which there is no row.

    Args:
        samples: Tokenised texts.
        names: What each is called in the message.
    """
    for sample, name in zip(samples, names, strict=True):
        if TOKENS in sample and len(sample[TOKENS]) == 0:
            message = f"{name}: the text has no tokens, so the model says nothing of it; fill it in, or leave it out"
            raise ValueError(message)


def refuse_batch_of_one(tokens: Any, place: Any) -> None:
    """Refuse the tokens of a sample that have an axis for a batch, too."""
    if np.ndim(tokens) != 0 and len(tokens) == 1 and np.ndim(tokens[0]) == 1:
        message = (
            f"sample {place}: {TOKENS} has the shape (1, {len(tokens[0])}), a batch of one, as tokenizer(..., "
            "return_tensors='pt') returns it; leave out return_tensors"
        )
        raise ValueError(message)


def refuse_unscaled(pixels: Any, *, processed: bool) -> None:
    """Refuse integers as pixels that nobody scales: the model would take them for floats.

    Args:
        pixels: What the model is to see.
        processed: Whether the model has an image processor.
    """
    dtype = torch.as_tensor(pixels).dtype
    if not dtype.is_floating_point:
        other = (
            f"pictures of uint8, and not by the name {PIXELS}: the image processor scales them"
            if processed
            else "model=(model, image_processor) and pictures of uint8, which it scales, not by that name"
        )
        got = str(dtype).rpartition(".")[2]
        message = f"input {PIXELS!r}: the model wants floats, got {got}; {UNSCALED}; or pass {other}"
        raise ValueError(message)


def refuse_numbers(inputs: Any, names: Collection[str], where: str) -> None:
    """Refuse numbers where a tokenizer waits for texts, such as a column of texts that all look like numbers."""
    if isinstance(inputs, Mapping):
        wrong = bool(names) and not any(name in names for name in inputs)
    else:
        wrong = isinstance(inputs, torch.Tensor | np.ndarray) and inputs.ndim < 2
    if wrong:
        message = (
            f"{where}: expected texts, got numbers ({describe(inputs)}); choose the texts in input_getter, and where "
            "the numbers are the texts, make them str there, or in the data, as .jsonl and .parquet keep them"
        )
        raise TypeError(message)


def refuse_padded(samples: Iterable[Mapping[str, Any]]) -> None:
    """Refuse padded texts for a model that does not know its padding: it would read its answer off the padding."""
    for sample in samples:
        if "attention_mask" in sample and not np.all(np.asarray(sample["attention_mask"])):
            message = (
                "the samples are padded, but the model does not know which token is padding; pass them without, or "
                "set model.config.pad_token_id (pad_token_id in config.json of a folder)"
            )
            raise ValueError(message)


def refuse_layers(answers: Sequence[Any], parts: Sequence[Mapping[str, Any]], seen: dict[str, set[int]]) -> None:
    """Refuse a hidden layer with a vector per token, of which texts of other lengths have another number.

    As long as all texts have one length none is refused: a layer may have as many vectors as they have tokens.

    Args:
        answers: What the model made of each part.
        parts: Of a batch.
        seen: The numbers of tokens that a layer has had as many vectors as, by its name; none: it once had not.
    """
    tokens = [int(part[TOKENS].shape[1]) for part in parts if TOKENS in part]
    for name in answers[0].layers if isinstance(answers[0], Kept) and tokens else ():
        layers = [answer.layers[name] for answer in answers]
        follows = all(layer.ndim > 2 and layer.shape[1] == count for layer, count in zip(layers, tokens, strict=True))
        follows = follows and seen.get(name) != set()
        seen[name] = {*seen.get(name, ()), *tokens} if follows else set()
        if len(seen[name]) > 1 or (follows and any(map(_are_of_several_lengths, parts))):
            message = (
                f"keep: layer {name!r} returns a vector for each of {tokens[0]} tokens, a number that differs from "
                "text to text; name a layer that returns one vector per text, such as a pooler"
            )
            raise ValueError(message)


def _are_of_several_lengths(part: Mapping[str, Any]) -> bool:
    return "attention_mask" in part and len(part["attention_mask"].sum(1).unique()) > 1


def refuse_parts(kinds: Collection[Any], *, one_by_one: bool) -> None:
    """Refuse a batch in several parts where it has to be one.

    Args:
        kinds: What tells the parts from each other.
        one_by_one: Whether it is divided because the model refuses several texts at once.
    """
    if len(kinds) > 1 and one_by_one:
        message = (
            "output_transform reads the outputs of a whole batch, but the model takes one text at a time; set "
            "model.config.pad_token_id (pad_token_id in config.json of a folder), or batch_size=1"
        )
        raise ValueError(message)
    if len(kinds) > 1:
        message = (
            "output_transform reads the outputs of a whole batch, but these samples have different lengths or "
            "shapes, and the model cannot be asked about them together without changing their rows; set "
            "batch_size=1"
        )
        raise ValueError(message)
