"""Files of tensors that are damaged, or that claim more than they hold."""

import tracemalloc
import zipfile

import numpy as np
import pytest
import torch

from probly.data_generator import Distributions, StoreError
from probly.data_generator.formats.choosing import load, save
from probly_data_generator_torch import pt_format
from tests.formats import damages

ROWS = torch.tensor([[0.25, 0.75], [0.5, 0.5]])
GOOD = {"meta": {}, "indices": torch.arange(2), "distributions": ROWS, "labels": None}
LONG = "a label that is far too long, " * 10_000


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")  # torch's reader says so of a damaged byte
def test_damage_gives_the_same_rows_or_a_store_error(tmp_path):
    found = damages.outcomes(tmp_path, ".pt", 300)
    assert found["refused"] > 150


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_without_the_digest_damage_is_silent(tmp_path, monkeypatch):
    """The test can tell: torch does not compare the checksums of its archive."""
    monkeypatch.setattr(
        pt_format, "compared", lambda *parts, **named: Distributions(*parts[:4], columns=parts[4], **named)
    )
    with pytest.raises(AssertionError, match="silently wrong"):
        damages.outcomes(tmp_path, ".pt", 2000)


def doubled(depth):
    nest = ["x"]
    for _ in range(depth):
        nest = [nest, nest]
    return nest


def endless():
    nest = []
    nest.append(nest)
    return nest


CLAIMS = {
    "rows of nothing": {"distributions": torch.empty((10**12, 0))},
    "rows that are one row": {"distributions": ROWS[:1].expand(10**9, 2)},
    "indices that are one": {"indices": torch.zeros(1, dtype=torch.int64).expand(10**10)},
    "labels that are one": {"labels": torch.zeros(1).expand(10**10)},
    "labels of nothing": {"labels": torch.empty((2, 10**12, 0))},
    "a list in itself": {"labels": endless()},
    "metadata in metadata": {"meta": {"a": doubled(60)}},
    "one text a million times": {"meta": {"a": [LONG] * 1000}},
}


@pytest.mark.parametrize("name", CLAIMS)
def test_claims_cost_no_memory(tmp_path, name):
    torch.save({**GOOD, **CLAIMS[name]}, tmp_path / "a.pt")
    assert (tmp_path / "a.pt").stat().st_size < 400_000
    tracemalloc.start()
    with pytest.raises(StoreError, match=r"a.pt: not a file of distributions: ValueError: its .* bytes claim to hold"):
        load(tmp_path / "a.pt")
    assert tracemalloc.get_traced_memory()[1] < 60e6
    tracemalloc.stop()


def test_an_archive_that_shrank_its_tensors(tmp_path):
    torch.save({**GOOD, "distributions": torch.zeros(2**24, 2)}, tmp_path / "a.pt")
    deflated = zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(tmp_path / "a.pt") as old, deflated as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert (tmp_path / "b.pt").stat().st_size < 300_000
    with pytest.raises(StoreError, match=r"claim to hold 13[0-9]+, more than 250 times as much"):
        load(tmp_path / "b.pt")


TWICE = torch.zeros(2, dtype=torch.int64)


@pytest.mark.parametrize(
    "change",
    [
        {"meta": {"class_names": ["a"]}}, {"meta": 3}, {"meta": None}, {"labels": 3}, {"indices": [0, 1]},
        {"distributions": None}, {"meta": {"a": float("inf")}}, {"distributions": ROWS.to_sparse()},
        {"distributions": ROWS + 1}, {"indices": TWICE},
    ],
)  # fmt: skip
def test_files_of_another_shape_are_store_errors(tmp_path, change):
    torch.save({**GOOD, **change}, tmp_path / "a.pt")
    with pytest.raises(StoreError, match=r"a.pt: not a file of distributions"):
        load(tmp_path / "a.pt")


def test_files_of_version_0_1_and_of_others_have_no_digest(tmp_path):
    torch.save(GOOD, tmp_path / "a.pt")
    found, meta = load(tmp_path / "a.pt")
    assert found.digest is None
    assert meta == {}
    np.testing.assert_array_equal(found.probabilities, ROWS)


def test_one_long_label_costs_its_length_once(tmp_path):
    labels = [LONG, *["cat"] * 5000]
    given = Distributions(np.full((5001, 2), 0.5), labels=labels)
    tracemalloc.start()
    save(tmp_path / "a.pt", given)
    assert load(tmp_path / "a.pt")[0].labels.tolist() == labels
    assert tracemalloc.get_traced_memory()[1] < 30e6
    tracemalloc.stop()
