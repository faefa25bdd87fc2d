"""What is refused before a model of transformers would fail at it in its own words, or take it for something else."""

from collections.abc import Collection, Iterable, Mapping
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
            "return_tensors='pt') returns it; leave out return_tensors, or set input_getter=lambda sample: {name: "
            "value[0] for name, value in sample.items()}"
        )
        raise ValueError(message)


def refuse_unscaled(pixels: Any) -> None:
    """Refuse integers as pixels that nobody scales: the model would take them for floats."""
    dtype = torch.as_tensor(pixels).dtype
    if not dtype.is_floating_point:
        message = (
            f"input {PIXELS!r}: the model wants floats, got {str(dtype).rpartition('.')[2]}; {UNSCALED}; or pass "
            "model=(model, image_processor), which scales pixels of uint8"
        )
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


def refuse_layers(answer: Any, part: Mapping[str, Any]) -> None:
    """Refuse a hidden layer with a vector per token: texts of other lengths have another number of them."""
    tokens = part[TOKENS].shape[1] if TOKENS in part else None
    for name, layer in answer.layers.items() if isinstance(answer, Kept) else ():
        if layer.ndim > 2 and layer.shape[1] == tokens:
            message = (
                f"keep: layer {name!r} returns a vector for each of {tokens} tokens, a number that differs from text "
                "to text; name a layer that returns one vector per text, such as a pooler"
            )
            raise ValueError(message)


def refuse_parts(kinds: Collection[Any]) -> None:
    """Refuse a batch in several parts where it has to be one."""
    if len(kinds) > 1:
        message = (
            "output_transform reads the outputs of a whole batch, but these samples have different lengths or "
            "shapes, and the model cannot be asked about them together without changing their rows; set "
            "batch_size=1"
        )
        raise ValueError(message)
