"""Parquet: ours and the tables of others."""

import json
import struct
import tracemalloc

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from probly.data_generator import Distributions, StoreError
from probly.data_generator.installing import install_advice
from probly.data_generator.store import load, save
from probly_data_generator_store import arrow_tables, parquet
from tests.formats.common import ROWS, SMALL, BinaryTests, same, without
from tests.store.damage import replace


class TestParquet(BinaryTests):
    suffix, module, block, reading_step = ".parquet", parquet, "NUMBERS_PER_ROW_GROUP", "_columns"

    def dressed(self, content):
        return b"PAR1" + content + struct.pack("<I", len(content)) + b"PAR1"


def test_blocks_are_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "NUMBERS_PER_ROW_GROUP", 7)
    save(tmp_path / "a.parquet", Distributions(np.random.default_rng(0).dirichlet(np.ones(3), 25)))
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == 13


def test_parquet_is_convenient_in_pandas(tmp_path):
    save(tmp_path / "a.parquet", SMALL)
    frame = pd.read_parquet(tmp_path / "a.parquet")
    assert list(frame.columns) == ["index", "probabilities", "label"]
    np.testing.assert_array_equal(np.stack(frame["probabilities"]), ROWS)
    assert frame["label"].tolist() == ["cat", "dog", "dog", "é"]
    schema = pq.read_schema(tmp_path / "a.parquet")
    assert schema.field("probabilities").type.list_size == 3
    assert schema.field("probabilities").type.value_type == pa.float32()
    kept = json.loads(schema.metadata[arrow_tables.META])
    assert kept.pop("content_digest").startswith("sha256:")
    assert kept == SMALL.meta


def test_what_pyarrow_took_out_of_our_file_loads_with_its_metadata(tmp_path):
    save(tmp_path / "a.parquet", SMALL)
    table = pq.read_table(tmp_path / "a.parquet", filters=[("label", "==", "dog")])
    pq.write_table(table, tmp_path / "dogs.parquet")
    assert same(load(tmp_path / "dogs.parquet")[0], Distributions(ROWS[1:3], [2, 30], ["dog", "dog"], SMALL.meta))


FRAME = pd.DataFrame({"index": [4, 2, 9, 7], "probabilities": list(ROWS.astype(np.float64)), "label": list("abca")})


@pytest.mark.parametrize(
    "frame",
    [
        FRAME,
        FRAME.set_index("index"),
        FRAME.astype({"label": "category"}),
        FRAME.astype({"label": object, "index": "uint16"}),
        FRAME[["label", "probabilities", "index"]],
    ],
)
def test_what_pandas_wrote_loads(tmp_path, frame):
    frame.to_parquet(tmp_path / "a.parquet")
    assert same(load(tmp_path / "a.parquet")[0], Distributions(ROWS, [4, 2, 9, 7], list("abca")))


def test_a_frame_without_indices_counts_from_zero(tmp_path):
    FRAME[["probabilities"]].to_parquet(tmp_path / "a.parquet")
    assert load(tmp_path / "a.parquet")[0] == Distributions(ROWS)
    FRAME[["probabilities"]].iloc[1:].to_parquet(tmp_path / "a.parquet")
    with pytest.raises(StoreError, match=r"the frame's index is .*'start': 1.* as a column called index"):
        load(tmp_path / "a.parquet")
    FRAME[["probabilities"]].iloc[[3, 1, 2]].to_parquet(tmp_path / "a.parquet")
    with pytest.raises(StoreError, match="got probabilities, __index_level_0__"):
        load(tmp_path / "a.parquet")


FIXED = pa.FixedSizeListArray.from_arrays(pa.array(ROWS.reshape(-1)), 3)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({}, "got none"),
        ({"probs": FIXED}, "got probs"),
        ({"probabilities": FIXED, "labels": [1, 2, 3, 4]}, "got probabilities, labels"),
        ({"probabilities": [1.0, 1.0]}, "probabilities: got the type double"),
        ({"probabilities": [["a"]]}, "probabilities: got the type list"),
        ({"probabilities": [[[1.0]]]}, "probabilities: got the type list"),
        ({"probabilities": FIXED, "index": [0.0, 1.0, 2.0, 3.0]}, "index: got the type double"),
        ({"probabilities": FIXED, "label": [b"a"] * 4}, "label: got the type"),
        ({"probabilities": FIXED, "index": [0, 1, 1, 2]}, "index 1 has more than one"),
        ({"probabilities": FIXED, "index": [0, 1, None, 2]}, "expected no nulls"),
        ({"probabilities": [[0.5, 0.5], None]}, "expected no nulls"),
        ({"probabilities": [[0.5, None]]}, "expected no nulls"),
        ({"probabilities": [[0.5, 0.5], [1.0]]}, r"lists of one length, got the lengths \[1, 2\]"),
        ({"probabilities": [[0.5, 0.6]]}, "index 0 is no distribution"),
        ({"probabilities": [[np.nan, 0.6]]}, "not finite"),
    ],
)
def test_other_tables_are_refused(tmp_path, columns, says):
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(StoreError, match=f"a.parquet: not a file of distributions: .*{says}"):
        load(tmp_path / "a.parquet")


def test_lost_metadata_is_noticed(tmp_path):
    save(tmp_path / "a.parquet", SMALL)
    table = pq.read_table(tmp_path / "a.parquet").replace_schema_metadata(None)
    pq.write_table(table, tmp_path / "a.parquet", use_compliant_nested_type=False)
    with pytest.raises(StoreError, match=r"its metadata .* is lost"):
        load(tmp_path / "a.parquet")


def test_a_tiny_table_cannot_claim_much(tmp_path):
    sure = pa.FixedSizeListArray.from_arrays(pa.array(np.tile(np.float32([1] + [0] * 999), 20_000)), 1000)
    pq.write_table(pa.table({"probabilities": sure}), tmp_path / "a.parquet", compression="zstd")
    assert (tmp_path / "a.parquet").stat().st_size < 10_000
    tracemalloc.start()
    with pytest.raises(StoreError, match="250 times"):
        load(tmp_path / "a.parquet")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6


def test_one_long_label_does_not_make_all_labels_long(tmp_path):
    labels, path = ["x" * 10**6] + ["y"] * 999, tmp_path / "a.parquet"
    probabilities = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(1000)), 1)
    pq.write_table(pa.table({"probabilities": probabilities, "label": labels}), path)
    tracemalloc.start()
    found, _ = load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.labels.tolist() == labels
    assert peak < 50e6


@pytest.mark.parametrize(("samples", "classes"), [(2_500_000, 2), (12_000, 1000)])
def test_our_own_files_load_however_well_they_compress(disk_path, samples, classes):
    rows = np.zeros((samples, classes), np.float32)
    rows[:, 0] = 1
    labels = np.full(len(rows), "the same long name of a class every time")
    save(disk_path / "a.parquet", Distributions(rows, labels=labels if classes == 1000 else None))
    assert len(load(disk_path / "a.parquet")[0]) == len(rows)


def test_flipped_bits_in_tables_of_others_give_checked_rows_or_a_store_error(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table({"probabilities": FIXED, "label": pa.array(list("abac")).dictionary_encode()})
    pq.write_table(table, path, compression="none", store_schema=False, write_statistics=False)
    content = path.read_bytes()
    refused = 0
    for position in range(len(content)):
        for bit in (1, 4, 128):
            damaged = bytearray(content)
            damaged[position] ^= bit
            replace(path, damaged)
            try:
                found, _ = load(path)
            except StoreError:
                refused += 1
            else:
                np.testing.assert_allclose(np.asarray(found).sum(axis=1), 1, atol=1e-4)
                assert found.labels is None or len(found.labels) == len(found)
    assert refused > len(content)


def test_a_missing_library_names_its_extra(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(b"")
    without(monkeypatch, "pyarrow")
    for action in (load, lambda path: save(path, SMALL)):
        with pytest.raises(ImportError, match=r"needs pyarrow") as caught:
            action(tmp_path / "a.parquet")
        assert str(caught.value).endswith(install_advice("probly-data-generator[parquet]"))
        assert isinstance(caught.value.__cause__, ImportError)
