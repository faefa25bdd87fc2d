"""Stores in a server that speaks S3, on loopback."""

import contextlib
import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from probly.data_generator import Distributions, StoreError
from probly.data_generator.store import open_partial, open_store
from probly.data_generator.toolkit.places import Url
from probly_data_generator_store import cache, objects
from tests.store import shared, stores


@pytest.fixture(scope="module")
def server():
    """Start a server of moto's and let all clients know it."""
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        objects._system(Url("s3://bucket")).mkdir("bucket")
        yield running
    running.stop()


@pytest.fixture
def place(server, request, tmp_path, monkeypatch):
    """Give the URL of a store that is not there, and a cache of its own."""
    monkeypatch.setenv(cache.FOLDER, str(tmp_path / "cache"))
    return f"s3://bucket/{abs(hash(request.node.name))}/teacher.fod"


@pytest.fixture
def calls(monkeypatch):
    """Record what is asked of the server: the name of each operation."""
    import s3fs

    recorded, original = [], s3fs.S3FileSystem._call_s3

    async def call(self, method, *arguments, **options):
        recorded.append(method)
        return await original(self, method, *arguments, **options)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", call)
    return recorded


def content(place):
    """Return all objects of a store, by name."""
    system = objects._system(Url(place))
    system.invalidate_cache()
    return {name.partition(".fod/")[2]: system.cat_file(name) for name in system.find(place)}


def test_the_store_is_the_one_of_a_disk_byte_for_byte(place, tmp_path):
    shared.run(tmp_path / "a.fod")
    store = shared.run(place)
    assert stores.agrees(store)
    store.verify()
    found = content(place)
    assert json.loads(found["manifest.json"])["shards"] == shared.entries(tmp_path / "a.fod")
    assert sorted(found) == sorted(
        path.relative_to(tmp_path / "a.fod").as_posix()
        for path in (tmp_path / "a.fod").rglob("*")
        if path.name != "lock" and path.is_file()
    )
    assert str(store.path) == place
    assert stores.agrees(Distributions.load(place))


def test_what_it_costs(place, calls):
    shared.run(place)
    # spec and manifest, and each shard once; nothing is copied, renamed or removed.
    assert calls.count("put_object") == shared.SHARDS + 2
    assert not {"copy_object", "delete_object", "delete_objects", "create_multipart_upload"} & set(calls)
    calls.clear()
    store = open_store(place)
    assert calls.count("list_objects_v2") == 1
    assert len(calls) <= 5
    calls.clear()
    store[0], store[1], store[9]
    assert calls.count("get_object") <= 1
    store[0]
    again = open_store(place)
    calls.clear()
    again[3]  # from the cache
    assert "get_object" not in calls


def test_workers_that_know_nothing_of_each_other(place, tmp_path):
    shared.run(tmp_path / "a.fod")
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(shared.run, place, share=(number, 3)) for number in range(3)]
        assert all(stores.agrees(one.result()) for one in runs)
    assert json.loads(content(place)["manifest.json"])["shards"] == shared.entries(tmp_path / "a.fod")


def test_a_run_that_was_stopped_goes_on_by_the_plain_call(place, monkeypatch):
    original, shards = objects.publish, []

    def dying(url, piece):
        if url.suffix == ".safetensors":
            shards.append(url)
            if len(shards) == 3:
                raise KeyboardInterrupt
        return original(url, piece)

    with monkeypatch.context() as patch:
        patch.setattr(objects, "publish", dying)
        with pytest.raises(KeyboardInterrupt):
            stores.run(place, shard_megabytes=stores.TEN_ROWS)
    assert len(open_partial(place)) == 10
    with pytest.raises(StoreError, match="incomplete: 33 rows are missing"):
        open_store(place)
    counting = stores.Counting()
    assert stores.agrees(stores.run(place, wrappers=[counting]))
    assert counting.rows == stores.BATCH + 33
    with pytest.raises(StoreError, match="was begun by another run"):
        stores.run(place, model=stores.Linear(2.5))


def test_names_that_are_taken(place):
    url = Url(place) / "spec.json"
    assert objects.publish(url, b"first")
    assert not objects.publish(url, b"second")
    assert content(place) == {"spec.json": b"first"}
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(objects.publish, [Url(place) / "manifest.json"] * 8, [b"x"] * 8))
    assert sorted(given) == [False] * 7 + [True]


class ConflictError(OSError):
    """What s3fs makes of an answer that it does not know."""

    def __init__(self, code):
        super().__init__(5, f"An error occurred ({code})")
        self.response = {"Error": {"Code": code}}


@pytest.mark.parametrize(
    ("codes", "outcome"),
    [(["ConditionalRequestConflict"] * 2, True), (["PreconditionFailed"], False), (["409", "412"], False)],
)
def test_conflicts_are_tried_again_and_refusals_are_believed(place, monkeypatch, codes, outcome):
    import s3fs

    left, original = list(codes), s3fs.S3FileSystem._call_s3

    async def call(self, method, *arguments, **options):
        if method == "put_object" and left:
            raise ConflictError(left.pop(0))
        return await original(self, method, *arguments, **options)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", call)
    assert objects.publish(Url(place) / "spec.json", b"x") is outcome
    assert left == []
    left += ["409"] * objects.TRIES_AT_CONFLICT
    with pytest.raises(OSError, match="conflicts with other writers"):
        objects.publish(Url(place) / "other.json", b"x")


def test_a_damaged_shard_is_named(place):
    shared.run(place)
    system, name = objects._system(Url(place)), f"{place}/shards/000000000010-000000000020.safetensors"
    damaged = bytearray(system.cat_file(name))
    damaged[-1] ^= 1
    system.pipe_file(name, bytes(damaged))
    with pytest.raises(StoreError, match=r"s3://bucket/.*000000000010.*checksum of the data is wrong"):
        open_store(place).verify()
    system.rm_file(name)
    with pytest.raises(StoreError, match="a shard is missing"):
        open_store(place)
    assert stores.agrees(shared.run(place))


def test_the_cache_is_bounded(place, tmp_path, monkeypatch):
    shared.run(place)
    monkeypatch.setenv(cache.GIGABYTES, str(3000 / 1e9))  # two shards
    store = open_store(place)
    assert stores.agrees(store)
    assert stores.agrees(store)
    assert sum(file.stat().st_size for file in (tmp_path / "cache").iterdir()) <= 3000
    assert 1 <= len(os.listdir(tmp_path / "cache")) <= 2


def test_other_files_in_the_folder_of_the_cache_stay(place, tmp_path, monkeypatch):
    shared.run(place)
    (tmp_path / "cache").mkdir(exist_ok=True)
    own = [tmp_path / "cache" / name for name in ("thesis.tex", "weights.safetensors", "download.part")]
    for file in own:
        file.write_bytes(bytes(5000))
        os.utime(file, (0, 0))
    monkeypatch.setenv(cache.GIGABYTES, str(3000 / 1e9))
    assert stores.agrees(open_store(place))
    assert all(file.stat().st_size == 5000 for file in own)
    monkeypatch.setenv(cache.GIGABYTES, "ten")
    with pytest.raises(StoreError, match="FIRST_ORDER_CACHE_GB: expected a number, got 'ten'"):
        np.asarray(open_store(place))


@pytest.mark.parametrize("damage", [lambda content: content[:100], lambda content: content[:-1] + b"?"])
def test_a_damaged_copy_is_fetched_anew(place, tmp_path, damage):
    shared.run(place)
    assert stores.agrees(open_store(place))
    for copy in (tmp_path / "cache").iterdir():
        copy.write_bytes(damage(copy.read_bytes()))
    for _ in range(shared.SHARDS):  # one that has its size is found out when it is read, and then removed
        with contextlib.suppress(StoreError):
            np.asarray(open_store(place))
    assert stores.agrees(open_store(place))


def test_readers_that_take_each_other_s_copies_away(place, monkeypatch):
    shared.run(place)
    monkeypatch.setenv(cache.GIGABYTES, "0")
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda _: stores.agrees(open_store(place)), range(12)))


def test_what_cannot_be_done_with_a_url_is_said(place, monkeypatch, tmp_path):
    rows = Distributions(np.full((3, 2), 0.5))
    with pytest.raises(ValueError, match="save it here, and copy it"):
        rows.save(place)
    with pytest.raises(ValueError, match=r"\.npz is for files of this machine"):
        rows.save("s3://bucket/a.npz")
    for other in ("gopher://bucket/a.fod", "S3://bucket/a.fod"):
        with pytest.raises(ValueError, match="expected a path or a URL that begins with s3://"):
            open_store(other)
    with pytest.raises(FileNotFoundError, match="there is no such store"):
        open_store(place)
    from pathlib import Path

    with pytest.raises(ValueError, match="pass a URL as text"):
        open_store(Path(place))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises((OSError, StoreError), match=r"s3://bucket/|connect"):
        open_store("s3://bucket/elsewhere.fod")


def test_the_command_line_takes_urls(place, tmp_path, monkeypatch, capsys):
    from probly_data_generator_command_line import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    generate = ["generate", "--backend", "numpy", "--model", "demo.model:build", "--data", "demo/test.npz", "--quiet"]
    assert main(["demo"]) == 0
    assert main([*generate, "--out", place, "--share", "0/2"]) == 0
    for command in (["verify", place], ["finish", place], ["inspect", place], ["diff", place, "demo/teacher.fod"]):
        assert main(command) == 0, command
    for command in (["rank", place], ["evaluate", place], ["calibrate", place], ["sample", place, "--out", "a.npz"]):
        assert main(command) == 0, command
    assert main(["convert", place, "here.npz"]) == 0
    assert main([*generate, "--out", place, "--fresh"]) == 2
    assert main(["verify", "s3://bucket/nothing.fod"]) == 2
    assert "cannot replace" in capsys.readouterr().err
    assert main([*generate, "--out", place, "--batch-size", "32"]) == 2
    refused = capsys.readouterr().err
    assert "batch_size: the store has 64, this run has 32" in refused
    assert "--fresh" not in refused  # which would not work
