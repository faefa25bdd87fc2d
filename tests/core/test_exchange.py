"""What takes distributions to other libraries: tables, files."""

import numpy as np
import pandas as pd
import pytest

from probly.data_generator import Distributions, NotInstalledError
from probly.data_generator.discovery import formats
from probly.data_generator.store import Store
from tests.formats.common import without

ROWS = np.float32([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]])
NAMES = {"class_names": ["cat", "dog"], "model_name": "mine"}
GIVEN = Distributions(ROWS, [3, 5, 8], [1, 0, -1], NAMES, sample_keys=["a.png", "b.png", "c.png"])


def test_a_frame_has_a_column_per_class_and_the_indices_of_the_dataset():
    frame = GIVEN.to_pandas()
    assert list(frame.columns) == ["sample_key", "label", "cat", "dog"]
    assert (frame.index.name, frame.index.tolist()) == ("index", [3, 5, 8])
    np.testing.assert_array_equal(frame[["cat", "dog"]], ROWS)
    assert frame["cat"].dtype == np.float32
    assert frame.loc[5, "sample_key"] == "b.png"
    assert frame[frame["label"] >= 0]["label"].tolist() == [1, 0]
    assert list(Distributions(ROWS).to_pandas().columns) == ["0", "1"]
    several = Distributions(ROWS, labels=[[0, 1], [1, 1], [0, 0]]).to_pandas()
    assert several["label"].tolist()[1].tolist() == [1, 1]


def test_it_is_nobody_elses_memory():
    frame = GIVEN.to_pandas()
    frame.loc[3, "cat"] = 7.0
    frame.loc[3, "label"] = 9
    np.testing.assert_array_equal(GIVEN.probabilities, ROWS)
    assert GIVEN.labels.tolist() == [1, 0, -1]


def test_a_frame_of_a_store_and_of_no_rows(tmp_path):
    GIVEN.save(tmp_path / "a.fod")
    store = Distributions.load(tmp_path / "a.fod")
    assert isinstance(store, Store)
    pd.testing.assert_frame_equal(store.to_pandas(), GIVEN.to_pandas())
    assert store.to_arrow().equals(GIVEN.to_arrow())
    part = store.select([8, 3])
    assert (part.sample_keys.tolist(), part.labels.tolist()) == (["a.png", "c.png"], [1, -1])
    assert len(GIVEN.select([]).to_pandas()) == 0
    assert GIVEN.select([]).to_arrow().num_rows == 0


@pytest.mark.parametrize("names", [["cat", "cat"], ["label", "dog"], ["cat", "sample_key"]])
def test_a_name_that_would_mean_two_columns_is_refused_with_advice_that_works(names):
    twice = Distributions(ROWS, labels=[0, 1, 0], meta={"class_names": names}, sample_keys=[1, 2, 3])
    with pytest.raises(ValueError, match=r"to_pandas: two columns would be called .*; set d.meta\['class_names'\] to"):
        twice.to_pandas()
    assert twice.to_arrow().column_names == ["index", "sample_key", "probabilities", "label"]
    twice.meta["class_names"] = ["one", "two"]
    assert list(twice.to_pandas().columns) == ["sample_key", "label", "one", "two"]


def test_a_table_has_all_that_a_file_has(tmp_path):
    members = np.stack([ROWS, ROWS[::-1]], axis=1)
    whole = Distributions(ROWS, [3, 5, 8], ["x", None, "y"], NAMES, columns={"members": members})
    table = whole.to_arrow()
    assert table.column_names == ["index", "probabilities", "label", "members"]
    np.testing.assert_array_equal(np.asarray(table["members"].to_pylist(), np.float32), members)
    assert table["label"].to_pylist() == ["x", None, "y"]
    assert list(whole.to_pandas().columns) == ["label", "cat", "dog"]


def test_saving_adds_metadata_and_loading_gives_it_back(tmp_path):
    GIVEN.save(tmp_path / "new" / "a.json", meta={"split": "test", "model_name": "other"})
    found = Distributions.load(str(tmp_path / "new" / "a.json"))
    assert found == GIVEN
    assert found.meta == {"class_names": ["cat", "dog"], "model_name": "other", "split": "test"}
    assert found.sample_keys.tolist() == GIVEN.sample_keys.tolist()
    with pytest.raises(ValueError, match="expected one of the suffixes"):
        GIVEN.save(tmp_path / "a.docx")
    with pytest.raises(ValueError, match="expected 2 names, one per class"):
        GIVEN.save(tmp_path / "a.json", meta={"class_names": ["cat"]})
    with pytest.raises(FileNotFoundError):
        Distributions.load(tmp_path / "a.json")


def test_what_is_not_installed_is_named(monkeypatch):
    without(monkeypatch, "pandas")
    with pytest.raises(ImportError, match=r"to_pandas needs pandas, .*pip install pandas"):
        GIVEN.to_pandas()
    monkeypatch.setattr(formats, "claims", lambda group: {})
    with pytest.raises(NotInstalledError, match=r"the format \.feather is not installed; .*\[parquet\]"):
        GIVEN.to_arrow()


@pytest.mark.parametrize("keys", [["a"], [1.5, 2, 3], ["a", 1, 2], [None] * 3])
def test_keys_are_text_or_integers_one_per_row(keys):
    with pytest.raises((TypeError, ValueError), match="keys"):
        Distributions(ROWS, sample_keys=keys)
