"""Stores and files with right checksums that say something wrong: verify finds it, readers name it."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from probly.data_generator import Distributions, FirstOrderDataGenerator, StoreError
from probly.data_generator.store import load, open_store, save
from probly_data_generator_store import fod, layout
from probly_data_generator_store.encodings import encoding_of
from probly_data_generator_store.spec import SPEC, seal
from tests.formats.common import ROWS, SMALL
from tests.store.damage import MANIFEST, replace

GIVEN = np.random.default_rng(3).dirichlet(np.ones(4), 6).astype(np.float32)


def forged(tmp_path, encoding, change, indices=None):
    """Write a store, change the tensors of its shard, and make all checksums right again."""
    path = tmp_path / "a.fod"
    fod.write(path, Distributions(GIVEN, indices, labels=np.arange(6)), {}, encoding)
    (shard,) = (path / "shards").iterdir()
    header, tensors = layout.read_file(shard)
    tensors = {name: tensor.copy() for name, tensor in tensors.items()}
    change(tensors)
    metadata = {name: text for name, text in header.metadata.items() if name not in ("checksum", "data_checksum")}
    replace(shard, b"".join(map(bytes, layout.pieces(tensors, metadata))))
    content = json.loads((path / MANIFEST).read_bytes())
    del content["checksum"]
    content["shards"] = [
        [0, 6, shard.stat().st_size, layout.read_file(shard)[0].metadata["data_checksum"]],
    ]
    replace(path / MANIFEST, seal(content))
    return path


def scaled(name, factor):
    def change(tensors):
        tensors[name][2] *= factor

    return change


def entry(name, value):
    def change(tensors):
        tensors[name][(2, 0) if tensors[name].ndim == 2 else 2] = value

    return change


@pytest.mark.parametrize("encoding", ["float32", "float16", "top-2", "top-4"])
def test_nothing_is_found_where_nothing_is_wrong(tmp_path, encoding):
    open_store(forged(tmp_path, encoding, lambda tensors: None)).verify()


@pytest.mark.parametrize(
    ("encoding", "change", "says"),
    [
        ("float32", scaled("probs", 0.5), "it sums to 0.5"),
        ("float16", scaled("probs", 0.5), "it sums to 0.5"),
        ("float16", scaled("probs", 0), "it sums to 0"),
        ("float16", scaled("probs", 1.01), "it sums to 1.00985"),
        ("float16", entry("probs", np.nan), "it has a value that is not finite"),
        ("float16", entry("probs", -0.5), "it has a negative entry, -0.5"),
        ("top-2", scaled("probs", 0.5), "it sums to"),
        ("top-2", entry("tail", 0.9), "it sums to"),
        ("top-2", entry("tail", -0.1), "it has a negative entry, -0.1"),
        ("top-2", entry("tail", np.inf), "it has a value that is not finite"),
        ("top-4", entry("tail", 0.5), "it sums to 1.5"),
        ("top-2", lambda tensors: tensors["classes"][2].fill(1), "it keeps a class twice"),
    ],
)
def test_a_forged_row_is_found_before_its_sum_is_made_one(tmp_path, encoding, change, says):
    path = forged(tmp_path, encoding, change)
    with pytest.raises(StoreError, match=rf"row 2: {says}.*; remove that shard"):
        open_store(path).verify()


def test_rows_that_float16_cannot_keep_are_not_written():
    with pytest.raises(ValueError, match=r"cannot keep so many small entries: it sums to 0, .*use 'float32'"):
        encoding_of("float16").encode(np.full((1, 2**21), 2.0**-26, np.float32))
    wide = np.full((2, 100_000), 1e-5, np.float32)  # those that it keeps to 3 %
    tensors = encoding_of("float16").encode(wide)
    assert encoding_of("float16").bad_row(tensors, slice(None)) is None


@pytest.mark.parametrize("classes", [3, 1000, 100_000])
@pytest.mark.parametrize("form", ["float16", "top-1", "top-3"])
def test_what_is_written_is_never_taken_for_forged(classes, form):
    draw = np.random.default_rng(classes)
    for concentration in (0.01, 1.0, 100.0):
        rows = draw.dirichlet(np.full(classes, concentration), 20).astype(np.float32)
        rows[0] = 0
        rows[0, 1] = 1
        encoding = encoding_of(form)
        assert encoding.bad_row(encoding.encode(rows), slice(None)) is None


@pytest.mark.parametrize("order", [[5, 3, 8, 9, 10, 11], [3, 3, 8, 9, 10, 11], [-1, 3, 8, 9, 10, 11]])
def test_keys_that_do_not_ascend(tmp_path, order):
    def change(tensors):
        tensors["keys"][:] = order

    path = forged(tmp_path, "float32", change, indices=[1, 3, 8, 9, 10, 11])
    store = open_store(path)
    for action in (
        lambda: store[3],
        lambda: store.indices,
        lambda: store.gather([3]),
        lambda: 3 in store,
        store.verify,
    ):
        with pytest.raises(StoreError, match="ascending"):
            action()


NAMES = [["a", "b"], ["a", "b", "c", "d", "e"], "abcd", 3, {"a": 0, "b": 1, "c": 2, "d": 3}, True]


@pytest.mark.parametrize("names", NAMES, ids=str)
def test_class_names_of_a_wrong_length_or_type(tmp_path, names):
    says = "meta: class_names: expected"
    with pytest.raises(ValueError, match=says):
        Distributions(GIVEN, meta={"class_names": names})
    for suffix in (".json", ".npz", ".safetensors", ".parquet", ".fod"):
        with pytest.raises(ValueError, match=says):
            save(tmp_path / f"a{suffix}", dict(enumerate(GIVEN)), {"class_names": names})
    (tmp_path / "a.json").write_text(
        json.dumps({"meta": {"class_names": names}, "distributions": {"0": [0.25, 0.25, 0.25, 0.25]}})
    )
    meta = np.frombuffer(json.dumps({"class_names": names}).encode(), np.uint8)
    np.savez(tmp_path / "a.npz", probabilities=GIVEN, meta=meta)
    for suffix in (".json", ".npz"):
        with pytest.raises(StoreError, match=says):
            load(tmp_path / f"a{suffix}")
    fod.write(tmp_path / "a.fod", Distributions(GIVEN), {})
    content = json.loads((tmp_path / "a.fod" / SPEC).read_bytes())
    del content["checksum"]
    replace(tmp_path / "a.fod" / SPEC, seal({**content, "meta": {"class_names": names}}))
    with pytest.raises(StoreError, match=says):
        open_store(tmp_path / "a.fod")


def test_class_names_by_their_columns_are_names(tmp_path):
    save(tmp_path / "a.npz", dict(enumerate(GIVEN)), {"class_names": {0: "a", 1: "b", 2: "c", 3: "d"}})
    assert load(tmp_path / "a.npz")[0].class_names == ["a", "b", "c", "d"]


@pytest.mark.parametrize("text", ['"labels": {"0": 1e999}', '"labels": {"0": [1e999]}', '"meta": {"loss": -1e999}'])
def test_numbers_beyond_all_floats(tmp_path, text):
    (tmp_path / "a.json").write_text(f'{{"distributions": {{"0": [0.5, 0.5]}}, {text}}}')
    with pytest.raises(StoreError, match=r"finite|not JSON compliant"):
        load(tmp_path / "a.json")


@pytest.mark.parametrize("columns", [5, None, {}, "index", [5], [None]])
def test_metadata_of_pandas_that_are_none(tmp_path, columns):
    table = pa.table({"probabilities": list(ROWS.tolist())})
    for content in ({"index_columns": columns}, columns):
        told = table.replace_schema_metadata({"pandas": json.dumps(content)})
        pq.write_table(told, tmp_path / "a.parquet")
        assert load(tmp_path / "a.parquet")[0].indices.tolist() == [0, 1, 2, 3]


HALF = "caf\udce9"  # a file name that is not UTF-8, as Python reads it


@pytest.mark.parametrize("suffix", [".json", ".npz", ".safetensors", ".parquet", ".fod"])
def test_halves_of_characters_are_written_as_json_writes_them(tmp_path, suffix):
    given = Distributions(
        ROWS, labels=[HALF, "a", None, "b"], meta={"class_names": [HALF, "b", "c"], "path": HALF, HALF: 1}
    )
    assert given.labels.tolist() == ["caf\\udce9", "a", None, "b"]
    assert given.class_names == ["caf\\udce9", "b", "c"]
    save(tmp_path / f"a{suffix}", given)
    found, meta = load(tmp_path / f"a{suffix}")
    assert found.labels.tolist() == given.labels.tolist()
    assert found.class_names == given.class_names
    assert meta["path"] == HALF
    wide = Distributions(ROWS[:2], labels=np.array([[HALF, "a"], ["b", "c"]]))
    assert wide.labels.tolist() == [["caf\\udce9", "a"], ["b", "c"]]


def test_a_run_over_names_that_are_not_utf8(tmp_path):
    made = FirstOrderDataGenerator(lambda batch: batch, backend="numpy", class_names=[HALF, "b", "c"])
    store = made.generate_distributions((ROWS, [HALF] * 4), progress=False, out=tmp_path / "a.fod", keys=[HALF] * 4)
    assert store.labels.tolist() == store.sample_keys.tolist() == ["caf\\udce9"] * 4
    assert store.class_names == ["caf\\udce9", "b", "c"]
    assert SMALL.class_names is None
