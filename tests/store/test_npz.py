"""NumPy archives: ours and those of others."""

import io
import json
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from probly.data_generator import Distributions, StoreError
from probly.data_generator.store import load, save
from probly_data_generator_store import npz
from tests.formats.common import ROWS, SMALL, BinaryTests, same


def archive_of(content, method=zipfile.ZIP_STORED, name="probabilities.npy"):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(name, content)
    return file.getvalue()


class TestNpz(BinaryTests):
    suffix, module, reading_step = ".npz", npz, "_content"

    def dressed(self, content):
        return archive_of(content)


def test_npz_is_numpys_own_format_without_pickle(tmp_path):
    save(tmp_path / "a.npz", SMALL)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert set(archive) == {"probabilities", "indices", "labels", "meta"}
        np.testing.assert_array_equal(archive["probabilities"], ROWS)
        assert archive["probabilities"].dtype == np.float32
        assert archive["indices"].tolist() == [0, 2, 30, 400]
        assert archive["labels"].tolist() == ["cat", "dog", "dog", "é"]
        kept = json.loads(archive["meta"].tobytes())
        assert kept.pop("content_digest").startswith("sha256:")
        assert kept == SMALL.meta


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
def test_hostile_archives_cost_no_memory(disk_path, name):
    content, says = HOSTILE_ARCHIVES[name]
    (disk_path / "a.npz").write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(StoreError, match=f"not a file of distributions: .*({says})"):
            load(disk_path / "a.npz")
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


@pytest.mark.parametrize(("samples", "classes"), [(2_500_000, 2), (12_000, 1000)])
def test_our_own_files_load_however_well_they_compress(disk_path, samples, classes):
    rows = np.zeros((samples, classes), np.float32)
    rows[:, 0] = 1
    labels = np.full(len(rows), "the same long name of a class every time")
    save(disk_path / "a.npz", Distributions(rows, labels=labels if classes == 1000 else None))
    assert len(load(disk_path / "a.npz")[0]) == len(rows)
