"""JSON, NumPy archives and Parquet: the same content in each, exact, checked, whole or not at all."""

import io
import json
import os
import struct
import subprocess
import sys
import tracemalloc
import zipfile

import importlib_metadata
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from probly.data_generator import Distributions, StoreError
from probly.data_generator.discovery import listing
from probly.data_generator.store import json as json_format
from probly.data_generator.store import load, save
from probly.data_generator.store import npz as npz_format
from probly.data_generator.store import parquet as parquet_format

MODULES = {".json": json_format, ".npz": npz_format, ".parquet": parquet_format}
every_format = pytest.mark.parametrize("suffix", MODULES)
binary_format = pytest.mark.parametrize("suffix", [".npz", ".parquet"])

ROWS = np.float32([[0.25, 0.75, 0.0], [0.1, 0.2, 0.7], [1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
SMALL = Distributions(ROWS, [0, 2, 30, 400], ["cat", "dog", "dog", "é"], {"name": "Zürich", "classes": [1, 2]})


def same(found, wanted):
    """Compare everything that a file keeps."""
    labels = [None if one.labels is None else one.labels.tolist() for one in (found, wanted)]
    return found == wanted and labels[0] == labels[1] and found.meta == wanted.meta


def without(monkeypatch, library):
    """Make a library look as if it were not installed."""
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
LABELS = {
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint8": st.integers(0, 255),
    "float64": st.floats(allow_nan=False, allow_infinity=False),
    "bool": st.booleans(),
    # NumPy's text cannot end in NUL.
    "str": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5),
}


@st.composite
def distributions(draw):
    """Any rows, indices with gaps, labels of any kind or none, any metadata."""
    scores = draw(
        npst.arrays(
            np.float32, st.tuples(st.integers(1, 12), st.integers(1, 5)), elements=st.floats(2**-20, 1, width=32)
        )
    )
    indices = draw(st.lists(st.integers(0, 2**63 - 1), min_size=len(scores), max_size=len(scores), unique=True))
    kind = draw(st.sampled_from([None, *LABELS]))
    labels = None
    if kind is not None:
        labels = np.array(draw(st.lists(LABELS[kind], min_size=len(scores), max_size=len(scores))), kind)
    meta = draw(st.dictionaries(st.text(), JSON_VALUES, max_size=3))
    return Distributions(scores / scores.sum(axis=1, keepdims=True), indices, labels, meta)


@every_format
@given(wanted=distributions())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_round_trip_is_exact(tmp_path, suffix, wanted):
    save(tmp_path / f"a{suffix}", wanted)
    found, meta = load(tmp_path / f"a{suffix}")
    assert same(found, wanted)
    assert meta == wanted.meta
    if suffix != ".json" and wanted.labels is not None:
        assert found.labels.dtype.kind == wanted.labels.dtype.kind


@every_format
@pytest.mark.parametrize("exponent", [-149, -126, -60, -24, -1])
def test_neighbouring_floats_stay_apart(tmp_path, suffix, exponent):
    smallest = np.float32(2.0**exponent)
    # Written with the fewest digits that tell float32 apart and read as float64, the last one would become another.
    for value in (smallest, np.nextafter(smallest, np.float32(1)), np.float32(7.038531e-26)):
        rows = np.float32([[value, np.float32(1) - value]])
        save(tmp_path / f"a{suffix}", Distributions(rows))
        np.testing.assert_array_equal(load(tmp_path / f"a{suffix}")[0][0], rows[0])


def test_one_format_becomes_another_without_loss(tmp_path):
    found = SMALL
    for suffix in [".npz", ".parquet", ".json", ".parquet", ".npz", ".json"]:
        save(tmp_path / f"a{suffix}", found)
        found, _ = load(tmp_path / f"a{suffix}")
    assert same(found, SMALL)


@every_format
@pytest.mark.parametrize("labels", [None, [], np.empty((0, 3))])
def test_no_rows_at_all(tmp_path, suffix, labels):
    save(tmp_path / f"a{suffix}", Distributions([], labels=labels, meta={"a": 1}))
    found, meta = load(tmp_path / f"a{suffix}")
    assert len(found) == 0
    assert meta == {"a": 1}
    assert (found.labels is None) == (labels is None)


@every_format
@pytest.mark.parametrize(
    "labels",
    [
        np.arange(24).reshape(4, 2, 3),
        np.eye(4, dtype=bool),
        np.array([["a", "bb"]] * 4),
        np.array(["a", "b", "c", "d"], dtype=object),
        np.arange(4, dtype=">i2"),
        np.float16([0.5, 1, 2, 3]),
        np.empty((4, 0)),
    ],
    ids=lambda labels: f"{labels.dtype} {labels.shape}",
)
def test_labels_of_every_shape(tmp_path, suffix, labels):
    save(tmp_path / f"a{suffix}", Distributions(ROWS, labels=labels))
    found, _ = load(tmp_path / f"a{suffix}")
    assert found.labels.tolist() == labels.tolist()


@binary_format
@pytest.mark.parametrize(
    "labels", [np.array([1, "a", 2, 3], object), np.array([None, 1, 2, 3]), np.ones(4, complex), np.array([b"a"] * 4)]
)
def test_other_labels_are_refused(tmp_path, suffix, labels):
    with pytest.raises(TypeError, match=r"expected labels that are numbers or text, got .*; nothing written"):
        save(tmp_path / f"a{suffix}", Distributions(ROWS, labels=labels))
    assert os.listdir(tmp_path) == []


def test_labels_in_json_that_are_numbers_and_text_do_not_become_text(tmp_path):
    save(tmp_path / "a.json", Distributions(ROWS[:2], labels=np.array([1, "1"], object)))
    assert load(tmp_path / "a.json")[0].labels.tolist() == [1, "1"]


@every_format
def test_metadata_that_could_not_be_read_back_is_not_written(tmp_path, suffix):
    for meta, error in [({"a": float("nan")}, ValueError), ({1: 2, "1": 3}, ValueError), ({"a": object()}, TypeError)]:
        with pytest.raises(error) as caught:
            save(tmp_path / f"a{suffix}", SMALL, meta)
        assert "nothing written" in "".join(caught.value.__notes__)
    assert os.listdir(tmp_path) == []


@every_format
def test_many_blocks_are_one_file(tmp_path, suffix, monkeypatch):
    block = "NUMBERS_PER_ROW_GROUP" if suffix == ".parquet" else "NUMBERS_AT_ONCE"
    monkeypatch.setattr(MODULES[suffix], block, 7)
    wanted = Distributions(np.random.default_rng(0).dirichlet(np.ones(3), 25), labels=np.arange(25), meta={"a": 1})
    save(tmp_path / f"a{suffix}", wanted)
    assert same(load(tmp_path / f"a{suffix}")[0], wanted)
    if suffix == ".parquet":
        assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == 13


@every_format
@pytest.mark.parametrize("orjson", [True, False])
def test_writing_takes_memory_for_blocks_only(tmp_path, suffix, orjson, monkeypatch):
    if not orjson:
        without(monkeypatch, "orjson")
    wanted = Distributions(np.random.default_rng(0).dirichlet(np.ones(20), 50_000))  # 4 MB, 32 MB as Python floats
    monkeypatch.setattr(parquet_format, "NUMBERS_PER_ROW_GROUP", 2**17)
    monkeypatch.setattr(npz_format, "NUMBERS_AT_ONCE", 2**17)
    save(tmp_path / f"warm{suffix}", SMALL)
    tracemalloc.start()
    save(tmp_path / f"a{suffix}", wanted)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6


# JSON


@given(wanted=distributions())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_json_holds_the_same_numbers_with_and_without_orjson(tmp_path, wanted):
    save(tmp_path / "fast.json", wanted)
    with pytest.MonkeyPatch.context() as monkeypatch:
        without(monkeypatch, "orjson")
        save(tmp_path / "plain.json", wanted)
    fast, plain = (json.loads((tmp_path / f"{name}.json").read_bytes()) for name in ("fast", "plain"))
    assert fast == plain
    numbers = [value for row in fast["distributions"].values() for value in row]
    assert numbers == wanted.probabilities.astype(np.float64).reshape(-1).tolist(), "any JSON reader gets them exactly"


def test_orjson_writes_the_rows_where_it_is_installed(tmp_path, monkeypatch):
    save(tmp_path / "a.json", SMALL)
    assert '"0":[0.25,0.75,0.0]' in (tmp_path / "a.json").read_text(encoding="utf-8")
    without(monkeypatch, "orjson")
    save(tmp_path / "a.json", SMALL)
    assert '"0": [0.25, 0.75, 0.0]' in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_orjson_cannot_turn_a_label_into_null(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        save(tmp_path / "a.json", Distributions([[1.0], [1.0]], labels=[0.5, np.nan]))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("meta", [{}, {"meta": {"framework": "pytorch", "dataset": "CIFAR-10", "batch_size": 64}}])
def test_json_of_the_original_implementation_loads(tmp_path, meta):
    scores = np.random.default_rng(0).normal(size=(20, 10)) * 5
    rows = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)  # float64, as it wrote them
    document = {**meta, "distributions": {str(index): row.tolist() for index, row in enumerate(rows)}}
    (tmp_path / "a.json").write_text(json.dumps(document, indent=2), encoding="utf-8")
    found, found_meta = load(tmp_path / "a.json")
    np.testing.assert_array_equal(found.probabilities, rows.astype(np.float32))
    assert found_meta == meta.get("meta", {})


# NumPy archives


def test_npz_is_numpys_own_format_without_pickle(tmp_path):
    save(tmp_path / "a.npz", SMALL)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert set(archive) == {"probabilities", "indices", "labels", "meta"}
        np.testing.assert_array_equal(archive["probabilities"], ROWS)
        assert archive["probabilities"].dtype == np.float32
        assert archive["indices"].tolist() == [0, 2, 30, 400]
        assert archive["labels"].tolist() == ["cat", "dog", "dog", "é"]
        assert json.loads(archive["meta"].tobytes()) == SMALL.meta


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("rows", [ROWS, ROWS.astype(np.float64), np.asfortranarray(ROWS), ROWS.astype(">f4")])
def test_what_numpy_wrote_loads(tmp_path, write, rows):
    write(tmp_path / "a.npz", probabilities=rows)
    assert load(tmp_path / "a.npz")[0] == Distributions(ROWS)
    write(tmp_path / "a.npz", rows)
    assert load(tmp_path / "a.npz")[0] == Distributions(ROWS)
    write(tmp_path / "a.npz", probabilities=rows, labels=[3, 1, 2, 0], indices=np.uint16([9, 8, 7, 6]))
    assert same(load(tmp_path / "a.npz")[0], Distributions(ROWS, [9, 8, 7, 6], [3, 1, 2, 0]))


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({}, "ends|expected arrays|got none"),
        ({"a": ROWS, "b": ROWS}, "got a, b"),
        ({"probabilities": ROWS, "label": [1, 2, 3, 4]}, "got probabilities, label"),
        ({"labels": [1, 2]}, "got labels"),
        ({"probabilities": ROWS[0]}, "probabilities: expected 2 axes"),
        ({"probabilities": ROWS + 1}, "index 0 is no distribution"),
        ({"probabilities": ROWS.astype(complex)}, "only arrays of numbers or text"),
        ({"probabilities": ROWS.astype(str)}, "probabilities: expected 2 axes and a dtype of kind f/i/u"),
        ({"probabilities": ROWS, "indices": [0.0, 1.0, 2.0, 3.0]}, "indices: expected 1 axes"),
        ({"probabilities": ROWS, "indices": [0, 1, 2]}, "one index per row"),
        ({"probabilities": ROWS, "indices": [0, 1, 1, 2]}, "index 1 has more than one"),
        ({"probabilities": ROWS, "indices": np.full(4, 2**64 - 1, np.uint64)}, "at least 0"),
        ({"probabilities": ROWS, "labels": 3}, "one per row"),
        ({"probabilities": ROWS, "labels": [1, 2]}, "one label per row"),
        ({"probabilities": ROWS, "labels": np.array([{}, 1, 2, 3])}, "only arrays of numbers or text"),
        ({"probabilities": ROWS, "labels": np.full(4, 0x110000, "<u4").view("<U1")}, "no characters"),
        ({"probabilities": ROWS, "meta": "{}"}, "JSON as uint8"),
        ({"probabilities": ROWS, "meta": np.frombuffer(b"[]", np.uint8)}, 'an object as "meta"'),
        ({"probabilities": ROWS, "meta": np.frombuffer(b'{"a": NaN}', np.uint8)}, "got NaN"),
    ],
)
def test_other_archives_are_refused(tmp_path, arrays, says):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(StoreError, match=f"a.npz: not a file of distributions: .*({says})"):
        load(tmp_path / "a.npz")


def archive_of(content, method=zipfile.ZIP_STORED, name="probabilities.npy"):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def member(header, data=b""):
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data


def claims(size):
    """Return an archive whose directory claims that its member has another size."""
    content = bytearray(archive_of(member(b"", b"x" * 100)))
    place = content.rfind(b"PK\1\2")
    content[place + 24 : place + 28] = struct.pack("<I", size)
    return bytes(content)


SHAPE = b"{'descr': '%s', 'fortran_order': False, 'shape': (%s), }\n"
HOSTILE_ARCHIVES = {
    "2 GB claimed": (claims(2**31), "250 times"),
    "too little claimed": (claims(50), "Bad CRC|numbers or text|ends early"),
    "160 MB of zeros": (archive_of(b"\0" * 160_000_000, zipfile.ZIP_DEFLATED), "250 times"),
    "bzip2": (archive_of(b"\0" * 10**6, zipfile.ZIP_BZIP2), "got method 12"),
    "lzma": (archive_of(b"\0" * 10**6, zipfile.ZIP_LZMA), "got method 14"),
    "a huge shape": (archive_of(member(SHAPE % (b"<f4", b"1000000000000, 1000"))), "bytes for float32"),
    "a wrapping shape": (archive_of(member(SHAPE % (b"<f4", b"4294967296, 4294967296"))), "bytes for float32"),
    "many digits": (archive_of(member(SHAPE % (b"<f4", b"9" * 9000))), "digits"),
    "many axes": (archive_of(member(SHAPE % (b"<f4", b"0, " * 100))), "dimension"),
    "objects": (archive_of(member(SHAPE % (b"|O", b"1,"), b"cos\nsystem\n")), "numbers or text"),
    "code in the header": (archive_of(member(b"__import__('os')")), "numbers or text"),
    "an endless header": (archive_of(b"\x93NUMPY\2\0\xff\xff\xff\xff{"), "numbers or text"),
    "no array": (archive_of(b""), "numbers or text"),
    "a pickle": (archive_of(b"\x80\4K\1."), "numbers or text"),
    "an empty archive": (b"PK\5\6" + b"\0" * 18, "got none"),
    "something behind it": (
        archive_of(member(SHAPE % (b"<f4", b"0, 2"))) + b"#!/bin/sh\nexit 0\n" * 2,
        "say otherwise",
    ),
}


@pytest.mark.parametrize("name", HOSTILE_ARCHIVES)
def test_hostile_archives_cost_no_memory(tmp_path, name):
    content, says = HOSTILE_ARCHIVES[name]
    (tmp_path / "a.npz").write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(StoreError, match=f"not a file of distributions: .*({says})"):
            load(tmp_path / "a.npz")
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_overlapping_members_are_refused(tmp_path):
    save(tmp_path / "a.npz", Distributions(np.full((500, 2), 0.5)))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    first = content.find(b"PK\1\2")
    # Every further member claims to be as large as all the rows.
    place = content.find(b"PK\1\2", first + 1)
    while place > 0:
        content[place + 20 : place + 28] = content[first + 20 : first + 28]
        content[place + 42 : place + 46] = content[first + 42 : first + 46]
        place = content.find(b"PK\1\2", place + 1)
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(StoreError, match="distributions: its members overlap"):
        load(tmp_path / "a.npz")


# Parquet


def test_parquet_is_convenient_in_pandas(tmp_path):
    save(tmp_path / "a.parquet", SMALL)
    frame = pd.read_parquet(tmp_path / "a.parquet")
    assert list(frame.columns) == ["index", "probabilities", "label"]
    np.testing.assert_array_equal(np.stack(frame["probabilities"]), ROWS)
    assert frame["label"].tolist() == ["cat", "dog", "dog", "é"]
    schema = pq.read_schema(tmp_path / "a.parquet")
    assert schema.field("probabilities").type.list_size == 3
    assert schema.field("probabilities").type.value_type == pa.float32()
    assert json.loads(schema.metadata[parquet_format.META]) == SMALL.meta


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
        ({"probabilities": FIXED, "label": ["a", None, "b", "c"]}, "expected no nulls"),
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


@pytest.mark.parametrize("suffix", [".json", ".parquet"])  # an archive has fixed-width text only, and room for it
def test_one_long_label_does_not_make_all_labels_long(tmp_path, suffix):
    labels = ["x" * 10**6] + ["y"] * 999
    path = tmp_path / f"a{suffix}"
    if suffix == ".json":
        content = {"distributions": {i: [1] for i in range(1000)}, "labels": dict(enumerate(labels))}
        path.write_text(json.dumps(content))
    else:
        probabilities = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(1000)), 1)
        pq.write_table(pa.table({"probabilities": probabilities, "label": labels}), path)
    tracemalloc.start()
    found, _ = load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.labels.tolist() == labels
    assert peak < 50e6


@pytest.mark.parametrize(("samples", "classes"), [(2_500_000, 2), (12_000, 1000)])
@binary_format
def test_our_own_files_load_however_well_they_compress(tmp_path, suffix, samples, classes):
    rows = np.zeros((samples, classes), np.float32)
    rows[:, 0] = 1
    labels = np.full(len(rows), "the same long name of a class every time")
    save(tmp_path / f"a{suffix}", Distributions(rows, labels=labels if classes == 1000 else None))
    assert len(load(tmp_path / f"a{suffix}")[0]) == len(rows)


# Damage, failure and absence


@binary_format
def test_every_truncation_is_noticed(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    save(path, SMALL)
    content = path.read_bytes()
    for length in range(0, len(content), 3):
        path.write_bytes(content[:length])
        with pytest.raises(StoreError):
            load(path)
    for extra in (b"\0", b"\0" * 512, b"PK\5\6" + b"\0" * 18, b"PAR1"):
        path.write_bytes(content + extra)
        with pytest.raises(StoreError):
            load(path)


@binary_format
@pytest.mark.parametrize("labels", [None, SMALL.labels])
def test_a_flipped_bit_is_noticed_or_harmless(tmp_path, suffix, labels):
    path = tmp_path / f"a{suffix}"
    wanted = Distributions(ROWS, [0, 2, 30, 400], labels, SMALL.meta)
    save(path, wanted)
    content = path.read_bytes()
    refused = 0
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << (position * 5 % 8)
        path.write_bytes(damaged)
        try:
            found, _ = load(path)
        except StoreError:
            refused += 1
        else:
            assert same(found, wanted), f"byte {position}"
    assert refused > len(content) / 2


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
            path.write_bytes(damaged)
            try:
                found, _ = load(path)
            except StoreError:
                refused += 1
            else:
                np.testing.assert_allclose(np.asarray(found).sum(axis=1), 1, atol=1e-4)
                assert found.labels is None or len(found.labels) == len(found)
    assert refused > len(content)


@every_format
@given(content=st.binary(max_size=300), wrapped=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_only_store_errors_escape_the_readers(tmp_path, suffix, content, wrapped):
    if wrapped:  # behind the checks of the container
        content = (
            b"PAR1" + content + struct.pack("<I", len(content)) + b"PAR1"
            if suffix == ".parquet"
            else archive_of(content)
        )
    (tmp_path / f"a{suffix}").write_bytes(content)
    with pytest.raises(StoreError, match="not a file of distributions"):
        load(tmp_path / f"a{suffix}")


@every_format
def test_a_missing_file_is_a_missing_file(tmp_path, suffix):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / f"a{suffix}")
    (tmp_path / f"folder{suffix}").mkdir()
    with pytest.raises(IsADirectoryError):
        load(tmp_path / f"folder{suffix}")


@pytest.mark.parametrize(("suffix", "step"), [(".npz", "_content"), (".parquet", "_columns")])
def test_a_failing_disk_is_no_damaged_file(tmp_path, suffix, step, monkeypatch):
    def fail(*arguments):
        raise OSError(5, "Input/output error")

    save(tmp_path / f"a{suffix}", SMALL)
    monkeypatch.setattr(MODULES[suffix], step, fail)
    with pytest.raises(OSError, match="Input/output error"):
        load(tmp_path / f"a{suffix}")


@every_format
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("moment", ["in the middle", "at the fsync"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, suffix, error, moment, monkeypatch):
    path = tmp_path / f"a{suffix}"
    save(path, SMALL)
    content = path.read_bytes()

    def fail(*arguments):
        raise error

    def blocks_that_end(distributions, numbers):
        yield slice(0, 4), ROWS
        raise error

    if moment == "at the fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(MODULES[suffix], "row_blocks", blocks_that_end)
    with pytest.raises(type(error)):
        save(path, SMALL, {"new": True})
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == [path.name]


@every_format
def test_a_disk_that_refuses_the_bytes(tmp_path, suffix):
    save(tmp_path / f"a{suffix}", SMALL)
    code = (
        "import resource, sys, numpy as np\n"
        "from probly.data_generator.store import save\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "rows = np.random.default_rng(0).dirichlet(np.ones(10), 20_000)\n"
        "try:\n"
        "    save(sys.argv[1], dict(enumerate(rows)))\n"
        "except OSError as error:\n"
        "    print(error.errno)\n"
    )
    path = tmp_path / f"a{suffix}"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout == "27\n"
    assert done.stderr == ""
    assert same(load(path)[0], SMALL)
    assert os.listdir(tmp_path) == [path.name]


def test_a_missing_library_names_its_extra(tmp_path, monkeypatch):
    (tmp_path / "a.parquet").write_bytes(b"")
    without(monkeypatch, "pyarrow")
    for action in (load, lambda path: save(path, SMALL)):
        with pytest.raises(
            ImportError, match=r'needs pyarrow.*pip install "probly-data-generator\[parquet\]"'
        ) as caught:
            action(tmp_path / "a.parquet")
        assert isinstance(caught.value.__cause__, ImportError)


def test_libraries_of_formats_are_imported_only_when_used(tmp_path):
    code = (
        "import sys\n"
        "from probly.data_generator.store import load, save\n"
        "save(sys.argv[1], {0: [1.0]})\n"
        "load(sys.argv[1])\n"
        "print([name for name in ('orjson', 'pyarrow', 'pandas') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a.npz"], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_extras_that_name_no_backend_announce_none(monkeypatch):
    lines = [
        "numpy>=1.26",
        'probly-data-generator-torch; extra == "torch"',
        "probly-data-generator-jax ; extra == 'flax'",
        'probly-data-generator-jax; extra == "all"',
        'pyarrow; extra == "parquet"',
        'orjson>=3.9; extra == "fast-json"',
        'orjson; extra == "fast-json"',
    ]
    monkeypatch.setattr(importlib_metadata, "requires", lambda name: lines)
    found = listing.known_backends.__wrapped__()
    assert found == {"torch": "probly-data-generator-torch", "flax": "probly-data-generator-jax"}
