"""Files that versions 0.1 and 0.2 wrote; those of torch are read with its backend's tests."""

from pathlib import Path

import numpy as np
import pytest

from probly.data_generator.formats.choosing import load

GOLDEN = Path(__file__).parent / "golden"
ROWS = np.load(GOLDEN / "expected_rows.npy")
EVERY = (".json", ".npz", ".parquet", ".safetensors", ".fod")


def check_origin(meta):
    assert meta["model_name"] == "golden"
    assert meta["class_names"] == ["cat", "dog", "horse"]
    assert (meta["backend"], meta["num_classes"], meta["output_mode"]) == ("numpy", 3, "logits")
    assert meta["versions"]["probly-data-generator"] == "0.1.0"


@pytest.mark.parametrize("suffix", EVERY)
def test_rows_with_numbers_as_labels(suffix):
    found, meta = load(GOLDEN / f"numbers{suffix}")
    assert np.asarray(found).tobytes() == ROWS.tobytes()
    assert found.indices.tolist() == [0, 1, 2, 3, 4]
    assert found.labels.tolist() == [0, 2, 1, 1, 0]
    assert found.labels.dtype.kind == "i"
    assert meta["split"] == "test"
    check_origin(meta)


@pytest.mark.parametrize("suffix", EVERY)
def test_rows_with_gaps_and_texts_as_labels(suffix):
    found, meta = load(GOLDEN / f"texts{suffix}")
    assert found.indices.tolist() == [3, 5, 8, 13, 21]
    assert found.gather([3, 5, 8, 13, 21]).tobytes() == ROWS.tobytes()
    assert found.labels.tolist() == ["cat", "horse", "dög", "dog", "cat"]
    assert 4 not in found
    check_origin(meta)


@pytest.mark.parametrize(
    ("name", "encoding", "keys"), [("run_float16", "float16", list("abcde")), ("run_top2", "top-2", None)]
)
def test_the_stores_of_runs(name, encoding, keys):
    found, meta = load(GOLDEN / f"{name}.fod")
    found.verify()
    assert found.spec.encoding == encoding
    assert (found.sample_keys is None) == (keys is None)
    if keys is not None:
        assert found.sample_keys.tolist() == keys
    # Half precision keeps 11 bits; of three classes, the mass of the others is the third one's.
    np.testing.assert_allclose(np.asarray(found), ROWS, rtol=2**-11, atol=0)
    np.testing.assert_allclose(np.asarray(found).sum(axis=1), 1, atol=1e-6)
    assert found.labels.tolist() == [0, 2, 1, 1, 0]
    check_origin(meta)


@pytest.mark.parametrize("suffix", [".json", ".npz", ".parquet", ".feather", ".csv", ".safetensors"])
def test_rows_with_sample_keys(suffix):
    found, meta = load(GOLDEN / f"keys{suffix}")
    assert found.gather([3, 5, 8, 13, 21]).tobytes() == ROWS.tobytes()
    assert found.labels.tolist() == [0, 2, 1, -1, 0]
    assert found.sample_keys.tolist() == ["cat/1.png", "horse/2.png", "dög/3.png", "4.png", "cat/5.png"]
    assert meta == {"class_names": ["cat", "dog", "horse"], "model_name": "golden"}
    assert found.digest
