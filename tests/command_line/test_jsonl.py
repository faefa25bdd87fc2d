"""The example of a format, held against what every format must do."""

import functools
import importlib
import os
from pathlib import Path

import pytest

from probly.data_generator import Distributions, StoreError
from probly.data_generator.discovery import listing
from probly.data_generator.formats.choosing import load, save
from tests.formats.common import ROWS, SMALL, FormatTests


@pytest.fixture(autouse=True)
def installed(request, strangers, monkeypatch):
    """Give the class the module that its entry point names, and look up once per test what is installed."""
    monkeypatch.setattr(listing, "_scan", functools.cache(listing._scan))
    module = importlib.import_module("first_order_jsonl")
    assert Path(module.__file__).is_relative_to(strangers)
    if request.cls is not None:
        request.cls.module = module


class TestJsonLines(FormatTests):
    suffix = ".jsonl"
    memory = (20_000, 6e6)  # of Python's floats, and their text

    def dressed(self, content):
        return b'{"rows": 1, "labels": null, "meta": {}}\n{"index": 0, "probabilities": [0.5, ' + content


@pytest.mark.parametrize("labels", [None, SMALL.labels, [1, 2, 3, 4]], ids=["none", "text", "numbers"])
def test_every_truncation_is_noticed(tmp_path, labels):
    path = tmp_path / "a.jsonl"
    save(path, Distributions(ROWS, labels=labels, sample_keys=list("wxyz")))
    assert load(path)[0].sample_keys.tolist() == list("wxyz")
    content = path.read_bytes()
    for length in reversed(range(len(content))):
        os.truncate(path, length)
        with pytest.raises(StoreError):
            load(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("0.75", "0.8", "sums to"),
        ("0.75", "NaN", "expected finite numbers"),
        ('"index": 2,', '"index": 1,', "index 1 has more than one"),
        ("0.75, 0.0", "0.75", "not a file of distributions"),
        ('"labels": null', '"labels": "object"', "not a file of distributions"),
    ],
)
def test_damage_is_told(tmp_path, old, new, said):
    path = tmp_path / "a.jsonl"
    save(path, Distributions(ROWS))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(StoreError, match=said):
        load(path)
