"""Whatever the bytes of a store are: its rows come back right, or a StoreError comes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probly.data_generator import StoreError
from probly.data_generator.store import load, open_partial, open_store, save
from probly_data_generator_store import layout
from probly_data_generator_store.spec import seal
from tests.store import stores

ROOT = Path(__file__).parents[2]
SPEC, MANIFEST = "spec.json", "manifest.json"


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    path = tmp_path_factory.mktemp("intact") / "a.fod"
    stores.run(path, (stores.INPUTS[:12], stores.LABELS[:12]))
    return path


@pytest.fixture
def store(intact, tmp_path):
    shutil.copytree(intact, tmp_path / "a.fod")
    return tmp_path / "a.fod"


def names(path):
    return [SPEC, MANIFEST, *(f"shards/{name}" for name in sorted(os.listdir(path / "shards")))]


def is_right(found):
    rows = np.asarray(found)
    same = np.array_equal(rows, stores.EXPECTED.gather(found.indices)) and np.array_equal(
        found.labels, found.indices % 3
    )
    return same and len(rows) == 12


def noticed(path, opened=open_store):
    """Return whether a StoreError came; rows that are not right fail the test."""
    try:
        found = opened(path)
        found.verify()
        assert is_right(found), "silently wrong"
    except StoreError:
        return True
    return False


def replace(path, data):
    path.chmod(0o644)
    path.write_bytes(data)


@pytest.mark.parametrize("name", [0, 1, 2, 3])
def test_every_flipped_bit_is_noticed(store, name):
    path = store / names(store)[name]
    data = path.read_bytes()
    path.chmod(0o644)
    missed = []
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        if not noticed(store):
            missed.append(bit)
    assert missed == []


@pytest.mark.parametrize("name", [0, 1, 2, 3])
def test_every_other_length_is_noticed(store, name):
    path = store / names(store)[name]
    data = path.read_bytes()
    for length in range(len(data)):
        replace(path, data[:length])
        assert noticed(store), length
    for extra in (b"\0", b" ", b"\n", data, bytes(4096)):
        replace(path, data + extra)
        assert noticed(store), extra


@pytest.mark.parametrize("size", [1, 64, 512])
def test_zeroed_and_swapped_pages_are_noticed(store, size):
    path = store / names(store)[2]
    data = path.read_bytes()
    pages = [data[start : start + size] for start in range(0, len(data), size)]
    for number, page in enumerate(pages):
        replace(path, b"".join([*pages[:number], bytes(len(page)), *pages[number + 1 :]]))
        assert noticed(store) == any(page)
        swapped = [*pages]
        swapped[0], swapped[number] = swapped[number], swapped[0]
        replace(path, b"".join(swapped))
        assert noticed(store) == (b"".join(swapped) != data)


@pytest.mark.parametrize("name", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", ["missing", "empty", "folder", "link", "fifo", "device", "polyglot"])
def test_files_replaced_by_something_else(store, tmp_path, name, kind):
    path = store / names(store)[name]
    shutil.copy(path, tmp_path / "copy")
    path.unlink()
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":  # to the right content, even
        path.symlink_to(tmp_path / "copy")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "polyglot":
        path.write_bytes(b"PK\x03\x04<html>\x80\x04." + (tmp_path / "copy").read_bytes())
    assert noticed(store)


def test_hard_links_are_files(store, tmp_path):
    path = store / names(store)[2]
    os.link(path, tmp_path / "second")
    assert not noticed(store)


def test_shards_that_change_places(store):
    first, second = (store / name for name in names(store)[2:])
    first_bytes, second_bytes = first.read_bytes(), second.read_bytes()
    replace(first, second_bytes)
    assert noticed(store)
    assert noticed(store, open_partial)
    replace(second, first_bytes)
    assert noticed(store)
    assert noticed(store, open_partial)


def test_shards_and_manifests_of_another_store(store, tmp_path):
    stores.run(tmp_path / "b.fod", (stores.INPUTS[:12], stores.LABELS[:12]))  # the same run, later
    for name in names(store):
        content = (store / name).read_bytes()
        replace(store / name, (tmp_path / "b.fod" / name).read_bytes())
        assert noticed(store), name
        replace(store / name, content)
    assert not noticed(store)
    (store / MANIFEST).unlink()
    replace(store / names(store)[2], (tmp_path / "b.fod" / names(store)[2]).read_bytes())
    with pytest.raises(StoreError, match="belongs to another store, or to an older run; remove it"):
        open_partial(store).verify()


def test_a_shard_of_the_same_store_that_the_manifest_does_not_list(store):
    path = store / names(store)[2]
    header, tensors = layout.read_file(path)
    tensors = {name: tensor.copy() for name, tensor in tensors.items()}
    tensors["probs"][0] = [1, 0, 0]
    metadata = {name: header.metadata[name] for name in ("store", "start", "stop")}
    replace(path, b"".join(map(bytes, layout.pieces(tensors, metadata))))
    with pytest.raises(StoreError, match="not the one that the manifest lists"):
        open_store(store)[0]


def test_a_manifest_without_its_shards_and_shards_without_their_manifest(store):
    shard = store / names(store)[3]
    content = shard.read_bytes()
    shard.unlink()
    with pytest.raises(StoreError, match="a shard is missing"):
        open_store(store)
    assert list(open_partial(store)) == list(range(10))
    shard.write_bytes(content)
    (store / MANIFEST).unlink()
    with pytest.raises(StoreError, match=r"incomplete: 0 rows are missing, 12 are there.*open_partial"):
        open_store(store)
    shard.unlink()
    with pytest.raises(StoreError, match="incomplete: 2 rows are missing, 10 are there"):
        open_store(store)


def test_what_else_lies_in_the_folder_is_harmless(store):
    (store / "shards" / ".000000000000-000000000099.safetensors.part").write_bytes(b"torn")
    (store / "shards" / "../notes.txt").write_text("")
    (store / "manifest.json.bak").write_text("")
    assert not noticed(store)


def test_overlapping_and_empty_shards(store):
    (store / MANIFEST).unlink()
    for name in ("000000000005-000000000012", "000000000012-000000000012", "000000000030-000000000020"):
        extra = store / "shards" / f"{name}.safetensors"
        extra.write_bytes(b"")
        with pytest.raises(StoreError, match="remove one of them"):
            open_partial(store)
        extra.unlink()


def test_a_folder_that_is_a_link(store, tmp_path):
    (store / "shards").rename(tmp_path / "elsewhere")
    (store / "shards").symlink_to(tmp_path / "elsewhere")
    (store / MANIFEST).unlink()
    with pytest.raises(StoreError, match="got a link"):
        open_partial(store)


def test_damage_is_never_written_over(store):
    path = store / names(store)[2]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    replace(path, data)
    (store / MANIFEST).unlink()
    for _ in range(2):
        with pytest.raises(StoreError, match="damaged"):
            stores.run(store, (stores.INPUTS[:12], stores.LABELS[:12]))
    path.unlink()
    assert is_right(stores.run(store, (stores.INPUTS[:12], stores.LABELS[:12])))


def test_the_protections_matter(store, monkeypatch):
    """Without the checksum of the data, a flipped bit changes rows and nobody notices."""
    path = store / names(store)[2]
    data = bytearray(path.read_bytes())
    data[layout.read_file(path)[0].data_start] ^= 1
    replace(path, data)
    assert noticed(store)
    monkeypatch.setattr(layout, "check_data", lambda handle, size, header: None)
    with pytest.raises(AssertionError, match="silently wrong"):
        noticed(store)


# Hostile content, with right checksums.

HOSTILE = [
    "[]", "{}", "null", "1", '"text"', "[" * 20_000, '{"a":' * 20_000, "9" * 5000, "NaN", '{"shape": Infinity}',
    '"\\ud800"', '{"__class__": "os.system", "__reduce__": ["rm"]}',
]  # fmt: skip
NUMBERS = [-1, 0.5, True, 2**62, 2**63, 10**400, None, "12", [12], {}]


def with_checksum(text):
    """Return a shard file with this header, made to fit."""
    rest = b'",' + text.encode()[1:] if text.startswith("{") else b'",' + text.encode()
    rest += b" " * (-(8 + layout.START + len(rest)) % layout.ALIGNMENT)
    length = (layout.START + len(rest)).to_bytes(8, "little")
    return length + layout.OPENING + b"%08x" % zlib.crc32(length + rest) + rest


def sealed(text):
    import hashlib

    rest = b'",' + text.encode("utf-8", "surrogatepass") + b"\n"
    return b'{"checksum":"' + hashlib.sha256(rest).hexdigest().encode() + rest


@pytest.mark.parametrize("content", HOSTILE)
def test_hostile_json(store, content):
    for name in names(store):
        original = (store / name).read_bytes()
        replace(store / name, with_checksum(content) if "shards" in name else sealed(content))
        assert noticed(store)
        replace(store / name, original)


@pytest.mark.parametrize("name", [SPEC, MANIFEST])
@pytest.mark.parametrize("value", NUMBERS)
def test_hostile_numbers(store, name, value):
    content = json.loads((store / name).read_bytes())
    del content["checksum"]
    for key in content:
        if key in ("decided", "meta", "identity") or content[key] == value:
            continue
        replace(store / name, seal({**content, key: value}))
        # Rows that are only announced are no promise; the manifest counts.
        assert noticed(store) or (key == "rows" and name == SPEC), key


@pytest.mark.parametrize(
    "entry",
    [
        {"shape": [10, 2**62]}, {"shape": [-10, -3]}, {"shape": [10.0, 3]}, {"shape": [True, 30]}, {"shape": 30},
        {"shape": [2**61, 2**61, 2**61]}, {"shape": [0]}, {"shape": [1] * 64},
        {"dtype": "F8"}, {"dtype": ["F32"]}, {"dtype": "I32"},
        {"data_offsets": [0, 2**63]}, {"data_offsets": [-120, 0]}, {"data_offsets": [8, 128]}, {"data_offsets": None},
    ],
)  # fmt: skip
def test_hostile_tensors(store, entry):
    path = store / names(store)[2]
    data = path.read_bytes()
    length = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:length])
    header["probs"] |= entry
    metadata = header.pop("__metadata__")
    del metadata["checksum"]
    text = json.dumps(metadata, separators=(",", ":")) + "," + json.dumps(header)[1:]
    replace(path, with_checksum(text) + data[length:])
    assert noticed(store)
    assert noticed(store, open_partial)


def test_a_terabyte_of_header(store):
    path = store / names(store)[2]
    for length in (2**40, 2**63, 2**64 - 1, 0, 1):
        replace(path, length.to_bytes(8, "little") + path.read_bytes()[8:])
        assert noticed(store)


def test_rows_that_are_no_distributions_are_found_by_verify(store):
    path = store / names(store)[2]
    header, tensors = layout.read_file(path)
    tensors = {name: tensor.copy() for name, tensor in tensors.items()}
    tensors["probs"][4] = [0.5, np.nan, 0.5]
    metadata = {name: header.metadata[name] for name in ("store", "start", "stop")}
    replace(path, b"".join(map(bytes, layout.pieces(tensors, metadata))))
    (store / MANIFEST).unlink()
    with pytest.raises(StoreError, match="row 4: it has a value that is not finite"):
        open_partial(store).verify()


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
def test_only_store_errors_escape(intact, tmp_path_factory, data):
    store = tmp_path_factory.mktemp("fuzz") / "a.fod"
    shutil.copytree(intact, store)
    for name in data.draw(st.lists(st.sampled_from(names(intact)), min_size=1, max_size=3, unique=True)):
        content = (intact / name).read_bytes()
        position = data.draw(st.integers(0, len(content)))
        before, after = content[:position], content[position:]
        replace(
            store / name, data.draw(st.binary() | st.binary(max_size=9).map(lambda p, b=before, a=after: b + p + a))
        )
    for opened in (open_store, open_partial):
        noticed(store, opened)
    shutil.rmtree(store)


@given(content=st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_only_store_errors_escape_the_export(tmp_path, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(StoreError):
        load(path)


def test_every_bit_and_length_of_the_export(tmp_path):
    path = tmp_path / "a.safetensors"
    save(path, stores.EXPECTED)
    data = path.read_bytes()
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(StoreError):
            load(path)
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(StoreError):
            load(path)


READ = """
    import resource
    import sys
    import numpy  # imports pickle itself
    sys.modules["pickle"] = None  # whoever else does fails
    from probly.data_generator import errors
    from probly.data_generator.store import opening, shards

    def refuse(event, arguments):
        if event in ("pickle.find_class", "subprocess.Popen", "socket.connect", "os.system", "exec", "compile"):
            raise SystemExit(f"{event} {arguments}")

    def read(path):
        try:
            found = opening.open_partial(path)
            found.verify()
            found.gather(list(found)[:10]), found.labels
        except errors.StoreError:
            return False
        return True

    assert read(sys.argv[1])
    sys.addaudithook(refuse)
    limit = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize() + 50 * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    print([read(path) for path in sys.argv[1:]])
"""


def test_the_reader_runs_no_code_and_takes_no_memory(intact, tmp_path):
    bombs = []
    for number, entry in enumerate(
        [{"classes": 2**61}, {"rows": 2**61}, {"classes": 10**9, "representation": "top-999999999"}]
    ):
        bomb = tmp_path / f"{number}.fod"
        shutil.copytree(intact, bomb)
        content = json.loads((bomb / SPEC).read_bytes())
        del content["checksum"]
        replace(bomb / SPEC, seal({**content, **entry}))
        (bomb / MANIFEST).unlink()
        bombs.append(bomb)
    shape = tmp_path / "3.fod"
    shutil.copytree(intact, shape)
    replace(shape / names(shape)[2], (2**40).to_bytes(8, "little") + bytes(900))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(READ), intact, *bombs, shape],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[True, False, True, False, False]"  # announced rows cost nothing


def test_no_module_of_the_store_imports_pickle():
    for path in (ROOT / "core/probly/data_generator/store").glob("*.py"):
        for word in ("import pickle", "from pickle", "eval(", "exec(", "marshal", "shelve", "allow_pickle=True"):
            assert word not in path.read_text(), (path, word)


TRUNCATING = """
    import os, sys
    import numpy as np
    from pathlib import Path
    from probly.data_generator.store import open_store

    store = open_store(sys.argv[1])
    row = store[0]
    os.truncate(next(Path(sys.argv[1], "shards").iterdir()), 0)
    print("truncated", flush=True)
    row.sum()
"""


def test_a_shard_truncated_while_it_is_mapped_ends_the_reader_and_is_noticed_afterwards(tmp_path):
    path = tmp_path / "a.fod"
    stores.run(path, shard_megabytes=1)
    (shard,) = (path / "shards").iterdir()
    assert shard.stat().st_mode & 0o222 == 0  # so that it takes intent
    shard.chmod(0o644)
    opened = open_store(path)
    command = [sys.executable, "-c", textwrap.dedent(TRUNCATING), path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("truncated\n", -signal.SIGBUS)
    with pytest.raises(StoreError, match=r"expected [0-9]+ bytes, got 0"):
        opened.verify()
    with pytest.raises(StoreError, match=r"expected [0-9]+ bytes, got 0"):
        open_store(path)
