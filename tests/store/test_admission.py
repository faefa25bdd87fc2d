"""Who may share a store: identity and first batch of each worker are compared with those of whoever began it."""

import base64

import numpy as np
import pytest

from probly.data_generator import InvalidOutputError, StoreError
from probly.data_generator.store import open_partial
from probly_data_generator_store import admission, files
from tests.store import shared, stores

CHANGED = "has changed since the store was begun"


def begin(path, model):
    """Let somebody begin a store who dies after its first shard."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "give_name", dying_after(2))
        with pytest.raises(KeyboardInterrupt):
            shared.run(path, model=model)


def dying_after(count):
    original, calls = files.give_name, []

    def give_name(source, target):
        calls.append(target)
        if len(calls) > count:
            raise KeyboardInterrupt
        return original(source, target)

    return give_name


def test_weights_that_are_off_by_1e_7_are_seen(tmp_path):
    path = tmp_path / "a.fod"
    begin(path, stores.Linear(2.0))
    other = stores.Linear(2.0)
    other.weights[0, 0] = np.nextafter(np.float32(2), np.float32(3))
    with pytest.raises(StoreError, match=r"was begun by another run; model digest"):
        shared.run(path, model=other)
    assert len(open_partial(path)) == shared.SHARD_ROWS


def test_what_no_digest_sees_the_first_batch_does(tmp_path, monkeypatch):
    shared.seen_alike(monkeypatch)
    path = tmp_path / "a.fod"
    begin(path, stores.Linear(2.0))
    other = stores.Linear(2.0)
    other.weights[0, 0] = np.nextafter(np.float32(2), np.float32(3))
    with pytest.raises(StoreError, match=r"computes with other kernels .*tolerance=[0-9]e-0[78], which the store"):
        shared.run(path, model=other)
    for scale in (2.1, 2.0002):  # a little is more than kernels change, too
        with pytest.raises(StoreError, match=CHANGED):
            shared.run(path, model=stores.Linear(scale))
    assert len(open_partial(path)) == shared.SHARD_ROWS


def test_other_kernels_are_admitted_by_a_tolerance_and_the_store_says_so(tmp_path, monkeypatch):
    shared.seen_alike(monkeypatch)
    path = tmp_path / "a.fod"
    begin(path, stores.Linear(2.0))
    other = stores.Linear(2.0)
    other.weights[0, 0] = np.nextafter(np.float32(2), np.float32(3))
    with pytest.raises(StoreError, match="tolerance=") as refused:
        shared.run(path, model=other)
    advised = float(str(refused.value).rpartition("tolerance=")[2].partition(",")[0])
    store = shared.run(path, model=other, tolerance=advised)  # the advice works when it is followed
    assert 0 < store.meta["deviation"] <= advised
    assert np.abs(np.asarray(store) - stores.EXPECTED.probabilities).max() < 1e-6
    with pytest.raises(StoreError, match=CHANGED):
        shared.run(path, model=stores.Linear(2.1), tolerance=advised)


def test_without_a_probe_only_the_identity_is_compared(tmp_path, monkeypatch):
    shared.seen_alike(monkeypatch)
    path = tmp_path / "a.fod"
    begin(path, stores.Linear(2.0))
    shared.run(path, model=stores.Linear(2.1), probe=False)
    with pytest.raises(StoreError, match="batch_size: the store has 5, this run has 10"):
        shared.run(path, generator=stores.generator(batch_size=10), probe=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": (stores.INPUTS + 1, stores.LABELS)}, "was begun by another run; dataset content"),
        ({"generator": stores.generator(output_mode="logits")}, "output_mode: the store has 'auto'"),
        ({"generator": stores.generator(batch_size=2)}, "batch_size: the store has 5, this run has 2"),
        ({"shard_rows": 20}, "shard_rows: the store was begun with 10, got 20"),
        ({"encoding": "float16"}, "encoding: the store has 'float32', this run has 'float16'"),
    ],
    ids=["data", "mode", "batch size", "grid", "encoding"],
)
def test_others_are_refused_by_name(tmp_path, change, message):
    path = tmp_path / "a.fod"
    begin(path, stores.Linear())
    with pytest.raises(StoreError, match=message):
        shared.run(path, **change)
    assert len(open_partial(path)) == shared.SHARD_ROWS


def test_a_range_that_begins_with_rows_that_look_like_probabilities_is_read_as_the_whole_run_is(tmp_path):
    """Logits everywhere, but in the second shard they happen to be distributions."""

    class Telling:
        def __call__(self, inputs):
            return inputs

    logits = np.tile(np.array([[3.0, -1.0, 0.5]], np.float32), (20, 1))
    logits[10:14] = [0.5, 0.25, 0.25]
    expected = stores.generator(Telling()).generate_distributions(logits, progress=False)
    store = shared.run(tmp_path / "a.fod", logits, model=Telling(), share=(1, 2))
    assert np.asarray(store).tobytes() == expected.probabilities.tobytes()
    assert expected[12][0] < 0.45  # a softmax of 0.5, 0.25, 0.25
    logits[10:] = [0.5, 0.25, 0.25]  # whole batches: the single run refuses them, and so does each worker
    messages = set()
    for run in (lambda: stores.run(tmp_path / "b.fod", logits, model=Telling()),
                lambda: shared.run(tmp_path / "c.fod", logits, model=Telling(), share=(1, 2))):  # fmt: skip
        with pytest.raises(InvalidOutputError, match="its outputs are probabilities, but those of the first") as caught:
            run()
        messages.add(str(caught.value).partition(": its")[2])
    assert len(messages) == 1


def test_the_probe_keeps_at_least_a_row():
    rows = np.full((3, admission.MOST_NUMBERS), 1 / admission.MOST_NUMBERS, np.float32)
    assert len(base64.b64decode(admission.packed_rows(rows))) == 4 * admission.MOST_NUMBERS
