"""The example of a format, held against what every format must do."""

import functools
import importlib
import os
from pathlib import Path

import numpy as np
import pytest

from probly.data_generator import Distributions, StoreError
from probly.data_generator.discovery import listing
from probly.data_generator.formats.choosing import load, save
from tests.formats.common import ROWS, SMALL, FormatTests, same


@pytest.fixture(autouse=True)
def installed(request, strangers, monkeypatch):
    """Give the class the module that its entry point names, and look up once per test what is installed."""
    monkeypatch.setattr(listing, "_scan", functools.cache(listing._scan))
    module = importlib.import_module("first_order_csv")
    assert Path(module.__file__).is_relative_to(strangers)
    if request.cls is not None:
        request.cls.module = module


class TestCsv(FormatTests):
    suffix = ".csv"
    memory = (20_000, 6e6)  # of Python's floats, and their text

    def dressed(self, content):
        return b'# {"rows": 1, "labels": null, "meta": {}}\nindex,0,1\n0,0.5,' + content


def test_a_spreadsheet_can_read_it(tmp_path):
    names = ["cat", 'a "big" dog', "é, è\n"]
    save(tmp_path / "a.csv", Distributions(ROWS, labels=["x", "y\r\n", "", " z"], meta={"class_names": names}))
    found, _ = load(tmp_path / "a.csv")
    assert found.labels.tolist() == ["x", "y\r\n", "", " z"]
    assert found.class_names == names
    text = (tmp_path / "a.csv").read_text(encoding="utf-8")
    assert text.startswith('# {"rows": 4, "labels": "text", "meta": ')
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
