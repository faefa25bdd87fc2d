"""Small files of ``--data`` that unpack to large arrays, or say that they do."""

import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from probly_data_generator_command_line.data import limits, streams, unpacking
from probly_data_generator_command_line.data.loading import load_data
from probly_data_generator_command_line.data.settings import DataSettings
from probly_data_generator_command_line.errors import InputError

LINE = "generate --backend numpy --model own:model --out a.fod --output-mode logits"


@pytest.fixture
def own(shell):
    (shell.folder / "own.py").write_text("def model(inputs):\n    return 5 * inputs[:, :2].astype('float32')\n")
    return shell


@pytest.fixture
def small(monkeypatch):
    """Let files unpack to 50 kB, and to 100 times their size as always."""
    monkeypatch.setattr(limits, "FREE", 50_000)


def header(shape, dtype="<f4"):
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def zeros(path, rows):
    np.savez_compressed(path, inputs=np.zeros((rows, 100), np.float32), more=np.zeros((rows, 100)))


def repeated(path, rows):
    pq.write_table(pa.table({"a": np.zeros(rows), "b": np.ones(rows, np.int32)}), path)


@pytest.mark.parametrize(("name", "write"), [("data.npz", zeros), ("data.parquet", repeated)])
def test_what_unpacks_to_more_than_the_limit_is_refused_and_the_advice_works(own, small, name, write):
    write(name, 30_000)
    error = own.fails(f"{LINE} --data {name}")
    assert re.search(
        rf"{name}: its .* unpack to .*, more than the limit of .*; if you expect that much .*--data-limit", error
    )
    assert not Path("a.fod").exists()
    advice = re.search(r"--data-limit [\d.]+", error)[0]
    assert own.json(f"{LINE} --data {name} {advice}")["rows"] == 30_000
    assert f"{name}: its " in own.fails(f"{LINE.replace('a.fod', 'b.fod')} --data {name} --data-limit 0.00001")


def test_what_is_not_read_does_not_count(own, small):
    np.savez_compressed("data.npz", inputs=np.zeros((10, 2)), unused=np.zeros(10**6))
    assert own.json(f"{LINE} --data data.npz")["rows"] == 10


@pytest.mark.parametrize("name", ["data.npz", "data.parquet"])
def test_ordinary_files_are_far_from_the_limit(own, small, name):
    inputs = np.random.default_rng(0).normal(size=(20_000, 2)).round(2)
    if name.endswith("npz"):
        np.savez_compressed(name, inputs=inputs)
    else:
        pq.write_table(pa.table({"a": inputs[:, 0], "b": inputs[:, 1]}), name)
    assert own.json(f"{LINE} --data {name}")["rows"] == 20_000


def test_the_limit_of_all_files(tmp_path):
    (tmp_path / "data").write_bytes(bytes(1000))
    limits.check_unpacked(tmp_path / "data", 500_000_000, None)
    with pytest.raises(InputError, match=r"its 1 kB unpack to 600 MB, more than the limit of 500 MB; .*limit 0.6"):
        limits.check_unpacked(tmp_path / "data", 600_000_000, None)
    limits.check_unpacked(tmp_path / "data", 600_000_000, 0.6)
    (tmp_path / "large").write_bytes(bytes(10_000_000))
    limits.check_unpacked(tmp_path / "large", 1_000_000_000, None)
    with pytest.raises(InputError, match=r"its 10 MB unpack to 2 GB, more than the limit of 1 GB; .*limit 2$"):
        limits.check_unpacked(tmp_path / "large", 2_000_000_000, None)


@pytest.mark.parametrize("shape", [(10**12, 10**3), (10**12, 0), (1, -1), (2**70,)])
def test_a_header_that_claims_more_than_there_is_takes_no_memory(own, shape):
    with zipfile.ZipFile("data.npz", "w") as archive:
        archive.writestr("inputs.npy", header(shape) + bytes(16))
    assert "data.npz: cannot be read without running code from it, or is damaged" in own.fails(
        f"{LINE} --data data.npz"
    )


def test_an_array_under_the_name_of_an_archive_is_named(own):
    np.save("data.npy", np.eye(3))
    Path("data.npy").rename("data.npz")
    assert "data.npz: cannot be read" in own.fails(f"{LINE} --data data.npz")


def test_pickles_in_archives_run_no_code(own):
    class Bomb:
        def __reduce__(self):
            return Path.touch, (Path("canary").absolute(),)

    bomb = np.empty(2, object)
    bomb[:] = [Bomb(), Bomb()]
    np.savez("data.npz", inputs=bomb)
    np.savez("labels.npz", inputs=np.eye(2), labels=bomb)
    np.save("data.npy", bomb)
    for name in ("data.npz", "labels.npz", "data.npy"):
        assert f"{name}: cannot be read without running code" in own.fails(f"{LINE} --data {name}")
    assert not Path("canary").exists()
    np.load("data.npy", allow_pickle=True)
    assert Path("canary").exists()


# Files that keep repeated values once


def texts_that_repeat(rows, letters=10_000):
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["x" * letters]))


def parquet_of(path, **columns):
    pq.write_table(pa.table(columns), path, store_schema=False)


@pytest.mark.parametrize("role", ["inputs", "label", "unused"])
def test_texts_that_repeat_count_once_per_row(own, small, role):
    columns = {"inputs": pa.array([[0.5, 1.5]] * 400), role: texts_that_repeat(400)}
    parquet_of("data.parquet", **columns)
    assert Path("data.parquet").stat().st_size < 10_000
    error = own.fails(f"{LINE} --data data.parquet")
    assert re.search(r"data.parquet: its .* unpack to 4(.0.)? MB, more than the limit of ", error)
    advice = re.search(r"--data-limit [\d.]+", error)[0]
    found = load_data("data.parquet", DataSettings(limit=float(advice.split()[1])))
    assert found.length == 400


def test_lists_of_texts_count_too(small, tmp_path):
    lists = pa.ListArray.from_arrays(np.arange(0, 401, 2, dtype=np.int32), texts_that_repeat(400).cast(pa.string()))
    parquet_of(tmp_path / "data.parquet", inputs=lists)
    with pytest.raises(InputError, match=r"unpack to 4.01 MB, more than"):
        load_data(str(tmp_path / "data.parquet"), DataSettings())


def test_texts_of_all_kinds_are_counted(tmp_path):
    rows = 3000
    table = pa.table(
        {
            "number": np.arange(rows),
            "text": [None if row % 7 == 0 else f"text {row % 5}" for row in range(rows)],
            "kind": pa.array([f"kind {row % 3}" for row in range(rows)]).dictionary_encode(),
            "lists": [[row, row + 1] for row in range(rows)],
            "bytes": [bytes([row % 256]) for row in range(rows)],
            "texts": [["a", str(row % 2)] for row in range(rows)],
            "nested": [{"a": row, "b": [str(row % 4)]} for row in range(rows)],
        }
    )
    pq.write_table(table, tmp_path / "data.parquet", row_group_size=700)
    for encoding in (None, {"text": "DELTA_BYTE_ARRAY"}):
        chosen = {} if encoding is None else {"column_encoding": encoding, "use_dictionary": ["texts", "bytes"]}
        pq.write_table(table, tmp_path / "data.parquet", row_group_size=700, **chosen)
        with pq.ParquetFile(tmp_path / "data.parquet") as file:
            unpacking.check_parquet(tmp_path / "data.parquet", file, None)
            with pytest.raises(InputError, match=r"unpack to [23].. kB, more than the limit of 10 kB"):
                unpacking.check_parquet(tmp_path / "data.parquet", file, 1e-5)


def test_texts_that_share_prefixes_are_as_long_as_they_are(small, tmp_path):
    texts = pa.table({"text": ["x" * 10_000 + str(row) for row in range(400)]})
    pq.write_table(texts, tmp_path / "data.parquet", use_dictionary=False, column_encoding={"text": "DELTA_BYTE_ARRAY"})
    with pytest.raises(InputError, match=r"its .* kB unpack to 4.* MB, more than the limit of"):
        load_data(str(tmp_path / "data.parquet"), DataSettings())


@pytest.mark.parametrize(
    ("array", "bytes_of_rows"),
    [
        (pa.array(np.zeros(10)), 80),
        (pa.array([True] * 10), 10),
        (pa.nulls(10), 80),
        (pa.array(["abcd"] * 10), 80),
        (pa.array(["abcd", None] * 5).dictionary_encode(), 5 * 8 + 5 * 8),
        (pa.array(["a", "b"] * 10).dictionary_encode().slice(4, 10), 10 * 5),
        (pa.array(["abcd"] * 10, pa.string_view()).slice(2, 5), 5 * 20),
        (pa.array([["abcd"], []] * 5).slice(0, 4), 4 * 8 + 2 * 8),
        (pa.array([{"a": 1.0}] * 10), 10 * 16),
    ],
)
def test_the_bytes_of_rows(array, bytes_of_rows):
    assert unpacking.dense_bytes(array) == bytes_of_rows


# Saved datasets


def saved(path, table, compression=None):
    """Write a saved dataset as its library would, but for what is in its stream."""
    path.mkdir()
    state = dict.fromkeys(("_fingerprint", "_format_columns", "_format_type", "_split"))
    state |= {"_data_files": [{"filename": "rows.arrow"}], "_format_kwargs": {}, "_output_all_columns": False}
    (path / "state.json").write_text(json.dumps(state))
    (path / "dataset_info.json").write_text("{}")
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with (
        pa.OSFile(str(path / "rows.arrow"), "wb") as file,
        pa.ipc.new_stream(file, table.schema, options=options) as out,
    ):
        out.write_table(table)
    return path


@pytest.mark.parametrize("compression", ["zstd", "lz4", None])
def test_a_saved_dataset_unpacks_to_no_more_than_it_may(small, tmp_path, compression):
    labels = np.zeros(200_000, np.int64) if compression else texts_that_repeat(400)
    folder = saved(tmp_path / "rows", pa.table({"x": np.zeros(len(labels)), "label": labels}), compression)
    before = pa.total_allocated_bytes()
    with pytest.raises(
        InputError, match=r"rows: its .* unpack to [34].* MB, more than the limit of .*--data-limit 0.1"
    ):
        streams.check_streams(folder, [folder / "rows.arrow"], None)
    assert pa.total_allocated_bytes() - before < 1_000_000
    streams.check_streams(folder, [folder / "rows.arrow"], 0.1)


def test_an_ordinary_saved_dataset_is_far_from_the_limit(small, tmp_path):
    x = np.random.default_rng(0).normal(size=20_000)
    folder = saved(tmp_path / "rows", pa.table({"x": x, "text": [f"text {row}" for row in range(20_000)]}))
    streams.check_streams(folder, [folder / "rows.arrow"], None)


def test_the_command_line_counts_saved_datasets(shell, small):
    folder = saved(Path("rows"), pa.table({"x": np.zeros(200_000), "label": np.zeros(200_000, np.int64)}), "zstd")
    line = f"generate --backend numpy --model own:model --out a.fod --data {folder}"
    Path("own.py").write_text("def model(x):\n    return x\n")
    assert "rows: its " in shell.fails(line)


@pytest.mark.parametrize("name", ["../rows.arrow", "/etc/passwd", 5, ".."])
def test_the_files_of_a_saved_dataset_lie_in_its_folder(shell, name):
    folder = saved(Path("rows"), pa.table({"x": np.zeros(3)}))
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    with pytest.raises(InputError, match=r"rows: state.json names .* expected one in the folder"):
        load_data("rows", DataSettings())


def test_an_index_beyond_its_dictionary_takes_no_memory():
    array = pa.DictionaryArray.from_arrays(pa.array([0, 2**30], pa.int32()), pa.array(["a"]), safe=False)
    with pytest.raises(ValueError, match="an index of a dictionary of 1 values is 1073741824"):
        unpacking.dense_bytes(array)


@pytest.mark.parametrize("compression", ["zstd", None])
def test_a_damaged_saved_dataset_is_named(tmp_path, compression):
    kinds = {"x": np.arange(50.0), "text": ["a"] * 50, "kind": pa.array(["a", "b"] * 25).dictionary_encode()}
    lists = {"list": [["a", "b"], []] * 25, "nested": [{"a": 1, "b": ["c"]}] * 50}
    folder = saved(tmp_path / "rows", pa.table({**kinds, **lists}), compression)
    content, random = (folder / "rows.arrow").read_bytes(), np.random.default_rng(0)
    said = []
    for _ in range(200):
        changed = bytearray(content)
        changed[random.integers(len(content))] ^= 1 << random.integers(8)
        (folder / "rows.arrow").write_bytes(changed[: random.integers(len(content))] if random.integers(2) else changed)
        try:
            load_data(str(folder), DataSettings())
        except InputError as error:
            said.append(error.message)
    assert len(said) > 50
    assert [message for message in said if f"{folder}: " not in message] == []
