"""Texts to tokens, cut where the tokenizer says so, and tokens to padded batches."""

from collections import ChainMap, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

REMEMBERED: Final = 4
"""The batches whose tokens are kept: a batch is looked at before it is run, and run once per pass."""
PADDED: Final = frozenset({"input_ids", "attention_mask", "token_type_ids"})
"""What tokenizers pad; anything else that a tokenised sample has must have the same length in all."""

Text = str | tuple[str, str]


class Tokens(NamedTuple):
    """A text as a model gets it.

    Attributes:
        inputs: By the names of the model's inputs, lists of integers.
        cut: Whether it was longer than the tokenizer allows.
    """

    inputs: Mapping[str, list[int]]
    cut: bool


class Texts:
    """A tokenizer, and how it is called.

    Args:
        tokenizer: One of transformers.
        settings: What a pipeline calls it with; padding is not looked at, because batches are padded here.
    """

    kind = "texts"

    def __init__(self, tokenizer: Any, settings: Mapping[str, Any] | None = None) -> None:
        self.tokenizer = tokenizer
        own = dict(settings or {})
        for name in ("padding", "pad_to_multiple_of", "return_tensors"):
            own.pop(name, None)
        self.truncation = own.pop("truncation", None)
        self.max_length = own.pop("max_length", None)
        self.settings = own
        self.counted = False  # whether whoever makes the batches says how many texts were cut
        self._recent: deque[dict[Text, Tokens]] = deque(maxlen=REMEMBERED)

    @property
    def limit(self) -> int | None:
        """The most tokens of a text; longer ones are cut. None: the tokenizer does not say."""
        if self.truncation in (False, "do_not_truncate"):
            return None
        from transformers.tokenization_utils_base import LARGE_INTEGER

        allowed = self.tokenizer.model_max_length if self.max_length is None else self.max_length
        return int(allowed) if allowed < LARGE_INTEGER else None

    def cut_to(self, length: int, folder: Path | None) -> str:
        """Return what makes the tokenizer cut longer texts, for messages.

        Args:
            length: The most tokens of a text.
            folder: Where the tokenizer came from, if that is a saved folder.
        """
        if self.truncation is not None or self.max_length is not None:
            return f"pipeline(..., truncation=True, max_length={length})"
        if folder is not None:
            return f'"model_max_length": {length} in {folder / "tokenizer_config.json"}'
        return f"tokenizer.model_max_length = {length}"

    def encoded(self, rows: Sequence[Text]) -> list[Tokens]:
        """Return the tokens of texts and of pairs."""
        known: Mapping[Text, Tokens] = ChainMap(*self._recent)
        found = {row: known[row] for row in dict.fromkeys(rows) if row in known}
        missing = [row for row in dict.fromkeys(rows) if row not in found]
        made: dict[Text, Tokens] = {}
        for kind in (str, tuple):
            some = [row for row in missing if isinstance(row, kind)]
            made |= dict(zip(some, self._tokenised(some), strict=True)) if some else {}
        if made:
            self._recent.append(made)
        found |= made
        return [found[row] for row in rows]

    def _tokenised(self, rows: Sequence[Text]) -> list[Tokens]:
        """Return the tokens of texts, or of pairs; those that are too long are tokenised again, and cut."""
        tokens = self._called(rows, truncation=False)
        limit = self.limit
        sizes = [len(values["input_ids"]) for values in tokens]
        long = [] if limit is None else [place for place, size in enumerate(sizes) if size > limit]
        if long:
            strategy = self.truncation if isinstance(self.truncation, str) else True
            cut = self._called([rows[place] for place in long], truncation=strategy, max_length=limit)
            for place, values in zip(long, cut, strict=True):
                tokens[place] = values
        cut_places = frozenset(long)
        return [Tokens(values, place in cut_places) for place, values in enumerate(tokens)]

    def _called(self, rows: Sequence[Text], **how: Any) -> list[dict[str, list[int]]]:
        first = [row if isinstance(row, str) else row[0] for row in rows]
        second = None if isinstance(rows[0], str) else [row[1] for row in rows]
        found = self.tokenizer(first, second, padding=False, verbose=False, **self.settings, **how)
        return [{name: found[name][place] for name in found} for place in range(len(rows))]

    def pads(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Return whether the tokenizer can bring tokenised samples to one length."""
        return self.tokenizer.pad_token_id is not None and set(rows[0]) <= PADDED

    def padded(self, rows: Sequence[Mapping[str, Any]], length: int | None = None) -> dict[str, Any]:
        """Return tokenised samples as one batch of tensors.

        Args:
            rows: By name, lists of integers.
            length: To which they are padded; None: the longest.
        """
        from transformers import DataCollatorWithPadding

        collate = DataCollatorWithPadding(self.tokenizer, True if length is None else "max_length", length)
        return dict(collate([dict(row) for row in rows]))
