"""The files of a store: readable by the safetensors library, aligned, exact; and its representations."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from safetensors import safe_open
from safetensors.numpy import load_file

from probly.data_generator import Distributions, FirstOrderDataGenerator, StoreError
from probly.data_generator.label_values import key_array
from probly.data_generator.store import load, open_store, save
from probly_data_generator_store import fod, layout
from probly_data_generator_store.columns import packed
from probly_data_generator_store.encodings import encoding_of
from probly_data_generator_store.writer import Limits, StoreWriter
from tests.store import stores

RANDOM = np.random.default_rng(0)


def rows(count, classes):
    return RANDOM.dirichlet(np.ones(classes), count).astype(np.float32)


@pytest.mark.parametrize("form", ["float32", "float16", "top-2"])
def test_the_official_library_reads_every_shard_and_agrees(tmp_path, form):
    path = tmp_path / "a.fod"
    stores.run(path, encoding=form)
    found = []
    for name in sorted(os.listdir(path / "shards")):
        theirs = load_file(path / "shards" / name)
        _, ours = layout.read_file(path / "shards" / name)
        for tensor, values in ours.items():
            assert values.tobytes() == theirs[tensor].tobytes()
            assert values.dtype == theirs[tensor].dtype
        found.append(theirs["probs"])
    if form == "float32":
        assert np.concatenate(found).tobytes() == stores.EXPECTED.probabilities.tobytes()


@given(
    arrays=st.lists(
        npst.arrays(
            st.sampled_from(list(layout.NAMES)).map(np.dtype), npst.array_shapes(min_dims=1, min_side=0, max_side=9)
        ),
        min_size=1,
        max_size=4,
    ),
    metadata=st.dictionaries(st.text(min_size=1), st.text(), max_size=3),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_tensors_come_back_aligned_and_as_the_library_sees_them(tmp_path, arrays, metadata):
    for reserved in ("checksum", "data_checksum"):
        metadata.pop(reserved, None)
    path = tmp_path / "a.safetensors"
    path.write_bytes(
        b"".join(
            memoryview(piece).tobytes() for piece in layout.pieces({f"t{n}": a for n, a in enumerate(arrays)}, metadata)
        )
    )
    header, ours = layout.read_file(path)
    theirs = load_file(path)
    for number, array in enumerate(arrays):
        assert ours[f"t{number}"].tobytes() == theirs[f"t{number}"].tobytes() == array.tobytes()
        assert ours[f"t{number}"].shape == array.shape
        assert header.tensors[f"t{number}"].offset % 64 == 0
    assert metadata.items() <= header.metadata.items()
    with safe_open(path, "np") as file:
        assert metadata.items() <= file.metadata().items()


@pytest.mark.parametrize("suffix", [".fod", ".safetensors"])
@pytest.mark.parametrize("indices", [None, [3, 5, 2**40]])
@pytest.mark.parametrize(
    "labels",
    [None, [2, 0, 1], [0.5, 1.5, -1.0], [True, False, True], ["cat", "dog", "Zürich 🐈"], [b"a", b"bcd", b""],
     [[0, 1], [1, 0], [1, 1]], np.array([1, 2, 3], ">i4"), np.array([1, 2, 3], np.uint8)],
)  # fmt: skip
def test_round_trip(tmp_path, suffix, indices, labels):
    path, meta = tmp_path / f"a{suffix}", {"framework": "numpy", "class_names": ["x", "ü"], "nested": {"a": [1, None]}}
    given = Distributions(rows(3, 2), indices, labels, meta)
    save(path, given, {"extra": np.float32(0.5)})
    found, found_meta = load(path)
    assert found == given
    assert found_meta == {**meta, "extra": 0.5}
    assert found.class_names == ["x", "ü"]
    assert (found.labels is None) == (labels is None)
    if labels is not None:
        np.testing.assert_array_equal(found.labels, given.labels)
        assert found.labels.dtype == given.labels.dtype.newbyteorder("=")
    with pytest.raises(KeyError, match="No distribution for index 7"):
        found.gather([found.indices[0], 7])


@pytest.mark.parametrize("suffix", [".fod", ".safetensors"])
def test_no_rows(tmp_path, suffix):
    save(tmp_path / f"a{suffix}", {})
    found, _ = load(tmp_path / f"a{suffix}")
    assert len(found) == 0
    assert np.asarray(found).shape == (0, 0)
    assert found == Distributions(np.empty((0, 0)))


@pytest.mark.parametrize("count", [1, 9, 10, 11, 40])
@pytest.mark.parametrize("classes", [1, 2, 20_000])
@pytest.mark.parametrize("form", ["float32", "float16", "top-1", "top-2"])
def test_shard_sizes_and_class_counts(tmp_path, count, classes, form):
    if form == "top-2" and classes == 1:
        with pytest.raises(ValueError, match="expected at least 2 classes, got 1"):
            fod.write(tmp_path / "a.fod", Distributions(rows(count, classes)), {}, form)
        assert os.listdir(tmp_path) == []
        return
    given = Distributions(rows(count, classes), labels=np.arange(count))
    size = encoding_of(form).row_bytes(classes) * 10 / 2**20
    fod.write(tmp_path / "a.fod", given, {}, form, size)
    found = open_store(tmp_path / "a.fod")
    found.verify()
    assert len(found) == count
    assert np.asarray(found).sum(axis=1) == pytest.approx(1, abs=1e-6)
    if form == "float32":
        assert np.asarray(found).tobytes() == given.probabilities.tobytes()
    if form == "float16":
        np.testing.assert_allclose(np.asarray(found), given.probabilities, atol=6e-8, rtol=2e-3)


def test_top_k_keeps_the_largest_and_the_mass_of_the_others():
    given = rows(200, 100_000 // 100)
    for k in (1, 10, 1000):
        tensors = encoding_of(f"top-{k}").encode(given)
        descending = -np.sort(-given, axis=1)[:, :k]
        np.testing.assert_allclose(tensors["probs"], descending, rtol=1e-3, atol=6e-8)
        np.testing.assert_array_equal(np.take_along_axis(given, tensors["classes"].astype(int), 1), descending)
        np.testing.assert_allclose(tensors["tail"], 1 - descending.sum(axis=1, dtype=float), atol=1e-6)
        assert tensors["classes"].dtype == np.uint16
    decoded = encoding_of("top-1000").decode(encoding_of("top-1000").encode(given), slice(None), 1000)
    np.testing.assert_allclose(decoded, given, rtol=2e-3, atol=1e-7)
    assert encoding_of("top-3").encode(rows(2, 70_000))["classes"].dtype == np.uint32
    last = (np.arange(40_000) == 39_999).astype(np.float32)[None]
    assert encoding_of("top-1").encode(last)["classes"].tolist() == [[39_999]]  # an int16 would overflow


@pytest.mark.parametrize("name", ["float64", "top-0", "top--1", "top-", "top-1.5", "", None, 3])
def test_unknown_representations(tmp_path, name):
    with pytest.raises(ValueError, match='expected "float32", "float16" or "top-<k>"'):
        stores.run(tmp_path / "a.fod", encoding=name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "labels", [np.array([{"a": 1}], object), np.array(["2026-01-01"], "M8[D]"), np.array([1j]), np.array([""])]
)
def test_labels_that_fit_no_tensor(tmp_path, labels):
    if labels.dtype.kind == "U" and packed("labels", labels) is not None:
        return
    for suffix in ("fod", "safetensors"):
        with pytest.raises(TypeError, match="nothing written"):
            save(tmp_path / f"a.{suffix}", Distributions([[1.0]], labels=labels))
    assert os.listdir(tmp_path) == []


def test_rows_that_were_divided_by_their_sum_are_counted_over_all_shards_and_runs(tmp_path):
    rows = np.tile(np.float32([[0.25, 0.75]]), (12, 1))
    rows[[1, 5, 10]] = np.float32([[0.25, 0.75005]])
    made = FirstOrderDataGenerator(lambda batch: batch, backend="numpy", batch_size=2)
    store = made.generate_distributions(rows, progress=False, out=tmp_path / "a.fod", shard_megabytes=1e-6)
    assert store.meta["normalised_rows"] == 3
    sorted((tmp_path / "a.fod/shards").iterdir())[2].unlink()
    again = made.generate_distributions(rows, progress=False, out=tmp_path / "a.fod", shard_megabytes=1e-6)
    assert again.meta["normalised_rows"] == 3
    save(tmp_path / "b.fod", again)
    assert load(tmp_path / "b.fod")[1]["normalised_rows"] == 3
    plain = made.generate_distributions(rows[:1], progress=False, out=tmp_path / "c.fod")
    assert "normalised_rows" not in plain.meta


@pytest.mark.parametrize("suffix", ["json", "npz", "parquet", "safetensors", "fod"])
@pytest.mark.parametrize(
    "labels",
    [
        np.array(["a", "bc", "d", "e"], object),
        np.array([b"a", b"bc", b"d", b"e"]),
        ["a", None, "c", ""],
        ["a", np.nan, "c", "d"],
        [0.0, np.nan, 2.0, 3.5],
        [0, None, 2, 3],
        [None] * 4,
    ],
)
def test_every_format_keeps_the_same_labels(tmp_path, suffix, labels):
    given = Distributions(np.eye(4), labels=labels)
    save(tmp_path / f"a.{suffix}", given)
    found = load(tmp_path / f"a.{suffix}")[0].labels
    kinds = {"U": "U", "S": "U"}
    assert kinds.get(found.dtype.kind, found.dtype.kind) == given.labels.dtype.kind
    np.testing.assert_array_equal(found, given.labels)


@pytest.mark.parametrize(
    ("first", "second"), [("a", None), (None, "b"), (3, None), (None, 4), (0.5, None), ("a", "bcd")]
)
@pytest.mark.parametrize("megabytes", [64, 1e-6])
def test_rows_without_a_label_stay_such_in_a_run_to_a_store(tmp_path, first, second, megabytes):
    samples = [(row, first if index < 2 else second) for index, row in enumerate(np.eye(4))]
    made = FirstOrderDataGenerator(lambda batch: batch, backend="numpy", batch_size=2)
    found = made.generate_distributions(samples, progress=False, out=tmp_path / "a.fod", shard_megabytes=megabytes)
    memory = made.generate_distributions(samples, progress=False)
    assert memory.labels is not None
    np.testing.assert_array_equal(found.labels, memory.labels)
    assert found.labels.dtype.kind == memory.labels.dtype.kind


def test_an_existing_store_is_not_written_over(tmp_path):
    save(tmp_path / "a.fod", {0: [1.0]})
    with pytest.raises(FileExistsError, match="exists; remove it first"):
        save(tmp_path / "a.fod", {0: [1.0]})
    with pytest.raises(TypeError):
        save(tmp_path / "b.fod", {0: [1.0]}, {"model": object()})
    assert os.listdir(tmp_path) == ["a.fod"]


def test_the_json_files_are_canonical_and_sealed(tmp_path):
    stores.run(tmp_path / "a.fod", model_name="Zürich")
    for name in ("spec.json", "manifest.json"):
        text = (tmp_path / "a.fod" / name).read_text(encoding="ascii")
        content = json.loads(text)
        assert text == json.dumps(content, sort_keys=True, separators=(",", ":")) + "\n" or name == "spec.json"
        assert next(iter(content)) == "checksum"
        assert (tmp_path / "a.fod" / name).stat().st_mode & 0o777 == 0o444


GOLDEN = Path(__file__).parent / "golden" / "schema1.fod"
GOLDEN_ROWS = [[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.125, 0.125, 0.75], [1.0, 0.0, 0.0], [0.25, 0.5, 0.25]]


def test_a_store_of_every_released_schema_is_read(tmp_path):
    store = open_store(GOLDEN)
    store.verify()
    assert store.spec.schema == 1
    assert store.probabilities.tolist() == GOLDEN_ROWS
    assert store.labels.tolist() == ["cat", "dog", "Zürich", "cat", "dog"]
    assert store.sample_keys.tolist() == ["a.png", "b.png", "c.png", "d.png", "e.png"]
    assert store.class_names == ["x", "y", "z"]
    assert [len(block) for _, block in store.blocks()] == [2, 2, 1]
    # And what is written today is the same, but for what is random: the id of the store, and so the checksums.
    written = write_golden(tmp_path / "schema1.fod")
    assert sorted(os.listdir(written / "shards")) == sorted(os.listdir(GOLDEN / "shards"))
    for name in os.listdir(GOLDEN / "shards"):
        then, now = (layout.read_file(path / "shards" / name)[0] for path in (GOLDEN, written))
        assert then.tensors == now.tensors
        assert then.metadata.keys() == now.metadata.keys()
        assert (GOLDEN / "shards" / name).stat().st_size == (written / "shards" / name).stat().st_size


def write_golden(path):
    """Write the golden store; a new schema gets one of its own, and the old ones stay."""
    labels = np.array(["cat", "dog", "Zürich", "cat", "dog"])
    keys = key_array([f"{letter}.png" for letter in "abcde"])
    with StoreWriter(path, {"model": {"name": "golden"}}, "float32", Limits(2 * 12 / 2**20, 1e9), keys) as writer:
        writer.begin(3, {"class_names": ["x", "y", "z"], "model_name": "golden"}, rows=5, decided="probs")
        for row in range(5):
            writer.append(row, np.array(GOLDEN_ROWS[row : row + 1], np.float32), labels[row : row + 1])
        writer.finish(5)
    return path


def test_a_header_that_needs_more_room_than_was_left_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "ROOM", 256)
    assert stores.agrees(stores.run(tmp_path / "a.fod"))
    open_store(tmp_path / "a.fod").verify()


def test_foreign_safetensors_files(tmp_path):
    from safetensors.numpy import save_file

    save_file({"probs": rows(2, 3)}, tmp_path / "a.safetensors")
    with pytest.raises(StoreError, match=r"a.safetensors"):
        load(tmp_path / "a.safetensors")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "b.safetensors")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "b.fod")


def test_large_offsets(disk_path):
    """A sparse shard of more than 4 GB, whose last tensor lies beyond 2**32."""
    count = 2**32 + 2**20
    pieces = layout.pieces({"probs": np.zeros((4, 2), np.float32), "labels": np.arange(4)}, {})
    text = bytes(pieces[0])[8 + layout.START :].rstrip(b" ").decode()
    text = text.replace('"shape":[4,2],"data_offsets":[0,32]', f'"shape":[{count // 8},2],"data_offsets":[0,{count}]')
    text = text.replace('"_padding1":{"dtype":"U8","shape":[32],"data_offsets":[32,64]},', "")
    text = text.replace('"data_offsets":[64,96]', f'"data_offsets":[{count},{count + 32}]')
    rest = text.encode() + b" " * (-(8 + layout.START + len(text)) % 64)
    import zlib

    length = (layout.START + len(rest)).to_bytes(8, "little")
    path = disk_path / "a.safetensors"
    with path.open("wb") as file:
        file.write(length + layout.OPENING + b"%08x" % zlib.crc32(length + rest) + rest)
        start = file.tell()
        file.seek(start + count)
        file.write(np.arange(4).tobytes())
    _, tensors = layout.read_file(path, checked=False)
    assert tensors["labels"].tolist() == [0, 1, 2, 3]
    assert len(tensors["probs"]) == count // 8
