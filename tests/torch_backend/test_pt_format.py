"""Files of tensors: a format that the core finds by its entry point."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from probly.data_generator import Distributions, FirstOrderDataGenerator, StoreError
from probly.data_generator.formats import choosing
from probly.data_generator.torch_first_order_generator import load_distributions_pt, save_distributions_pt
from probly_data_generator_torch import pt_format
from tests.torch_backend.support import EXPECTED, LABELS, TENSORS, build, run

GOLDEN = Path(__file__).parents[1] / "formats" / "golden"


@pytest.mark.parametrize(
    ("name", "indices", "labels"),
    [("numbers", range(5), [0, 2, 1, 1, 0]), ("texts", [3, 5, 8, 13, 21], ["cat", "horse", "dög", "dog", "cat"])],
)
def test_files_of_version_0_1_are_read(name, indices, labels):
    distributions, meta = choosing.load(GOLDEN / f"{name}.pt")
    np.testing.assert_array_equal(distributions.probabilities, np.load(GOLDEN / "expected_rows.npy"))
    assert distributions.probabilities.dtype == np.float32
    np.testing.assert_array_equal(distributions.indices, indices)
    np.testing.assert_array_equal(distributions.labels, labels)
    assert meta["model_name"] == "golden"
    assert meta["class_names"] == ["cat", "dog", "horse"]
    assert distributions.meta == meta


@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_the_core_finds_the_format_by_its_suffix(suffix, tmp_path):
    assert suffix in choosing.suffixes()
    path, distributions = tmp_path / "folder" / f"a{suffix}", run(TENSORS)
    generator = FirstOrderDataGenerator(build())
    generator.save_distributions(path, distributions, meta={"note": 1})
    for loaded, meta in (generator.load_distributions(path), load_distributions_pt(path)):
        assert loaded == distributions
        np.testing.assert_array_equal(loaded.labels, LABELS)
        assert meta == {**distributions.meta, "note": 1}
    assert torch.load(path, weights_only=True)["distributions"].shape == (50, 3), "tensors, for whoever has torch alone"


def test_rows_cannot_be_streamed_to_it(tmp_path):
    with pytest.raises(ValueError, match=r"rows cannot be streamed to \.pt"):
        run(TENSORS, out=tmp_path / "a.pt")


IMPORTS = """
import sys
from probly.data_generator.formats import choosing

assert choosing.format_of("a.pt").__name__ == "probly_data_generator_torch.pt_format"
sys.exit("torch" in sys.modules)
"""


def test_torch_is_not_imported_before_a_file_is_opened():
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)


def test_the_promised_functions(tmp_path):
    distributions = run(TENSORS)
    for name in ("a.pt", "a.pth"):
        save_distributions_pt(tmp_path / name, distributions, meta={"note": 1})
        loaded, meta = load_distributions_pt(str(tmp_path / name))
        assert loaded == distributions
        assert meta == {**distributions.meta, "note": 1}
        np.testing.assert_array_equal(loaded.labels, LABELS)
    save_distributions_pt(tmp_path / "b.pt", {3: [0.5, 0.5]})
    assert load_distributions_pt(tmp_path / "b.pt")[0] == {3: [0.5, 0.5]}


def test_they_are_for_pt_files(tmp_path):
    with pytest.raises(ValueError, match=r"expected one of the suffixes .pt, .pth, got '.json'"):
        save_distributions_pt(tmp_path / "a.json", {0: [1.0]})
    with pytest.raises(ValueError, match=r"got '.npz'"):
        load_distributions_pt(tmp_path / "a.npz")
    with pytest.raises(FileNotFoundError):
        load_distributions_pt(tmp_path / "a.pt")


def test_files_that_hold_something_else_are_refused(tmp_path):
    torch.save({"something": torch.zeros(2)}, tmp_path / "other.pt")
    torch.save(build(), tmp_path / "model.pt")
    torch.save(build().state_dict(), tmp_path / "weights.pt")
    torch.save({"distributions": [[1.0]], "indices": [0], "labels": None, "meta": {}}, tmp_path / "lists.pt")
    (tmp_path / "garbage.pt").write_bytes(b"\x80\x04garbage")
    for name in ("other.pt", "model.pt", "weights.pt", "lists.pt", "garbage.pt"):
        with pytest.raises(StoreError, match=f"{name}: not a file of distributions"):
            choosing.load(tmp_path / name)


class Runs:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_no_code_is_run_from_a_file(tmp_path):
    torch.save(Runs(tmp_path / "ran"), tmp_path / "a.pt")
    with pytest.raises(StoreError, match=r"a\.pt: not a file of distributions"):
        choosing.load(tmp_path / "a.pt")
    assert not (tmp_path / "ran").exists()
    torch.load(tmp_path / "a.pt", weights_only=False)
    assert (tmp_path / "ran").exists(), "there was code to run"


def test_every_truncation_is_noticed(tmp_path):
    path = tmp_path / "a.pt"
    save_distributions_pt(path, Distributions(EXPECTED[:3]))
    content = path.read_bytes()
    for length in range(0, len(content), 37):
        path.write_bytes(content[:length])
        with pytest.raises(StoreError):
            load_distributions_pt(path)


def test_it_holds_any_metadata_and_labels_that_the_other_formats_hold(tmp_path):
    path = tmp_path / "a.pt"
    meta = {"accuracy": np.float32(0.5), "source": tmp_path, "pair": (1, 2), "array": np.arange(2)}
    lists = (["cat", "horse", "dog"], [1, 2, 3], [0.5, 1, 2], [True, False, True])
    for labels in (*map(np.array, lists), None):
        save_distributions_pt(path, Distributions(EXPECTED[:3], labels=labels), meta=meta)
        loaded, read = load_distributions_pt(path)
        assert read == {"accuracy": 0.5, "source": str(tmp_path), "pair": [1, 2], "array": [0, 1]}
        if labels is None:
            assert loaded.labels is None
        else:
            np.testing.assert_array_equal(loaded.labels, labels)
            assert loaded.labels.dtype.kind == labels.dtype.kind
    save_distributions_pt(path, Distributions(EXPECTED[:2], labels=np.array(["cat", "dog"], dtype=object)))
    np.testing.assert_array_equal(load_distributions_pt(path)[0].labels, ["cat", "dog"])


def test_what_cannot_be_read_back_is_not_written(tmp_path):
    path = tmp_path / "a.pt"
    with pytest.raises(TypeError, match="expected labels that are numbers or text"):
        save_distributions_pt(path, Distributions(EXPECTED[:2], labels=np.array(["2026-01-01"] * 2, "datetime64[D]")))
    with pytest.raises(TypeError, match="object") as caught:
        save_distributions_pt(path, {0: [0.5, 0.5]}, meta={"x": object()})
    assert "nothing written" in caught.value.__notes__[0]
    assert not path.exists()


def test_the_object_is_what_the_contract_asks_for(tmp_path):
    distributions = Distributions(EXPECTED[:3], labels=LABELS[:3])
    pt_format.write(tmp_path / "a.pt", distributions, {"only": "this"})
    assert pt_format.read(tmp_path / "a.pt") == distributions
    assert pt_format.read(tmp_path / "a.pt").meta == {"only": "this"}
