"""What a later run must have in common with the first one: differences are refused by name."""

import numpy as np
import pytest

from probly.data_generator import StoreError
from probly.data_generator.run.identity import SAMPLES
from tests.store import stores
from tests.store.stores import Images, shard


class Renamed(stores.Linear):
    pass


def other_labels():
    return (stores.INPUTS, stores.LABELS[::-1])


def changed(inputs):
    return inputs


def swapped():
    inputs = stores.INPUTS.copy()
    inputs[[3, 4]] = inputs[[4, 3]]
    return inputs, stores.LABELS


@pytest.mark.parametrize(
    ("data", "options", "says"),
    [
        (stores.DATA, {"model": stores.Linear(2.5)}, "model digest: the store has 'sha256:"),
        (stores.DATA, {"model": Renamed()}, "model type: the store has 'Linear', this run has 'Renamed'"),
        (stores.DATA, {"model_name": "b"}, "model name: the store has None, this run has 'b'"),
        (stores.DATA, {"output_mode": "logits"}, "output_mode: the store has 'auto', this run has 'logits'"),
        (stores.DATA, {"class_names": ["a", "b", "c"]}, "class_names: the store has None"),
        (stores.DATA, {"output_transform": changed}, "output_transform: the store has None, this run has .*changed"),
        (stores.DATA, {"input_getter": changed}, "input_getter: the store has None"),
        (stores.DATA, {"encoding": "float16"}, "encoding: the store has 'float32', this run has 'float16'"),
        (stores.DATA, {"representation": "top-2"}, "encoding"),
        (swapped(), {}, "dataset content 0: the store has 'float32.*sha256"),
        (other_labels(), {}, "dataset content 1"),
        ((stores.INPUTS[:-1], stores.LABELS[:-1]), {}, r"dataset content 0: .*\[43, 3\].*\[42, 3\]"),
        ((stores.INPUTS[::-1], stores.LABELS), {}, "dataset content 0"),
        ((stores.INPUTS.astype(float), stores.LABELS), {}, "float64"),
        (Images(), {}, "dataset type: the store has 'arrays', this run has 'Images'"),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_another_identity_is_refused_by_name(tmp_path, data, options, says, finished):
    path = tmp_path / "a.fod"
    stores.run(path)
    if not finished:
        (path / "manifest.json").unlink()
        shard(path, 2).unlink()
    before = sorted(path.rglob("*"))
    with pytest.raises(StoreError, match=f"was begun by another run; .*{says}.*Undo the change"):
        stores.run(path, data, **options)
    assert sorted(path.rglob("*")) == before


@pytest.mark.parametrize("change", ["swap", "replace", "remove"])
def test_samples_are_told_apart_too(tmp_path, change):
    inputs, labels = stores.INPUTS.copy(), stores.LABELS
    first = Images(inputs[:SAMPLES], labels[:SAMPLES])
    second = Images(inputs[:SAMPLES].copy(), labels[:SAMPLES])
    if change == "swap":
        second.inputs[[1, 2]] = second.inputs[[2, 1]]
    elif change == "replace":
        second.inputs[7] += 1e-6
    else:
        second = Images(inputs[: SAMPLES - 1], labels[: SAMPLES - 1])
    stores.run(tmp_path / "a.fod", first)
    with pytest.raises(StoreError, match=r"dataset (content|length)"):
        stores.run(tmp_path / "a.fod", second)


def test_a_function_without_visible_weights_says_so(tmp_path):
    with pytest.warns(UserWarning, match=r"a\.fod: what the model learned cannot be seen: set model_name .* the probe"):
        store = stores.run(tmp_path / "a.fod", model=np.asarray)
    assert store.spec.identity["model"]["digest"] == "not seen"
    assert store.meta["not_seen"] == ["model"]
    weights = np.eye(3, dtype=np.float32)
    store = stores.run(tmp_path / "b.fod", model=lambda inputs: inputs @ weights)
    assert store.spec.identity["model"]["digest"].startswith("sha256:")
    assert "lambda" in store.spec.identity["model"]["type"]
    assert "not_seen" not in store.meta


@pytest.mark.parametrize("path", ["a.json", "a", "fod"])
def test_a_store_is_called_fod(tmp_path, path):
    with pytest.raises(ValueError, match=r"ends in \.fod"):
        stores.run(tmp_path / path)


@pytest.mark.parametrize("limits", [{"shard_megabytes": 0}, {"shard_seconds": -1}, {"shard_megabytes": float("nan")}])
def test_limits_are_positive(tmp_path, limits):
    with pytest.raises(ValueError, match="expected more than 0"):
        stores.run(tmp_path / "a.fod", **limits)


@pytest.mark.parametrize("texts", [["cat", "dog"], ["cat", None], [["a"], ["b", "c"]]])
def test_columns_of_text_are_told_apart_by_what_they_say(tmp_path, texts):
    labels = [*texts] * 21 + texts[:1]
    first = stores.run(tmp_path / "a.fod", (stores.INPUTS, labels))
    assert stores.run(tmp_path / "a.fod", (stores.INPUTS, list(labels))).spec == first.spec
    (tmp_path / "a.fod" / "manifest.json").unlink()
    with pytest.raises(StoreError, match="dataset content 1: the store has"):
        stores.run(tmp_path / "a.fod", (stores.INPUTS, [*labels[:-1], texts[1]]))
