"""What little on the disk may be much in memory: readers work in blocks of numbers, and refuse what nobody can hold."""

import json
import math
import os
import subprocess
import sys
import textwrap
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from probly.data_generator import Distributions, FirstOrderDataGenerator, StoreError
from probly.data_generator.formats.shared import MOST_META
from probly.data_generator.label_values import key_array
from probly.data_generator.store import load, open_partial, open_store, save
from probly_data_generator_store import fod, layout, parquet, parquet_pages
from probly_data_generator_store.spec import MAX_JSON, SPEC, seal
from probly_data_generator_store.writer import Limits, StoreWriter
from tests.formats.common import ROWS, SMALL
from tests.store.damage import replace

ROOT = Path(__file__).parents[2]
WIDE = 250_000


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A store of a few kilobytes whose rows take 32 MB."""
    path = tmp_path_factory.mktemp("wide") / "a.fod"
    row = np.arange(WIDE, dtype=np.float32)[None]
    row /= row.sum(dtype=float)
    with StoreWriter(path, {}, "top-1", Limits(1e-3, math.inf)) as writer:
        writer.begin(WIDE, {}, rows=32, decided=None)
        for start in range(32):
            writer.append(start, row)
        writer.finish(32)
    return path


def peak_of(action):
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_verifying_wide_rows_takes_no_more_than_what_is_stored(wide):
    assert peak_of(open_store(wide).verify) < 1e6


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".parquet", ".fod"])
def test_converting_wide_rows_takes_a_few_blocks(wide, disk_path, suffix, monkeypatch):
    monkeypatch.setattr(parquet, "NUMBERS_PER_ROW_GROUP", 2**20)  # one of 16 MB takes 64
    most = 45e6 if suffix == ".parquet" else 25e6
    assert peak_of(lambda: written(disk_path / f"a{suffix}", open_store(wide))) < most
    assert (disk_path / f"a{suffix}").exists()


def written(path, distributions):
    if path.suffix == ".fod":
        fod.write(path, distributions, {}, megabytes=4)
    else:
        save(path, distributions)


def test_going_through_all_rows_takes_a_block(wide):
    def through():
        assert sum(len(block) for _, block in open_store(wide).blocks()) == 32

    assert peak_of(through) < 16e6
    assert [positions[0] for positions, _ in open_store(wide).blocks()][:3] == [0, 4, 8]


@pytest.mark.parametrize("classes", [2**24 + 1, 7 * 10**8])
def test_a_forged_number_of_classes(wide, tmp_path, classes):
    path = tmp_path / "a.fod"
    subprocess.run(["cp", "-r", wide, path], check=True)
    content = json.loads((path / SPEC).read_bytes())
    del content["checksum"]
    replace(path / SPEC, seal({**content, "classes": classes}))
    for opened in (open_store, open_partial):
        with pytest.raises(StoreError, match=r"spec.json: entry 'classes': expected at most 16777216"):
            opened(path)


def test_json_that_is_small_on_the_disk_alone(wide, tmp_path):
    path = tmp_path / "a.fod"
    subprocess.run(["cp", "-r", wide, path], check=True)
    replace(path / SPEC, b"[" + b"[]," * (MAX_JSON // 3) + b"[]]")
    with pytest.raises(StoreError, match=r"spec.json: expected at most [0-9]+ bytes"):
        open_store(path)
    np.savez_compressed(tmp_path / "a.npz", probabilities=ROWS, meta=np.frombuffer(b" " * (MOST_META + 1), np.uint8))
    with pytest.raises(StoreError, match=f"expected at most {MOST_META} bytes of metadata"):
        load(tmp_path / "a.npz")


@pytest.mark.parametrize("suffix", [".json", ".npz", ".safetensors", ".parquet", ".fod"])
def test_metadata_that_could_not_be_read_back_are_not_written(tmp_path, suffix):
    with pytest.raises(ValueError, match="expected at most"):
        save(tmp_path / f"a{suffix}", Distributions([[1.0]], meta={"text": "x" * MOST_META}))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("a")]


def test_a_row_of_two_billion_numbers_in_half_a_kilobyte_of_parquet(tmp_path):
    numbers = pa.ListArray.from_arrays(pa.array([0, 2**24], pa.int32()), pa.array(np.zeros(2**24, np.float32)))
    pq.write_table(pa.table({"probabilities": numbers}), tmp_path / "a.parquet", compression="zstd")
    assert (tmp_path / "a.parquet").stat().st_size < 1000

    def refused():
        with pytest.raises(StoreError, match=r"claim to hold 134217728, more than 250 times as much"):
            load(tmp_path / "a.parquet")

    before = pa.total_allocated_bytes()
    assert peak_of(refused) < 1e6
    assert pa.default_memory_pool().max_memory() < before + 2**28  # that of writing it, in this process


def test_pages_that_hold_more_than_their_footer_says(tmp_path):
    path = tmp_path / "a.parquet"
    save(path, SMALL)
    content = path.read_bytes()
    chunk = pq.read_metadata(path).row_group(0).column(0)
    start = chunk.data_page_offset
    header = parquet_pages.Compact(content[start:]).struct()[0]
    assert header[5][1] == chunk.num_values == 4
    # The header of the data in it: a struct, whose first field is an integer of this value.
    place = content.index(b"\x1c\x15\x08", start) + 2
    for count, says in ((100, "expected 4 values in the pages"), (3, "expected 4 values in the pages")):
        path.write_bytes(content[:place] + bytes([count]) + content[place + 1 :])
        with pytest.raises(StoreError, match=says):
            load(path)


def test_pages_with_headers_that_are_longer_than_usual(tmp_path, monkeypatch):
    save(tmp_path / "a.parquet", SMALL)
    monkeypatch.setattr(parquet_pages, "USUAL_BYTES", 8)  # as where texts stand in them, the least and the largest
    assert load(tmp_path / "a.parquet")[0] == SMALL


def test_text_that_says_how_much_of_the_text_before_it_is(tmp_path):
    table = pa.table({"probabilities": list(ROWS.tolist()), "label": ["x" * 1000] * 4})
    encoding = {"label": "DELTA_BYTE_ARRAY", "probabilities.list.element": "PLAIN"}
    pq.write_table(table, tmp_path / "a.parquet", use_dictionary=False, column_encoding=encoding)
    with pytest.raises(StoreError, match="expected text that is plain or in a dictionary, got deltas"):
        load(tmp_path / "a.parquet")


def member(shape, descr="<f4"):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header


@pytest.mark.parametrize(
    "arrays", [{"probabilities": (10**12, 0)}, {"labels": (4, 10**12, 0)}, {"labels": (10**12, 0)}]
)
def test_many_rows_of_nothing_in_npz(tmp_path, arrays):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name, shape in {"probabilities": None, **arrays}.items():
            content = member(ROWS.shape) + ROWS.tobytes() if shape is None else member(shape)
            archive.writestr(f"{name}.npy", content)
    with pytest.raises(StoreError, match=r"claim to hold [0-9]+, more than 250 times as much"):
        load(tmp_path / "a.npz")


def test_many_rows_of_nothing_in_a_shard(tmp_path):
    for shape in [(10**12, 0), (4, 0, 10**13)]:
        entries = {"probs": {"dtype": "F32", "shape": list(shape), "data_offsets": [0, 0]}}
        path = tmp_path / "a.safetensors"
        path.write_bytes(layout._header(entries, {"data_checksum": "00000000", "meta": "{}"}))
        with pytest.raises(StoreError, match=r"claim to hold [0-9]+, more than 250 times as much"):
            load(path)
    with pytest.raises(ValueError, match=r"got \(1000000000000, 0\), no classes"):
        Distributions(np.empty((10**12, 0), np.float32))


LONG = "a path that nobody should have, " * 6000


def test_one_long_key_costs_its_length_once(tmp_path):
    keys = [*(f"{number}.png" for number in range(20_000)), LONG]
    made = FirstOrderDataGenerator(lambda batch: batch, backend="numpy", output_mode="probs", batch_size=5000)
    rows = np.tile(np.float32([[0.25, 0.75]]), (len(keys), 1))
    options = {"progress": False, "out": tmp_path / "a.fod", "keys": keys, "shard_megabytes": 0.1}
    assert peak_of(lambda: made.generate_distributions(rows, **options)) < 300 * len(keys) + 60 * len(LONG)
    store = open_store(tmp_path / "a.fod")
    assert store.sample_keys.tolist() == keys
    assert sum(file.stat().st_size for file in (tmp_path / "a.fod").rglob("*")) < 60 * len(keys) + 2 * len(LONG)
    assert made.generate_distributions(rows, **options).complete  # the same keys, so the same run
    with pytest.raises(StoreError, match="keys: the store has"):
        made.generate_distributions(rows, **{**options, "keys": [*keys[:-1], LONG[:-1]]})
    assert key_array(keys[:-1]).dtype == np.dtype("U9")


@pytest.mark.parametrize("suffix", [".json", ".npz", ".safetensors", ".parquet", ".fod"])
@pytest.mark.parametrize("missing", [False, True])
def test_one_long_label_costs_its_length_once(tmp_path, suffix, missing):
    labels = ["é", *["cat"] * 5_000, LONG]
    labels[5] = None if missing else "cat"
    given = Distributions(np.tile(np.float32([[0.25, 0.75]]), (len(labels), 1)), labels=labels)
    assert peak_of(lambda: written(tmp_path / f"a{suffix}", given)) < 1000 * len(labels) + 60 * len(LONG)
    assert load(tmp_path / f"a{suffix}")[0].labels.tolist() == labels


def test_texts_of_any_length_that_do_not_end_where_they_should(tmp_path):
    utf8, ends = np.frombuffer("éa".encode(), np.uint8), np.int64([2, 3])
    for labels, places in [
        (utf8, [2, 2]),
        (utf8, [3, 2]),
        (utf8, [1, 3]),
        (utf8, [-1, 3]),
        (utf8, [2]),
        ("xy", [2, 3]),
    ]:
        np.savez(tmp_path / "a.npz", probabilities=ROWS[:2], labels=labels, labels_ends=np.int64(places))
        with pytest.raises(StoreError):
            load(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", probabilities=ROWS[:2], labels=utf8, labels_ends=ends)
    assert load(tmp_path / "a.npz")[0].labels.tolist() == ["é", "a"]


MANY = """
    import os, resource, sys
    import numpy as np
    from probly.data_generator import StoreError
    from probly.data_generator.store import open_store

    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    stores = [open_store(sys.argv[1]) for _ in range(5)]
    order = np.random.default_rng(0).permutation(300)
    for store in stores:
        for index in order:
            assert store[index][0] == np.float32(index / 300)
    assert len(os.listdir("/proc/self/fd")) < 256
    np.testing.assert_array_equal(stores[0].gather(order)[:, 0], np.float32(order / 300))
    stores[1].verify()
    try:
        kept = [stores[0][int(index)] for index in range(300)]
    except StoreError as error:
        assert "copy those rows, with gather or np.array, or allow more open files" in str(error), error
    else:
        raise AssertionError("300 maps in use fit into 256 files")
    kept = None
    assert stores[2][7][0] == np.float32(7 / 300)
    print("read")
"""


def test_more_shards_than_a_process_may_open_files(tmp_path):
    path, rows = tmp_path / "a.fod", np.arange(300) / 300
    with StoreWriter(path, {}, "float32", Limits(1e-9, math.inf)) as writer:
        writer.begin(2, {}, rows=300, decided=None)
        for start, part in enumerate(rows):
            writer.append(start, np.float32([[part, 1 - part]]))
        writer.finish(300)
    assert len(os.listdir(path / "shards")) == 300
    command = [sys.executable, "-c", textwrap.dedent(MANY), path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "read\n", done.stderr
