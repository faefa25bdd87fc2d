"""Whatever became of the files of a store: its rows come back right, or a StoreError comes."""

import os
import shutil

import pytest

from probly.data_generator import StoreError
from probly.data_generator.store import open_partial, open_store
from probly_data_generator_store import layout
from tests.store import stores
from tests.store.damage import MANIFEST, TWELVE, flipped, is_right, names, noticed, replace, shortened


@pytest.mark.parametrize("name", [0, 1, 2, 3])
def test_every_flipped_bit_is_noticed(store, name):
    # A shard is looked at by verify alone, which opens the store again.
    found = open_store(store)
    opened = {} if name < 2 else {"opened": lambda path: found}
    missed = [bit for bit in flipped(store / names(store)[name]) if not noticed(store, **opened)]
    assert missed == []
    assert not noticed(store)  # all is well again


@pytest.mark.parametrize("name", [0, 1, 2, 3])
def test_every_other_length_is_noticed(store, name):
    path = store / names(store)[name]
    data = path.read_bytes()
    assert [length for length in shortened(path) if not noticed(store)] == []
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
    stores.run(tmp_path / "b.fod", TWELVE)  # the same run, later
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
            stores.run(store, TWELVE)
    path.unlink()
    assert is_right(stores.run(store, TWELVE))


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
