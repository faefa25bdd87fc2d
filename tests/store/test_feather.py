"""Feather: ours and the tables of others."""

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pytest

from probly.data_generator import Distributions, StoreError
from probly.data_generator.formats.choosing import load, save
from probly.data_generator.installing import install_advice
from probly_data_generator_store import feather
from tests.formats.common import ROWS, SMALL, BinaryTests, same, without


class TestFeather(BinaryTests):
    suffix, module, block, reading_step = ".feather", feather, "NUMBERS_PER_BATCH", "filled"

    def dressed(self, content):
        return feather.START + content + len(content).to_bytes(4, "little") + feather.END


def test_pandas_and_arrow_read_it(tmp_path):
    save(tmp_path / "a.feather", SMALL)
    frame = pd.read_feather(tmp_path / "a.feather")
    assert list(frame.columns) == ["index", "probabilities", "label"]
    np.testing.assert_array_equal(np.stack(frame["probabilities"]), ROWS)
    table = pa.feather.read_table(tmp_path / "a.feather")
    assert table.equals(SMALL.to_arrow())
    assert table.schema.metadata == SMALL.to_arrow().schema.metadata


FRAME = pd.DataFrame({"index": [4, 2, 9, 7], "probabilities": list(ROWS.astype(np.float64)), "label": list("abca")})


@pytest.mark.parametrize("compression", ["lz4", "zstd", "uncompressed"])
@pytest.mark.parametrize("frame", [FRAME, FRAME.astype({"label": "category"})], ids=["text", "category"])
def test_what_pandas_wrote_loads(tmp_path, frame, compression):
    frame.to_feather(tmp_path / "a.feather", compression=compression)
    assert same(load(tmp_path / "a.feather")[0], Distributions(ROWS, [4, 2, 9, 7], list("abca")))


def test_other_files_are_refused(tmp_path):
    pa.feather.write_feather(pa.table({"a": [1]}), tmp_path / "a.feather")
    with pytest.raises(StoreError, match="expected columns called index, sample_key, probabilities, label"):
        load(tmp_path / "a.feather")
    (tmp_path / "a.feather").write_bytes(b"FEA1" + b"\0" * 60 + b"FEA1")  # its first version
    with pytest.raises(StoreError, match="expected a file of Arrow's"):
        load(tmp_path / "a.feather")


def test_a_tiny_file_cannot_claim_much(tmp_path):
    sure = pa.FixedSizeListArray.from_arrays(pa.array(np.tile(np.float32([1] + [0] * 999), 20_000)), 1000)
    pa.feather.write_feather(pa.table({"probabilities": sure}), tmp_path / "a.feather", compression="zstd")
    assert (tmp_path / "a.feather").stat().st_size < 100_000
    with pytest.raises(StoreError, match="250 times"):
        load(tmp_path / "a.feather")


def test_lost_metadata_is_noticed(tmp_path):
    table = SMALL.to_arrow()
    pa.feather.write_feather(table.replace_schema_metadata(None), tmp_path / "a.feather")
    with pytest.raises(StoreError, match=r"its metadata .* is lost"):
        load(tmp_path / "a.feather")


def test_a_part_has_no_digest(tmp_path):
    pa.feather.write_feather(SMALL.to_arrow().slice(1, 2), tmp_path / "a.feather")
    found, meta = load(tmp_path / "a.feather")
    assert (found.indices.tolist(), found.digest, meta) == ([2, 30], None, SMALL.meta)


def test_a_missing_library_names_its_extra(tmp_path, monkeypatch):
    (tmp_path / "a.feather").write_bytes(b"")
    without(monkeypatch, "pyarrow")
    for action in (load, lambda path: save(path, SMALL), lambda path: SMALL.to_arrow()):
        with pytest.raises(ImportError, match=re.escape(install_advice("probly-data-generator[parquet]"))):
            action(tmp_path / "a.feather")
