"""Small files of ``--data`` that unpack to large arrays, or say that they do."""

import re
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from probly_data_generator_command_line.data import limits
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
