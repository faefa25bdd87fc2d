"""Keys of the samples, such as file names, beside their rows."""

import os

import numpy as np
import pytest

from probly.data_generator import AlignmentError, Distributions, StoreError, label_values
from probly.data_generator.formats import json as json_format
from probly.data_generator.store import open_partial, open_store
from tests.store import stores
from tests.store.stores import shard

NAMES = [f"n{number:03}.JPEG" for number in range(stores.ROWS)]


@pytest.mark.parametrize("keys", [NAMES, np.array(NAMES), list(range(100, 100 + stores.ROWS))], ids=type)
def test_keys_stand_beside_the_rows(tmp_path, keys):
    path = tmp_path / "a.fod"
    assert stores.run(path, keys=keys).sample_keys.tolist() == list(keys)
    shard(path, 3).unlink()
    shard(path, 1).unlink()
    partial = open_partial(path) if not (path / "manifest.json").unlink() else None
    assert partial.sample_keys.tolist() == [keys[index] for index in partial]
    store = stores.run(path, keys=keys)
    assert stores.agrees(store)
    assert store.sample_keys.tolist() == list(keys)
    store.verify()
    assert open_store(path).sample_keys.tolist() == list(keys)
    stores.run(path, keys=keys)


def test_a_store_without_keys_says_so(tmp_path):
    assert stores.run(tmp_path / "a.fod").sample_keys is None


def test_other_keys_are_refused(tmp_path):
    path = tmp_path / "a.fod"
    stores.run(path, keys=NAMES)
    for finished in (True, False):
        for keys in (None, NAMES[::-1], NAMES[:-1], list(range(stores.ROWS))):
            with pytest.raises(StoreError, match="keys: the store has '43 sha256"):
                stores.run(path, keys=keys)
        if finished:
            (path / "manifest.json").unlink()
            shard(path, 2).unlink()


def samples():
    return zip(*stores.DATA, strict=True)


@pytest.mark.parametrize(
    ("data", "count", "computed"),
    [
        # A length that is announced is compared with the first rows, while the second batch is computed.
        (lambda: stores.DATA, 0, 0), (lambda: stores.DATA, 42, 10), (lambda: stores.DATA, 44, 10),
        # Else a batch beyond the keys is refused before it is computed; that keys are left over, only the end tells.
        (samples, 0, 0), (samples, 42, 40), (samples, 44, 43),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*cannot be seen")  # of the generator
def test_there_is_one_key_per_sample(tmp_path, data, count, computed):
    keys, counting = [str(number) for number in range(count)] or np.zeros(0, int), stores.Counting()
    with pytest.raises(AlignmentError, match=f"keys: expected one per sample, got {count}"):
        stores.run(tmp_path / "a.fod", data(), keys=keys, wrappers=[counting])
    assert counting.rows == computed


def in_memory(data, keys, **options):
    return stores.generator(**options).generate_distributions(data, keys=keys, progress=False)


def test_keys_stand_beside_the_rows_in_memory(tmp_path):
    assert in_memory(stores.DATA, NAMES).sample_keys.tolist() == NAMES
    assert in_memory(samples(), NAMES).sample_keys.tolist() == NAMES
    backwards = [(*sample, 42 - place) for place, sample in enumerate(samples())]
    found = in_memory(backwards, NAMES, index_getter=lambda sample: sample[2])
    assert found.sample_keys.tolist() == NAMES  # those of the indices, not of the order of arrival
    some = in_memory(backwards[33:36], NAMES, index_getter=lambda sample: sample[2])
    assert (some.indices.tolist(), some.sample_keys.tolist()) == ([7, 8, 9], NAMES[7:10])


@pytest.mark.parametrize("data", [lambda: stores.DATA, samples], ids=["arrays", "stream"])
@pytest.mark.parametrize("count", [0, 42, 44])
def test_in_memory_there_is_one_key_per_sample_too(data, count):
    with pytest.raises(AlignmentError, match=f"keys: expected one per sample, got {count} for a dataset of"):
        in_memory(data(), NAMES[:count] if count < 44 else [*NAMES, "more"])


def test_what_is_selected_from_a_store_with_a_gap_belongs_together(tmp_path):
    """Rows are counted with the gaps, columns and keys without them."""
    path = tmp_path / "a.fod"
    whole = stores.generator().generate_distributions(
        stores.DATA, progress=False, out=path, shard_megabytes=stores.TEN_ROWS / 2, keys=NAMES, keep=["logits"]
    )
    rows, logits = np.array(whole.probabilities), np.array(whole.columns["logits"])
    shard(path, 1).unlink()
    (path / "manifest.json").unlink()
    partial = open_partial(path)
    lost = partial.missing(43)[0]
    wanted = [42, 41, lost - 1, 0]
    part = partial.select(wanted)
    assert part.indices.tolist() == sorted(wanted)
    assert part.sample_keys.tolist() == [NAMES[index] for index in part]
    assert part.labels.tolist() == stores.DATA[1][part.indices].tolist()
    np.testing.assert_array_equal(part.gather(wanted), rows[wanted])
    np.testing.assert_array_equal(part.gather_column("logits", wanted), logits[wanted])
    np.testing.assert_array_equal(partial.gather_column("logits", wanted), logits[wanted])
    for action in (partial.select, partial.gather, lambda index: partial.gather_column("logits", index)):
        with pytest.raises(KeyError, match=f"No distribution for index {lost} "):
            action([lost])


@pytest.mark.parametrize("suffix", [".json", ".npz", ".safetensors", ".parquet", ".feather", ".csv", ".fod"])
@pytest.mark.parametrize("keys", [["a.png", "", "é/ü.png", "x" * 10**5], [3, 1, 2**40, 0]], ids=["text", "integers"])
def test_every_format_keeps_keys(tmp_path, suffix, keys):
    given = Distributions(np.float32([[0.25, 0.75]] * 4), [1, 4, 9, 16], [0, 1, 1, 0], sample_keys=keys)
    given.save(tmp_path / f"a{suffix}")
    found = Distributions.load(tmp_path / f"a{suffix}")
    assert found.sample_keys.tolist() == keys
    assert found == given
    assert found.select([9, 4]).sample_keys.tolist() == keys[1:3]
    assert found.labels.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("suffix", [".json", ".npz", ".safetensors", ".parquet", ".feather", ".csv", ".fod"])
def test_one_name_may_be_far_longer_than_the_others(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(label_values, "ROOM", 0)  # as if there were a million
    keys = [*map(str, range(100)), "x" * 1000]
    given = Distributions(np.full((101, 2), 0.5, np.float32), sample_keys=keys)
    assert given.sample_keys.dtype == object
    given.save(tmp_path / f"a{suffix}")
    assert Distributions.load(tmp_path / f"a{suffix}").sample_keys.tolist() == keys


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
def test_a_key_or_a_label_with_a_nul_is_not_cut(tmp_path, suffix):
    given = Distributions(np.eye(2), labels=["a\0b", "a"], sample_keys=["k\0 1", "k\0 2"])
    assert given.to_arrow()["sample_key"].to_pylist() == ["k\0 1", "k\0 2"]
    given.save(tmp_path / f"a{suffix}")
    assert Distributions.load(tmp_path / f"a{suffix}").labels.tolist() == ["a\0b", "a"]


@pytest.mark.parametrize("suffix", [".json", ".npz", ".safetensors", ".parquet", ".feather", ".fod"])
def test_no_rows_with_all_that_rows_may_have(tmp_path, suffix):
    rows = np.eye(2, dtype=np.float32)
    whole = Distributions(
        rows, labels=["a", "b"], sample_keys=["a", "b"], columns={"members": np.stack([rows, rows], 1)}
    )
    whole.select([]).save(tmp_path / f"a{suffix}")
    assert len(Distributions.load(tmp_path / f"a{suffix}")) == 0


@pytest.mark.parametrize("suffix", [".safetensors", ".fod"])
def test_labels_that_fit_no_tensor_are_refused_and_not_left_out(tmp_path, suffix):
    given = Distributions(np.eye(2), labels=np.array([["a", "b"], ["c", "d"]]))
    with pytest.raises(TypeError, match=rf"a{suffix}: labels of the dtype <U1 and the shape .* fit no tensor; nothing"):
        given.save(tmp_path / f"a{suffix}")
    assert not list(tmp_path.iterdir())
    given.save(tmp_path / "a.parquet")  # as the message says


def test_a_format_that_keeps_keys_but_no_columns_says_how_to_keep_the_keys(tmp_path):
    given = Distributions(np.eye(2), sample_keys=["a", "b"], columns={"logits": np.eye(2)})
    with pytest.raises(TypeError, match=r"\.csv does not keep the columns logits; .*, sample_keys=d\.sample_keys\)"):
        given.save(tmp_path / "a.csv")


def test_a_format_without_a_place_for_keys_refuses_them(tmp_path, monkeypatch):
    monkeypatch.delattr(json_format, "KEEPS_SAMPLE_KEYS")
    given = Distributions([[0.25, 0.75]], sample_keys=["a.png"])
    with pytest.raises(TypeError, match=r"a.json: .json does not keep sample keys; choose another format"):
        given.save(tmp_path / "a.json")
    Distributions(given.probabilities, given.indices, given.labels, given.meta).save(tmp_path / "a.json")


@pytest.mark.parametrize("keys", [[1.5] * 43, ["a", *range(42)], [[1]] * 43, [True] * 43, [None] * 43, [b"a"] * 43])
def test_keys_are_text_or_integers(tmp_path, keys):
    with pytest.raises(TypeError, match="keys: expected a list of text or of integers"):
        stores.run(tmp_path / "a.fod", keys=keys)
    with pytest.raises(TypeError, match="keys: expected a list of text or of integers"):
        stores.generator().generate_distributions(stores.DATA, keys=keys)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".parquet", ".csv", ".fod"])
def test_labels_that_are_no_numbers_of_others_are_refused_in_the_same_words(tmp_path, suffix):
    given = Distributions(np.eye(2), labels=np.array([1j, 2j]))
    with pytest.raises(TypeError, match="expected labels that are numbers or text, got complex128; nothing written"):
        given.save(tmp_path / f"a{suffix}")
    assert not list(tmp_path.iterdir())


def test_several_labels_of_which_one_is_missing_are_refused_where_json_would_lose_them(tmp_path):
    given = Distributions(np.eye(2), labels=[[np.nan, 1], [1, 2]])
    with pytest.raises(ValueError, match=r"labels: there are numbers that JSON does not know .*; save them as \.npz"):
        given.save(tmp_path / "a.json")
    given.save(tmp_path / "a.npz")
    np.testing.assert_array_equal(Distributions.load(tmp_path / "a.npz").labels, [[np.nan, 1], [1, 2]])


@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_infinite_labels_are_named_where_text_cannot_hold_them(tmp_path, suffix):
    given = Distributions(np.eye(2), labels=[1.5, np.inf])
    with pytest.raises(ValueError, match=r"labels: .*; save them as \.npz"):
        given.save(tmp_path / f"a{suffix}")
    assert not list(tmp_path.iterdir())
    given.save(tmp_path / "a.npz")
    assert Distributions.load(tmp_path / "a.npz").labels.tolist() == [1.5, np.inf]
