"""CSV: ours, which spreadsheets and pandas open, and the tables of others."""

import os

import numpy as np
import pandas as pd
import pytest

from probly.data_generator import Distributions, StoreError
from probly.data_generator.formats.choosing import load, save
from probly_data_generator_store import csv_format
from tests.formats.common import ROWS, SMALL, FormatTests, same


class TestCsv(FormatTests):
    suffix, module = ".csv", csv_format
    memory = (20_000, 6e6)  # of Python's floats, and their text

    def dressed(self, content):
        return b'# {"rows": 1, "labels": null, "keys": null, "meta": {}}\nindex,0,1\n0,0.5,' + content


def test_a_spreadsheet_can_read_it(tmp_path):
    names = ["cat", 'a "big" dog', "é, è\n"]
    save(tmp_path / "a.csv", Distributions(ROWS, labels=["x", "y\r\n", "", " z"], meta={"class_names": names}))
    found, _ = load(tmp_path / "a.csv")
    assert found.labels.tolist() == ["x", "y\r\n", "", " z"]
    assert found.class_names == names
    text = (tmp_path / "a.csv").read_text(encoding="utf-8")
    assert text.startswith('# {"rows": 4, "labels": "text", "keys": null, "meta": ')
    assert '\n"index","label","cat","a ""big"" dog","é, è\n"\n0,"x",0.25,0.75,0.0\n' in text


@pytest.mark.parametrize("labels", [None, SMALL.labels, [1, 2, 3, 4]], ids=["none", "text", "numbers"])
def test_every_truncation_is_noticed(tmp_path, labels):
    path = tmp_path / "a.csv"
    save(path, Distributions(ROWS, labels=labels))
    content = path.read_bytes()
    noticed = 0
    for length in reversed(range(len(content))):
        os.truncate(path, length)
        try:
            found, _ = load(path)
        except StoreError:
            noticed += 1
        else:  # the end of the last line, or zeros at the end of its last number
            assert same(found, Distributions(ROWS, labels=labels))
    assert noticed >= len(content) - 3


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("0.75", "0.8", "sums to"),
        ("0.75", "nan", "not a file of distributions"),
        ("0.75", "x", "could not convert"),
        ("\n2,", "\n1,", "index 1 has more than one"),
        ("\n2,", "\n-2,", "at least 0"),
        ('"labels": null', '"labels": "object"', "not a file of distributions"),
        ("0.75,0.0", "0.75", "not a file of distributions"),
        ('"index","0"', '"index","1"', "expected the columns index, 0, 1, 2, got index, 1, 1, 2"),
        ("\n2,", "\n2_0,", "expected dataset indices, got '2_0'"),
        ("\n0,0.25,0.75,0.0\n", "\n0,0.75,0.25,0.0\n", "not those that were written"),
    ],
)
def test_damage_is_told(tmp_path, old, new, said):
    path = tmp_path / "a.csv"
    save(path, Distributions(ROWS))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(StoreError, match=said):
        load(path)


def test_labels_keep_their_type(tmp_path):
    for kind in (np.uint8, np.int32, np.float16, bool):
        save(tmp_path / "a.csv", Distributions(ROWS, labels=np.array([0, 1, 1, 0], kind)))
        assert load(tmp_path / "a.csv")[0].labels.dtype == kind


def test_pandas_reads_it(tmp_path):
    save(tmp_path / "a.csv", Distributions(ROWS, [0, 2, 30, 400], ["cat", "dog", "dog", "é"], sample_keys=list("wxyz")))
    frame = pd.read_csv(tmp_path / "a.csv", skiprows=1)
    assert list(frame.columns) == ["index", "sample_key", "label", "0", "1", "2"]
    np.testing.assert_array_equal(frame[["0", "1", "2"]].to_numpy(np.float32), ROWS)
    assert frame["sample_key"].tolist() == list("wxyz")


FRAME = pd.DataFrame({"index": [4, 2, 9, 7], "label": list("abca"), "cat": ROWS[:, 0], "dog": ROWS[:, 1:].sum(axis=1)})


@pytest.mark.parametrize("keys", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_tables_of_others(tmp_path, keys, encoding):
    frame = FRAME.assign(sample_key=["w.png", "x.png", "y.png", "z.png"]) if keys else FRAME
    frame.round(3).to_csv(tmp_path / "a.csv", index=False, encoding=encoding)
    found = load(tmp_path / "a.csv")[0]
    assert found.indices.tolist() == [2, 4, 7, 9]
    assert found.labels.tolist() == ["b", "a", "a", "c"]
    assert found.class_names == ["cat", "dog"]
    np.testing.assert_allclose(found[4], [0.25, 0.75])
    assert (None if found.sample_keys is None else found.sample_keys[0]) == ("x.png" if keys else None)


def test_a_table_without_indices_counts_from_zero_and_says_which_rows_have_no_label(tmp_path):
    (tmp_path / "a.csv").write_text("label,0,1\n1,0.25,0.75\n,0.33,0.67\n0,0.5,0.5\n\n")
    found = load(tmp_path / "a.csv")[0]
    assert (found.indices.tolist(), found.labels.tolist(), found.class_names) == ([0, 1, 2], [1, -1, 0], None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a line of names"),
        ("index,cat,dog\n0,0.5\n", "expected 3 cells in every line"),
        ("index,index,cat,dog\n0,0,1,0\n", "each of index, sample_key, label once"),
        ("index,cat,dog\na,0.5,0.5\n", "expected dataset indices, got 'a'"),
        ("index,cat,dog\n0,0.5,yes\n", "could not convert"),
        ("index,cat,dog\n0,0.5,0.6\n", "sums to 1.1"),
        ("index,cat,dog\n0,0.5,0.5\n0,0.5,0.5\n", "index 0 has more than one"),
    ],
)
def test_other_tables_are_refused(tmp_path, text, said):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(StoreError, match=f"a.csv: not a file of distributions: .*{said}"):
        load(tmp_path / "a.csv")


def test_a_text_that_no_reader_takes_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="a text of 200000 characters; readers of CSV take 131072"):
        save(tmp_path / "a.csv", Distributions(ROWS, labels=["x" * 200_000, "a", "b", "c"]))
    assert os.listdir(tmp_path) == []


def test_texts_of_which_some_are_missing_are_cells_like_any_other(tmp_path):
    labels = ["cat", None, '"quoted" dog', ""]
    given = Distributions(ROWS, [0, 2, 30, 400], labels)
    save(tmp_path / "a.csv", given)
    assert load(tmp_path / "a.csv")[0].labels.tolist() == labels
    frame = pd.read_csv(tmp_path / "a.csv", skiprows=1)
    assert frame["label"][0] == "cat"
    assert pd.isna(frame["label"][1])
    frame.iloc[:2].to_csv(tmp_path / "b.csv", index=False)
    assert load(tmp_path / "b.csv")[0].labels.tolist() == ["cat", None]


def test_texts_of_others_that_look_like_numbers_stay_different(tmp_path):
    Distributions(ROWS[:2], labels=["01", "1"]).to_pandas().to_csv(tmp_path / "a.csv")
    found = pd.read_csv(tmp_path / "a.csv", dtype=str)
    assert found["label"].tolist() == ["01", "1"]
    (tmp_path / "b.csv").write_text("label,0,1\n01,0.25,0.75\n1,0.5,0.5\n")
    assert load(tmp_path / "b.csv")[0].labels.tolist() == ["01", "1"]
