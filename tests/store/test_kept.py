"""Members, logits and layers in a store: in every encoding, continued after any end, read without all of them."""

import json

import numpy as np
import pytest

from probly.data_generator import Distributions, FirstOrderDataGenerator, InvalidOutputError, StoreError
from probly.data_generator.hookspecs import hookimpl
from probly.data_generator.store import load, open_partial, open_store, save
from probly.data_generator.toolkit.loaders import SimpleDataLoader
from probly_data_generator_store import layout
from probly_data_generator_store.encodings import encoding_of
from probly_data_generator_store.kept import Kept
from probly_data_generator_store.writer import StoreWriter

RANDOM = np.random.default_rng(3)
X = RANDOM.normal(size=(43, 4))
WEIGHTS = RANDOM.normal(size=(3, 4, 6))
MODELS = [lambda inputs, weights=weights: inputs @ weights for weights in WEIGHTS]
LOGITS = np.einsum("nf,mfk->nmk", X, WEIGHTS)
EXPECTED = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=2, keepdims=True)
ENCODINGS = ["float32", "float16", "top-2"]


class Noise:
    """Something random for the agnostic backend, from the seed alone."""

    def __init__(self, hook):
        self.hook = hook

    @hookimpl(tryfirst=True)
    def stochastic_forward(self, model, inputs, batch_size, seed):
        noise = np.random.default_rng(seed).normal(size=inputs.shape)
        return self.hook.forward(model=model, inputs=inputs + noise, batch_size=batch_size)


def run(
    path,
    model=MODELS,
    data=X,
    *,
    keep=("logits",),
    encoding="float32",
    probe=True,
    shard=2e-3,
    progress=False,
    **options,
):
    options = {"backend": "numpy", "batch_size": 5, "output_mode": "logits", "model_name": "same", **options}
    made = FirstOrderDataGenerator(model, **options)
    return made.generate_distributions(
        data, progress=progress, keep=keep, out=path, encoding=encoding, shard_megabytes=shard, probe=probe
    )


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_members_are_kept_as_the_rows_are_and_logits_in_full(tmp_path, encoding):
    store = run(tmp_path / "a.fod", encoding=encoding)
    assert len(list((tmp_path / "a.fod" / "shards").iterdir())) >= 3
    kept = encoding_of(encoding)
    encoded = kept.encode(EXPECTED.reshape(-1, 6).astype(np.float32))
    np.testing.assert_allclose(
        np.asarray(store.members), kept.decode(encoded, slice(None), 6).reshape(43, 3, 6), atol=1e-6
    )
    np.testing.assert_allclose(store.columns["logits"], LOGITS, rtol=1e-5, atol=1e-6)
    assert store.columns["logits"].shape == (43, 3, 6)
    assert open_store(tmp_path / "a.fod") == store
    open_store(tmp_path / "a.fod").verify()


def test_a_column_is_read_by_rows(tmp_path):
    logits, whole = run(tmp_path / "a.fod").columns["logits"], LOGITS.astype(np.float32)
    for rows in (
        3,
        -1,
        slice(None),
        slice(40, 2, -3),
        [7, 3, 7, 42],
        np.array([[0, 9], [41, 1]]),
        X[:, 0] > 0,
        slice(9, 9),
    ):
        np.testing.assert_allclose(logits[rows], whole[rows], rtol=1e-5, atol=1e-6)
    for rows in (
        (slice(5, 9), 1),
        (slice(9, 2, -2), [0, 2]),
        (7, 1),
        (-1, slice(1, 3), 0),
        ([4, 9, 4], [0, 2, 1]),
        (np.array([3, 8]), slice(None), [0, 5]),
        (X[:, 0] > 0, 2),
        (..., 0),
        (None, 2),
    ):
        np.testing.assert_allclose(logits[rows], whole[rows], rtol=1e-5, atol=1e-6)
    with pytest.raises(IndexError):
        logits[43]
    assert (len(logits), logits.ndim, logits.dtype) == (43, 3, np.float32)
    with pytest.raises(ValueError, match="is read from the disk"):
        np.array(logits, copy=False)


def test_the_first_rows_come_with_their_columns(tmp_path):
    store = run(tmp_path / "a.fod")
    head = store.head(7)
    np.testing.assert_array_equal(head.members, store.members[:7])
    assert isinstance(head, Distributions)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("options", [{}, {"model": MODELS[0], "passes": 3, "wrappers": [Noise]}])
def test_what_is_continued_is_byte_by_byte_what_one_run_writes(tmp_path, encoding, options):
    def pull_the_plug(progress):
        if progress.rows >= 30:
            raise RuntimeError("the plug was pulled")

    whole = run(tmp_path / "whole.fod", encoding=encoding, **options)
    with pytest.raises(RuntimeError, match="the plug"):
        run(tmp_path / "part.fod", encoding=encoding, progress=pull_the_plug, **options)
    assert 0 < len(open_partial(tmp_path / "part.fod")) < 43
    again = run(tmp_path / "part.fod", encoding=encoding, **options)
    np.testing.assert_array_equal(np.asarray(again.members), np.asarray(whole.members))
    np.testing.assert_array_equal(np.asarray(again.columns["logits"]), np.asarray(whole.columns["logits"]))
    assert again == whole


def test_a_store_of_other_columns_or_passes_is_refused(tmp_path):
    run(tmp_path / "a.fod")
    with pytest.raises(StoreError, match=r"keep: the store has \['logits'\], this run has None"):
        run(tmp_path / "a.fod", keep=())
    run(tmp_path / "b.fod", MODELS[0], passes=3, wrappers=[Noise], keep=())
    for name, options in [("seed", {"seed": 1}), ("count", {"passes": 2}), ("batch_size", {"batch_size": 6})]:
        with pytest.raises(StoreError, match=f"{name}: the store has"):
            run(tmp_path / "b.fod", MODELS[0], keep=(), **{"passes": 3, "wrappers": [Noise], **options})
    with pytest.raises(StoreError, match="models: the store has"):
        run(tmp_path / "a.fod", MODELS[:2])


def test_the_size_of_the_batches_belongs_to_passes_of_any_model_and_is_the_loaders(tmp_path):
    def of_list():
        own = {"backend": "numpy", "output_mode": "logits"}
        drawing = FirstOrderDataGenerator(MODELS[1], passes=2, wrappers=[Noise], **own)
        return [FirstOrderDataGenerator(MODELS[0], **own), drawing]

    run(tmp_path / "a.fod", of_list(), output_mode="auto")
    with pytest.raises(StoreError, match="batch_size: the store has 5, this run has 4"):
        run(tmp_path / "a.fod", of_list(), output_mode="auto", batch_size=4)
    options = {"model": MODELS[0], "passes": 2, "wrappers": [Noise]}
    run(tmp_path / "b.fod", data=SimpleDataLoader(X, 8), **options)
    with pytest.raises(StoreError, match="batch_size: the store has 8, this run has 4"):
        run(tmp_path / "b.fod", data=SimpleDataLoader(X, 4), **options)
    run(tmp_path / "b.fod", data=SimpleDataLoader(X, 8), batch_size=7, **options)  # which no loader listens to


def test_another_model_of_the_list_is_refused(tmp_path):
    run(tmp_path / "a.fod")
    with pytest.raises(StoreError, match="models: the store has"):
        run(tmp_path / "a.fod", [MODELS[0], MODELS[2], MODELS[1]])


def test_other_columns_than_those_of_the_store_are_refused(tmp_path):
    columns = {"members": Kept("<f4", (3, 2))}
    with StoreWriter(tmp_path / "a.fod", {}) as writer:
        writer.begin(2, {}, rows=4, decided=None, columns=columns)
    with StoreWriter(tmp_path / "a.fod", {}) as writer:
        writer.begin(2, {}, rows=4, decided=None, columns=columns)
        with pytest.raises(InvalidOutputError, match="expected the columns"):
            writer.begin(2, {}, rows=4, decided=None, columns={"members": Kept("<f4", (2, 2))})


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_member_that_was_never_one_is_found_by_verify(tmp_path, encoding):
    store = run(tmp_path / "a.fod", encoding=encoding, shard=64)
    [shard] = (tmp_path / "a.fod" / "shards").iterdir()
    header, tensors = layout.read_file(shard)
    tensors = {name: tensor.copy() for name, tensor in tensors.items() if not name.startswith("_padding")}
    tensors["members.probs"][11, 2] = 0.75
    metadata = {name: value for name, value in header.metadata.items() if name not in ("checksum", "data_checksum")}
    shard.write_bytes(b"".join(bytes(piece) for piece in layout.pieces(tensors, metadata)))
    (tmp_path / "a.fod" / "manifest.json").unlink()
    with pytest.raises(StoreError, match="its row 11, member 2: it sums to"):
        open_partial(tmp_path / "a.fod").verify()
    assert store is not None


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (["<f4", [10**12, 0]], "at most 67108864 numbers per row"),
        (["<f4", [-1]], "at most"),
        (["object", [3]], "expected a dtype and the shape"),
        (["<f4", 3], "expected a dtype and the shape"),
        ("<f4", "expected a dtype and the shape"),
        (["<f4", [4]], r"expected float32\[43, 4\]|expected <f4\[43, 4\]"),
    ],
)
def test_a_forged_description_is_refused(tmp_path, entry, message):
    from probly_data_generator_store.spec import seal, unseal

    run(tmp_path / "a.fod", shard=64)
    path = tmp_path / "a.fod" / "spec.json"
    spec = unseal(path)
    spec["columns"] = {"logits": entry}
    path.write_bytes(seal(spec))
    with pytest.raises(StoreError, match=message):
        open_store(tmp_path / "a.fod").verify()


def test_stores_without_columns_are_what_they_were(tmp_path):
    run(tmp_path / "a.fod", MODELS[0], keep=())
    spec = json.loads((tmp_path / "a.fod" / "spec.json").read_bytes())
    assert spec["schema"] == 1
    assert "columns" not in spec
    run(tmp_path / "b.fod")
    assert json.loads((tmp_path / "b.fod" / "spec.json").read_bytes())["schema"] == 2


@pytest.mark.parametrize("suffix", [".fod", ".npz", ".safetensors", ".parquet", ".json", ".pt"])
def test_every_format_keeps_columns(tmp_path, suffix):
    columns = {"members": EXPECTED, "logits": LOGITS, "fold": np.arange(43) % 5, "features:a/b": X.astype(np.float32)}
    columns["members"] = columns["members"].astype(np.float32)
    whole = Distributions(EXPECTED.mean(axis=1), np.arange(43) * 2, np.arange(43) % 6, columns=columns)
    save(tmp_path / f"a{suffix}", whole)
    found, _ = load(tmp_path / f"a{suffix}")
    assert found == whole
    assert set(found.columns) == set(columns)
    for name, column in columns.items():
        np.testing.assert_array_equal(np.asarray(found.columns[name]), column)
        assert found.columns[name].dtype == column.dtype
    save(tmp_path / f"b{suffix}", found)  # of a store, block by block
    assert load(tmp_path / f"b{suffix}")[0].columns["logits"].shape == (43, 3, 6)


def test_columns_of_text_fit_no_store(tmp_path):
    whole = Distributions(np.ones((3, 1)), columns={"name": np.array(["a", "b", "c"])})
    with pytest.raises(TypeError, match="columns: 'name': expected numbers"):
        save(tmp_path / "a.fod", whole)
    assert not (tmp_path / "a.fod").exists()


@pytest.mark.parametrize("suffix", [".fod", ".npz", ".safetensors", ".parquet", ".json", ".pt"])
def test_no_rows_of_some_classes_are_kept_by_every_format(tmp_path, suffix):
    save(tmp_path / f"a{suffix}", Distributions(np.zeros((0, 3), np.float32)))
    assert len(load(tmp_path / f"a{suffix}")[0]) == 0


@pytest.mark.parametrize("suffix", ["npz", "fod"])
def test_members_are_distributions_in_float32_as_the_rows_are(tmp_path, suffix):
    members = np.array([[[0.5, 0.5], [1.0, -1e-7]], [[0.25, 0.75], [0.1, 0.9]]])
    made = Distributions(members.mean(axis=1), [7, 3], columns={"members": members})
    assert made.members.dtype == np.float32
    np.testing.assert_array_equal(made.members[0], np.float32([[0.25, 0.75], [0.1, 0.9]]))
    save(tmp_path / f"a.{suffix}", made)
    np.testing.assert_array_equal(load(tmp_path / f"a.{suffix}")[0].members, made.members)
