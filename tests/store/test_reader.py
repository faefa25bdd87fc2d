"""A store as distributions: without loading it, without copying, in every loader."""

import copy
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

from probly.data_generator import (
    AlignmentError,
    Distributions,
    StoreError,
    metrics,
    output_dataloader,
)
from probly.data_generator.metrics import report
from probly.data_generator.store import open_partial, open_store
from probly_data_generator_store import fod
from probly_data_generator_store.writer import Limits, StoreWriter
from tests.store import stores
from tests.store.stores import pointer

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["float32", "float16", "top-2"])
def form(request):
    return request.param


@pytest.fixture
def path(tmp_path):
    stores.run(tmp_path / "a.fod")
    return tmp_path / "a.fod"


def test_it_is_what_memory_would_hold(path):
    store, memory = open_store(path), stores.EXPECTED
    assert isinstance(store, Distributions)
    assert store == memory
    assert memory == store
    assert len(store) == len(memory)
    assert list(store) == list(memory)
    assert store.num_classes == 3
    assert store.indices.tolist() == memory.indices.tolist()
    assert store.labels.tolist() == memory.labels.tolist()
    assert report(store) == report(memory)
    assert {**store.meta, "timestamp": 0} == {**memory.meta, "timestamp": 0}
    for index in (0, 9, 10, 42, np.int64(17)):
        assert store[index].tobytes() == memory[index].tobytes()
    for wrong in (-1, 43, 2**40):
        assert wrong not in store
        with pytest.raises(KeyError, match=f"No distribution for index {wrong}"):
            store[wrong]
    for wrong in (1.5, "1", None, [1], np.array([1])):
        with pytest.raises(KeyError, match="expected an integer"):
            store[wrong]
    for wrong in ([1.5], [True, False], ["1"]):
        with pytest.raises(AlignmentError, match="expected integers as dataset indices"):
            store.gather(wrong)
    assert repr(store) == f"Store({path}: 43 samples x 3 classes)"


@pytest.mark.parametrize(
    "part", [slice(None), slice(2, 5), slice(8, 12), slice(0, 0), slice(40, 99), slice(5, 2), slice(1, 40, 7)]
)
def test_slices(tmp_path, form, part):
    store = stores.run(tmp_path / "a.fod", encoding=form)
    np.testing.assert_array_equal(store[part], np.asarray(store)[part])
    np.testing.assert_allclose(store[part], stores.EXPECTED.probabilities[part], atol=0.35 if form == "top-2" else 1e-3)


def test_gather_in_any_order_over_all_shards(tmp_path, form):
    store = stores.run(tmp_path / "a.fod", encoding=form)
    random, whole = np.random.default_rng(0), np.asarray(store)
    for count in (0, 1, 2, 50, 1000):
        wanted = random.integers(0, stores.ROWS, count)
        rows = store.gather(wanted)
        np.testing.assert_array_equal(rows, whole[wanted])
        assert rows.flags.writeable
        assert rows.dtype == np.float32
    with pytest.raises(KeyError, match="No distribution for index 43"):
        store.gather([0, 43])
    with pytest.raises(KeyError, match="No distribution for index -1"):
        store.gather([-1])


def test_nothing_is_read_before_it_is_asked_for(path):
    shard = path / "shards" / "000000000010-000000000020.safetensors"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.chmod(0o644)
    shard.write_bytes(data)
    store = open_store(path)
    assert len(store) == stores.ROWS
    assert store[5].tobytes() == stores.EXPECTED[5].tobytes()
    assert len(store.missing(100)) == 57
    for touch in (
        lambda: store[10],
        lambda: store.gather([0, 10]),
        lambda: store.labels,
        store.verify,
        lambda: np.asarray(store),
    ):
        with pytest.raises(StoreError, match="the checksum of the data is wrong"):
            touch()


def test_a_store_with_gaps(path):
    (path / "manifest.json").unlink()
    (path / "shards" / "000000000010-000000000020.safetensors").unlink()
    store = open_partial(path)
    there = [*range(10), *range(20, 43)]
    assert list(store) == there
    assert not store.complete
    assert 12 not in store
    assert store.missing(43).tolist() == list(range(10, 20))
    assert store[25].tobytes() == stores.EXPECTED[25].tobytes()
    np.testing.assert_array_equal(store.gather([42, 3, 20]), stores.EXPECTED.gather([42, 3, 20]))
    assert store.labels.tolist() == [index % 3 for index in there]
    for touch in (
        lambda: store[12],
        lambda: store.gather([1, 12]),
        lambda: store[5:15],
        lambda: store[43],
        lambda: store[-1],
    ):
        with pytest.raises(KeyError, match="No distribution for index"):
            touch()
    with pytest.raises(KeyError, match="10 of 43 samples have none"):
        output_dataloader(stores.DATA, store)
    assert pickle.loads(pickle.dumps(store)) == store
    store.verify()


def test_pickling_sends_the_path(path, tmp_path, monkeypatch):
    store = open_store(path)
    np.asarray(store)
    sent = pickle.dumps(store)
    assert len(sent) < 400
    assert pickle.loads(sent) == store
    assert copy.deepcopy(store) == store
    monkeypatch.chdir(path.parent)
    relative = pickle.dumps(open_store("a.fod"))
    monkeypatch.chdir("/")
    assert pickle.loads(relative) == store
    stores.run(tmp_path / "b.fod")
    path.rename(tmp_path / "old.fod")
    (tmp_path / "b.fod").rename(path)
    with pytest.raises(StoreError, match="replaced by another store"):
        pickle.loads(sent)
    with pytest.raises(StoreError, match="replaced by another store"):
        store.verify()


def test_rows_are_views_of_the_file_at_multiples_of_64_bytes(path):
    store = open_store(path)
    for positions, block in store.blocks():
        assert pointer(block) % 64 == 0
        assert not block.flags.writeable
        for index in positions:
            assert pointer(store[index]) == pointer(block[index - positions.start])
        assert pointer(store[positions.start : positions.stop]) == pointer(block)
    one = stores.run(path.parent / "b.fod", shard_megabytes=1)
    assert pointer(np.asarray(one)) == pointer(one[0]) == pointer(one.probabilities)
    with pytest.raises(ValueError, match="read-only"):
        one[0][0] = 1


def test_threads_read_one_store(path):
    store, wrong = open_store(path), []

    def read(seed):
        wanted = np.random.default_rng(seed).integers(0, stores.ROWS, 500)
        if not np.array_equal(store.gather(wanted), stores.EXPECTED.gather(wanted)):
            wrong.append(seed)

    threads = [threading.Thread(target=read, args=[seed]) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_no_handle_stays_open(path):
    before = len(os.listdir("/proc/self/fd"))
    store = open_store(path)
    np.asarray(store), store.labels, store.verify()
    assert len(os.listdir("/proc/self/fd")) <= before + len(os.listdir(path / "shards"))  # one that each map keeps
    del store
    assert len(os.listdir("/proc/self/fd")) == before


HANDLES = """
    import resource, sys
    import numpy as np
    from probly.data_generator.store import open_store
    from tests.store import stores

    store = open_store(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))
    random = np.random.default_rng(0)
    for wanted in (np.arange(600), random.integers(0, 600, 2000)):
        assert (store.gather(wanted)[:, 0] == (wanted + 1) / 1024).all()
    for index in random.integers(0, 600, 1000).tolist():
        assert store[index][0] == np.float32((index + 1) / 1024)
    assert store.labels.tolist() == list(range(600))
    assert len(np.asarray(store)) == 600
    assert sum(len(block) for _, block in store.blocks(writable=True)) == 600
    store.verify()
"""


def test_a_store_may_have_more_shards_than_a_process_files(tmp_path):
    path = tmp_path / "a.fod"
    with StoreWriter(path, {}, "float32", Limits(1e-9, 1e9)) as writer:
        writer.begin(2, {}, rows=600, decided=None)
        for row in range(600):
            writer.append(row, np.array([[row + 1, 1023 - row]], np.float32) / 1024, np.array([row]))
        writer.finish(600)
    command = [sys.executable, "-c", textwrap.dedent(HANDLES), path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


MEMORY = """
    import sys
    import numpy as np
    from pathlib import Path
    from probly.data_generator.store import open_store
    from probly_data_generator_store.writer import Limits, StoreWriter

    def peak():
        return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])

    rows = int(sys.argv[2])
    batch = np.random.default_rng(0).dirichlet(np.ones(1000), 256).astype(np.float32)
    with StoreWriter(Path(sys.argv[1]), {}, "float32", Limits(4, 1e9)) as writer:
        writer.begin(1000, {}, rows=rows, decided=None)
        before = peak()
        for start in range(0, rows, 256):
            writer.append(start, batch[: rows - start])
        writer.finish(rows)
    print(peak() - before)
"""


def test_memory_does_not_grow_with_the_rows(disk_path):
    peaks = []
    for rows in (2_000, 20_000):
        command = [sys.executable, "-c", textwrap.dedent(MEMORY), disk_path / f"{rows}.fod", str(rows)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    assert peaks[1] < peaks[0] + 2_000  # kilobytes, for 72 megabytes more of rows


def test_a_report_never_holds_all_rows(path, monkeypatch):
    store, whole, most = open_store(path), report(stores.EXPECTED), []
    original = type(store).gather

    def gather(self, indices):
        most.append(len(indices))
        return original(self, indices)

    def refuse(self):
        raise AssertionError("all rows at once")

    monkeypatch.setattr(type(store), "gather", gather)
    monkeypatch.setattr(type(store), "probabilities", property(refuse))
    assert report(store) == whole
    most.clear()
    monkeypatch.setattr(metrics, "NUMBERS_AT_ONCE", 20)
    parts = report(store)
    assert max(most) == 6
    assert parts["class_distribution"] == whole["class_distribution"]
    assert parts["confidence"] == whole["confidence"]
    assert parts["metrics"] == pytest.approx(whole["metrics"], rel=1e-12)


def test_a_report_of_a_store_with_gaps(path):
    (path / "manifest.json").unlink()
    (path / "shards" / "000000000010-000000000020.safetensors").unlink()
    there = [*range(10), *range(20, 43)]
    rows = stores.EXPECTED.gather(there)
    assert report(open_partial(path)) == report(Distributions(rows, there, stores.LABELS[there]))


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_what_is_left_of_a_store_with_indices_of_its_own_is_right(tmp_path, monkeypatch, gone):
    monkeypatch.setattr(fod, "NUMBERS_AT_ONCE", 3 * 3)
    rows = np.random.default_rng(1).dirichlet(np.ones(3), 9).astype(np.float32)
    whole = Distributions(rows, np.arange(9) * 10 + 5, np.arange(9))
    fod.write(tmp_path / "a.fod", whole, {}, megabytes=1e-6)
    stores.shard(tmp_path / "a.fod", gone).unlink()
    (tmp_path / "a.fod" / "manifest.json").unlink()
    found = open_partial(tmp_path / "a.fod")
    left = [index for index in whole if (index - 5) // 30 != gone]
    assert list(found) == left
    np.testing.assert_array_equal(found.gather(left[::-1]), whole.gather(left[::-1]))
    np.testing.assert_array_equal(found.labels, [(index - 5) // 10 for index in left])
    for index in whole:
        assert (index in found) == (index in left)
        if index in left:
            np.testing.assert_array_equal(found[index], whole[index])
        else:
            with pytest.raises(KeyError, match=f"No distribution for index {index}"):
                found[index]
    stored = found.stored(whole.indices)
    assert whole.indices[stored.positions].tolist() == left
    np.testing.assert_array_equal(stored.rows, whole.gather(left))


def test_nothing_of_a_store_with_indices_of_its_own(tmp_path):
    fod.write(tmp_path / "a.fod", Distributions([[0.25, 0.75]], [7]), {})
    stores.shard(tmp_path / "a.fod", 0).unlink()
    (tmp_path / "a.fod" / "manifest.json").unlink()
    found = open_partial(tmp_path / "a.fod")
    assert (len(found), list(found), 7 in found, found.first_stored) == (0, [], False, None)
    with pytest.raises(KeyError, match="No distribution for index 7"):
        found.gather([7])
