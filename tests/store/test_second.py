"""A shard that two workers compute: the first one stays, and whoever comes second hears how its own differs."""

import warnings

import numpy as np
import pytest

from probly.data_generator import StoreError
from probly.data_generator.run import run, worker
from probly.data_generator.store import open_store
from probly_data_generator_store import files
from tests.store import shared, stores


def overtaken(monkeypatch, fill):
    """Let somebody else fill the store before a worker gives the name of its second shard."""
    original = files.give_name

    def give_name(source, target):
        if target.name.startswith("000000000010"):
            monkeypatch.setattr(files, "give_name", original)
            fill()
        return original(source, target)

    monkeypatch.setattr(files, "give_name", give_name)


class Drifting(stores.Linear):
    """A model whose logits drift after the first shard; nothing but its rows tells it from the usual one."""

    def __init__(self, drift):
        super().__init__()
        self.drift, self.calls = np.asarray(drift, np.float32), 0

    def __call__(self, inputs):
        self.calls += 1
        return super().__call__(inputs) + (self.drift if self.calls > 3 else np.float32(0))


Drifting.__qualname__ = "Linear"


@pytest.mark.parametrize(
    ("drift", "keep", "outcome", "message"),
    [
        ([0, 0.5, 1], (), StoreError, "has published other rows, by up to 0"),
        ([0, 3e-7, 6e-7], (), UserWarning, "has published these rows first, with other last bits"),
        # The same rows, since a softmax knows no offset, and other logits.
        ([8, 8, 8], ("logits",), StoreError, "has published other rows, by up to"),
    ],
    ids=["rows", "last bits", "logits"],
)
def test_other_rows_and_columns_are_noticed(tmp_path, monkeypatch, drift, keep, outcome, message):
    shared.seen_alike(monkeypatch)
    path, options = tmp_path / "a.fod", {"keep": keep}
    model = Drifting(drift)
    overtaken(monkeypatch, lambda: shared.run(path, share=(1, 2), generator=logits(stores.Linear()), **options))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(outcome, match=message):
            shared.run(path, share=(0, 2), generator=logits(model), **options)
    assert stores.agrees(open_store(path))


def logits(model):
    return stores.generator(model, output_mode="logits")


@pytest.mark.parametrize("what", ["labels", "sample keys"])
def test_other_labels_and_keys_are_noticed(tmp_path, monkeypatch, what):
    alike = {"model": {"digest": "sha256:0", "file": None}, "dataset": {"content": "sha256:0"}}
    monkeypatch.setattr(run, "run_identity", lambda *_, **__: alike)
    monkeypatch.setattr(worker, "remember_models", lambda *_: None)
    path, keys = tmp_path / "a.fod", [str(number) for number in range(stores.ROWS)]
    others = (stores.INPUTS, stores.LABELS[::-1].copy()) if what == "labels" else stores.DATA
    other_keys = keys[::-1] if what == "sample keys" else keys
    overtaken(monkeypatch, lambda: shared.run(path, share=(1, 2), keys=keys))
    with pytest.raises(StoreError, match=f"has published other {what}: the dataset does not give the same samples"):
        shared.run(path, others, share=(0, 2), keys=other_keys)


def test_the_same_again_is_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a.fod"
    overtaken(monkeypatch, lambda: shared.run(path, share=(1, 2), keep=["logits"], generator=logits(stores.Linear())))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shared.run(path, share=(0, 2), keep=["logits"], generator=logits(stores.Linear()))
    assert stores.agrees(open_store(path))


def test_a_worker_that_was_admitted_with_a_tolerance_and_computes_the_same_is_nothing(tmp_path, monkeypatch):
    """Its shards say how far its kernels are off, and so are others byte by byte."""
    shared.seen_alike(monkeypatch)
    path = tmp_path / "a.fod"
    other = stores.Linear()
    other.weights[0, 0] = np.nextafter(np.float32(2), np.float32(3))
    inputs = stores.INPUTS.copy()
    inputs[10:, 0] = 0  # so that it matters in the first shard only
    data = (inputs, stores.LABELS)
    shared.run(path, data)
    stores.shard(path, 1).unlink()
    (path / "manifest.json").unlink()
    overtaken(monkeypatch, lambda: shared.run(path, data))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shared.run(path, data, model=other, tolerance=1e-6)
