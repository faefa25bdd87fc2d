"""BigBird switches to full attention for good at its first short text: here, only while it reads that one."""

import contextlib
from collections.abc import Iterable, Iterator

import torch

SPARSE = "block_sparse"
NO_PASSES = (
    "passes: with attention_type 'block_sparse' the model makes new layers for each short text, whose dropout nobody "
    "switches on; give it full attention: model.bert.set_attention_type('original_full') of BigBird, or "
    "attention_type in config.json of a folder"
)


def that_switch(parts: Iterable[torch.nn.Module]) -> list[torch.nn.Module]:
    """Return the parts of a model that have a type of attention that can be set."""
    return [part for part in parts if hasattr(part, "set_attention_type") and hasattr(part, "attention_type")]


def are_sparse(parts: Iterable[torch.nn.Module]) -> bool:
    """Return whether some of these parts would be switched by a short text."""
    return any(part.attention_type == SPARSE for part in parts)


@contextlib.contextmanager
def restored(parts: Iterable[torch.nn.Module]) -> Iterator[None]:
    """Give parts back their type of attention, and the very layers that they had."""
    before = [(part, dict(part.named_children())) for part in parts if part.attention_type == SPARSE]
    try:
        # The new layers are drawn at random, before they get the weights of the old ones.
        with torch.random.fork_rng(devices=[], enabled=bool(before)):
            yield
    finally:
        for part, children in before:
            if part.attention_type != SPARSE:
                part.attention_type = SPARSE  # type: ignore[assignment]  # torch's types take it for a part
                for name, child in children.items():
                    setattr(part, name, child)
