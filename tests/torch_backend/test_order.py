"""Streams of torch and of Hugging Face: those that shuffle are refused, also in a DataLoader; the others keep order."""

import datasets
import numpy as np
import pytest
import torch
from torch.utils.data import ChainDataset, DataLoader, IterableDataset, TensorDataset
from torch.utils.data.datapipes.iter import IterableWrapper

from probly.data_generator import AlignmentError, FirstOrderDataGenerator

ROWS = 20
LOGITS = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
EXPECTED = torch.from_numpy(LOGITS).softmax(-1).numpy()


class Streams(IterableDataset):
    """Hands out samples of what it has under a name of its own."""

    def __init__(self, source):
        self.inner = source

    def __iter__(self):
        yield from self.inner


def hugging_face():
    rows = datasets.Dataset.from_dict({"x": LOGITS.tolist(), "index": list(range(ROWS))})
    return rows.to_iterable_dataset(num_shards=4)


def samples(shuffle):
    """Hand out the samples of a loader one by one."""
    loader = DataLoader(TensorDataset(torch.from_numpy(LOGITS), torch.arange(ROWS)), 6, shuffle=shuffle)
    return (
        {"x": row, "index": int(index)} for rows, indices in loader for row, index in zip(rows, indices, strict=True)
    )


def datapipe():
    return IterableWrapper([{"x": row, "index": index} for index, row in enumerate(LOGITS)])


def run(dataset, **options):
    options = {"input_getter": lambda sample: torch.as_tensor(sample["x"]), "device": "cpu"} | options
    generator = FirstOrderDataGenerator(torch.nn.Identity(), output_mode="logits", batch_size=6, **options)
    return generator.generate_distributions(dataset, progress=False)


SHUFFLED = {
    "hugging face": lambda: hugging_face().shuffle(seed=1, buffer_size=10),
    "hugging face, more steps": lambda: hugging_face().shuffle(seed=1).map(lambda row: row).take(ROWS),
    "hugging face as tensors": lambda: hugging_face().shuffle(seed=1).with_format("torch"),
    "hugging face in a stream": lambda: Streams(hugging_face().shuffle(seed=1)),
    "draws": lambda: datasets.interleave_datasets([hugging_face(), hugging_face()], probabilities=[0.5, 0.5], seed=1),
    "a loader in a stream": lambda: Streams(samples(shuffle=True)),
    "a chain": lambda: ChainDataset([Streams(datapipe()), Streams(hugging_face().shuffle(seed=1))]),
    "a datapipe": lambda: datapipe().shuffle().map(dict),
}


@pytest.mark.parametrize("kind", SHUFFLED)
def test_streams_that_shuffle_are_refused(kind):
    with pytest.raises(AlignmentError, match=r"no defined order \(.*\), so its rows have no index.*index_getter"):
        run(SHUFFLED[kind]())
    if kind not in ("draws", "a chain"):  # their indices come twice
        rows = run(SHUFFLED[kind](), index_getter=lambda sample: int(sample["index"]))
        np.testing.assert_allclose(rows.probabilities, EXPECTED, atol=1e-6)


@pytest.mark.parametrize("kind", ["hugging face", "hugging face as tensors", "hugging face in a stream", "a chain"])
def test_so_they_are_in_a_loader(kind):
    loader = DataLoader(SHUFFLED[kind](), batch_size=6, collate_fn=list)
    with pytest.raises(AlignmentError, match=r"no defined order \(.*Shuffled"):
        run(loader, input_getter=lambda batch: torch.stack([torch.as_tensor(sample["x"]) for sample in batch]))


ORDERED = {
    "hugging face": hugging_face,
    "hugging face, more steps": lambda: hugging_face().map(lambda row: row).take(ROWS),
    "hugging face as tensors": lambda: hugging_face().with_format("torch"),
    "a loader in a stream": lambda: Streams(samples(shuffle=False)),
    "a datapipe": lambda: datapipe().shuffle().set_shuffle(False).map(dict),
    "rows that were shuffled before": lambda: datasets.Dataset.from_dict({"x": LOGITS[::-1].tolist()}).select(
        range(ROWS - 1, -1, -1)
    ),
}


@pytest.mark.parametrize("kind", ORDERED)
def test_streams_that_do_not_are_read(kind):
    np.testing.assert_allclose(run(ORDERED[kind]()).probabilities, EXPECTED, atol=1e-6)


def test_a_loader_without_shuffling_switches_a_datapipe_off():
    loader = DataLoader(datapipe().shuffle(), batch_size=6, shuffle=False, collate_fn=list)
    rows = run(loader, input_getter=lambda batch: torch.stack([torch.as_tensor(sample["x"]) for sample in batch]))
    np.testing.assert_allclose(rows.probabilities, EXPECTED, atol=1e-6)
