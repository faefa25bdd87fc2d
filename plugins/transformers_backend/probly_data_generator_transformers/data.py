"""Datasets of texts, pictures and tokenised samples, read for a run; texts that are cut are counted."""

import functools
import warnings
from collections.abc import Iterator
from typing import Any

from probly.data_generator.toolkit.loaders import is_loader
from probly.data_generator.toolkit.nests import Samples
from probly.data_generator.toolkit.parts import Getter
from probly.data_generator.toolkit.samples import Batch, Batches
from probly_data_generator_torch.arrays import PICTURES as NO_TENSORS
from probly_data_generator_torch.data import torch_batches
from probly_data_generator_torch.state import held
from probly_data_generator_transformers.checks import refuse_empty
from probly_data_generator_transformers.columns import refuse_unread
from probly_data_generator_transformers.forward import TransformersModel
from probly_data_generator_transformers.inputs import TWO_PAIRS, are_two_pairs, stack
from probly_data_generator_transformers.parts import HANDED_ON
from probly_data_generator_transformers.pictures import load, refuse_channels_first
from probly_data_generator_transformers.texts import Texts

IN_A_LOADER = (
    "the samples of this loader hold pictures, which its collate_fn does not stack; pass the dataset itself, or let "
    "the loader hand them on: DataLoader(dataset, collate_fn=list)"
)
"""A transform that makes tensors of them would do without the model's own image processor."""


def batches_for(
    model: TransformersModel,
    dataset: Any,
    batch_size: int,
    input_getter: Getter | None,
    index_getter: Getter | None,
    batched: bool | None,
    start: int,
    stop: int | None,
    label_getter: Getter | None,
) -> Batches:
    """Return the batches of a run; what has to be prepared is a list with an entry per row, for whichever model.

    Args:
        model: What ``load_model`` returned.
        dataset: See the hook ``iterate_batches``, as for the others.
        batch_size: Rows per batch.
        input_getter: Picks the model's input.
        index_getter: Picks the dataset index.
        batched: Whether ``dataset`` yields batches.
        start: The first row that is needed.
        stop: The first row that is not needed any more, or None.
        label_getter: Picks the label.

    Raises:
        AlignmentError: The index of a row cannot be known.
        ValueError: The dataset may be one picture.
    """
    if model.takes_pictures and not batched:
        refuse_channels_first(dataset)
    batches = torch_batches(
        dataset,
        batch_size,
        input_getter,
        index_getter,
        batched,
        start,
        stop,
        model.num_workers,
        label_getter,
        functools.partial(stack, names=model.names | HANDED_ON),
    )
    collated = is_loader(dataset) if batched is None else batched
    return held(model.parts, Batches(_read(model, batches, collated=collated), batches.length), start)


def _read(model: TransformersModel, batches: Batches, *, collated: bool) -> Iterator[Batch]:
    count, listed = _Count(model), None
    try:
        for batch in batches:
            inputs = batch.inputs
            if collated and are_two_pairs(inputs):  # which only the batches before tell from two columns
                inputs = _two_pairs(inputs, listed)
            elif collated:
                listed = isinstance(inputs, Samples)
            rows = model.rows(inputs, batch.indices)
            refuse_unread(inputs if rows is None else rows, model.names | HANDED_ON)
            if rows is not None:
                load(rows, batch.indices)
                count.add(batch.indices, rows)
                yield batch._replace(inputs=rows)
            else:
                yield batch
        count.report()
    except TypeError as error:
        if str(error) != NO_TENSORS:
            raise
        raise TypeError(IN_A_LOADER) from error
    finally:
        batches.close()


def _two_pairs(inputs: Any, listed: bool | None) -> Any:
    """Return two pairs as a list of them, or as a tuple of two columns, whichever the batches before were."""
    if listed is None:
        raise TypeError(TWO_PAIRS)
    return inputs if listed else tuple(inputs)


class _Count:
    """Counts the texts that are cut because they are longer than the tokenizer allows."""

    def __init__(self, model: TransformersModel) -> None:
        self.model, self.cut, self.rows = model, 0, 0
        self.first: Any = None

    def add(self, indices: Any, rows: Any) -> None:
        """Look at the rows of a batch; their tokens are remembered for the model.

        Raises:
            ValueError: A text has no tokens.
        """
        texts = self.model.preparer
        if not isinstance(texts, Texts) or not all(isinstance(row, str | tuple) for row in rows):
            return
        texts.counted = True
        self.rows += len(rows)
        encoded = texts.encoded(rows)
        refuse_empty((tokens.inputs for tokens in encoded), (f"sample {index}" for index in indices))
        cut = [index for index, tokens in zip(indices, encoded, strict=True) if tokens.cut]
        self.first = cut[0] if cut and self.first is None else self.first
        self.cut += len(cut)

    def report(self) -> None:
        """Say how many were cut, where some were.

        Warns:
            UserWarning: There are some.
        """
        if self.cut:
            texts = self.model.preparer
            assert isinstance(texts, Texts)
            message = (
                f"{self.cut:,} of {self.rows:,} texts were longer than {texts.limit} tokens and were cut to these, the "
                f"first of them sample {self.first}; the tokenizer says so (model_max_length), or the pipeline"
            )
            warnings.warn(message, stacklevel=2)
