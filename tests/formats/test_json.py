"""The interchange format: exact, checked, whole or not at all."""

import json
import math
import os
import string
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probly.data_generator import Distributions, FirstOrderDataGenerator, StoreError
from probly.data_generator.formats import json as json_format
from probly.data_generator.formats.choosing import load, save
from tests.formats.common import ROWS, SMALL, FormatTests, distributions, many, without

GOOD = '{"meta": {"framework": "pytorch"}, "distributions": {"0": [0.25, 0.75], "4": [1, 0]}}'


class TestJson(FormatTests):
    suffix, module = ".json", json_format
    memory = (20_000, 10e6)  # of Python's floats, and their text

    def dressed(self, content):
        return b'{"distributions": {"0": [' + content + b", 0.5, 0.75]}}"  # no number makes a distribution of that

    def test_writing_takes_memory_for_blocks_only_without_orjson(self, tmp_path, monkeypatch):
        without(monkeypatch, "orjson")
        self.check_memory(tmp_path, monkeypatch)


@given(st.text(string.printable).map(str.encode))
@many
def test_only_store_errors_escape_for_text(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(StoreError):
        load(tmp_path / "a.json")


def test_labels_that_are_numbers_and_text_do_not_become_text(tmp_path):
    save(tmp_path / "a.json", Distributions(ROWS[:2], labels=np.array([1, "1"], object)))
    assert load(tmp_path / "a.json")[0].labels.tolist() == [1, "1"]


def test_one_long_label_does_not_make_all_labels_long(tmp_path):
    labels, path = ["x" * 10**6] + ["y"] * 999, tmp_path / "a.json"
    content = {"distributions": {i: [1] for i in range(1000)}, "labels": dict(enumerate(labels))}
    path.write_text(json.dumps(content))
    tracemalloc.start()
    found, _ = load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.labels.tolist() == labels
    assert peak < 50e6


def test_the_format_is_the_promised_one(tmp_path):
    save(tmp_path / "a.json", {0: [0.25, 0.75], 1: [0.5, 0.5]}, {"framework": "pytorch", "name": "Zürich"})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "Zürich" in text
    document = json.loads(text)
    assert document["meta"].pop("content_digest").startswith("sha256:")
    assert document == {
        "meta": {"framework": "pytorch", "name": "Zürich"},
        "distributions": {"0": [0.25, 0.75], "1": [0.5, 0.5]},
    }


def test_many_rows_cross_the_writers_blocks(tmp_path):
    rows = np.random.default_rng(0).dirichlet(np.ones(3), 10_000)
    distributions = Distributions(rows, labels=np.arange(10_000))
    save(tmp_path / "a.json", distributions)
    assert load(tmp_path / "a.json")[0] == distributions


def test_metadata_given_last_is_stronger(tmp_path):
    distributions = Distributions([[1.0]], meta={"a": 1, "b": 2})
    save(tmp_path / "a.json", distributions, {"b": 3})
    assert load(tmp_path / "a.json")[1] == {"a": 1, "b": 3}


def test_a_file_of_a_plain_dict_without_metadata_loads(tmp_path):
    (tmp_path / "a.json").write_text('{"distributions": {"0": [0.2, 0.8]}}')
    assert load(tmp_path / "a.json")[0] == {0: [0.2, 0.8]}


def test_index_gaps_are_kept(tmp_path):
    (tmp_path / "a.json").write_text(GOOD)
    distributions, meta = load(tmp_path / "a.json")
    assert list(distributions) == [0, 4]
    assert meta == {"framework": "pytorch"}
    with pytest.raises(KeyError, match="No distribution for index 1"):
        distributions[1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Expecting value"),
        ("[]", "expected {"),
        ("{}", "expected {"),
        ('{"distributions": [[0.5, 0.5]]}', "expected {"),
        ('{"meta": 3, "distributions": {}}', 'object as "meta", got int'),
        ('{"distributions": {"0": [NaN, 1.0]}}', "expected finite numbers, got NaN"),
        ('{"distributions": {"0": [Infinity, 1.0]}}', "got Infinity"),
        ('{"distributions": {"0": [1e999, 0.0]}}', "not finite"),
        ('{"distributions": {"0": [0.5, 0.5], "0": [0.1, 0.9]}}', "the key '0' stands twice"),
        ('{"distributions": {"0": [0.5, 0.5], "00": [0.1, 0.9]}}', "index 0 has more than one"),
        ('{"distributions": {"x": [0.5, 0.5]}}', "indices as keys, got 'x'"),
        ('{"distributions": {"-1": [0.5, 0.5]}}', "got '-1'"),
        ('{"distributions": {"1_0": [0.5, 0.5]}}', "got '1_0'"),
        ('{"distributions": {"99999999999999999999": [1.0]}}', "indices as keys"),
        ('{"distributions": {"0": [0.5, 0.5], "1": [1.0]}}', r"lists of one length as rows, got the lengths \[1, 2\]"),
        ('{"distributions": {"0": 0.5}}', "lists of one length"),
        ('{"distributions": {"0": ["0.5", "0.5"]}}', "expected numbers"),
        ('{"distributions": {"0": [[0.5], [0.5]]}}', r"shape \(samples, classes\)"),
        ('{"distributions": {"0": [0.5, 0.6]}}', "index 0 .*sums to 1.1"),
        ('{"distributions": {"0": [1.5, -0.5]}}', "index 0 .*negative"),
        ('{"distributions": {"0": [0.5, 0.5]}, "labels": {"1": 0}}', "same keys"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_damaged_files_say_what_is_wrong(tmp_path, text, says):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(StoreError, match=f"(?s)a.json: not a file of distributions: .*{says}"):
        load(path)


def test_bytes_that_are_not_utf8(tmp_path):
    (tmp_path / "a.json").write_bytes(b'{"distributions": {"0\xff": [1.0]}}')
    with pytest.raises(StoreError, match="not a file of distributions"):
        load(tmp_path / "a.json")


def test_every_truncation_is_noticed(tmp_path):
    path = tmp_path / "a.json"
    for length in range(len(GOOD)):
        path.write_text(GOOD[:length])
        with pytest.raises(StoreError):
            load(path)


@given(position=st.integers(0, len(GOOD) - 1), character=st.characters(min_codepoint=32, max_codepoint=126))
@many
def test_a_changed_character_gives_checked_rows_or_a_store_error(tmp_path, position, character):
    path = tmp_path / "a.json"
    path.write_text(GOOD[:position] + character + GOOD[position + 1 :])
    try:
        distributions, _ = load(path)
    except StoreError:
        return
    assert all(math.isclose(row.sum(), 1, abs_tol=1e-4) and (row >= 0).all() for row in distributions.values())


@pytest.mark.parametrize(
    ("distributions", "meta", "error"),
    [
        ({0: [0.5, 0.6]}, {}, ValueError),
        ({0: [0.5, 0.5], 1: [1.0]}, {}, ValueError),
        ({0: [1.0]}, {"loss": float("nan")}, ValueError),
        ({0: [1.0]}, {"model": object()}, TypeError),
        ({"a": [1.0]}, {}, ValueError),
    ],
)
def test_bad_input_costs_nothing_that_was_written(tmp_path, distributions, meta, error):
    path = tmp_path / "a.json"
    path.write_text(GOOD)
    with pytest.raises(error):
        save(path, distributions, meta)
    assert path.read_text() == GOOD
    assert os.listdir(tmp_path) == ["a.json"]


def test_folders_are_made_and_the_mode_is_the_usual_one(tmp_path):
    save(tmp_path / "new" / "folder" / "a.json", {0: [1.0]})
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "new/folder/a.json").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_generator_saves_and_loads(tmp_path):
    generator = FirstOrderDataGenerator(lambda batch: batch, backend="numpy", model_name="identity")
    distributions = generator.generate_distributions((np.eye(3, dtype=np.float32), [0, 1, 2]))
    generator.save_distributions(tmp_path / "a.json", distributions, meta={"accuracy": 1.0})
    loaded, meta = generator.load_distributions(tmp_path / "a.json")
    assert loaded == distributions
    assert meta["accuracy"] == 1.0
    assert meta["model_name"] == "identity"
    assert meta["timestamp"] == distributions.meta["timestamp"]


@given(wanted=distributions())
@settings(many, max_examples=50)
def test_json_holds_the_same_numbers_with_and_without_orjson(tmp_path, wanted):
    save(tmp_path / "fast.json", wanted)
    with pytest.MonkeyPatch.context() as monkeypatch:
        without(monkeypatch, "orjson")
        save(tmp_path / "plain.json", wanted)
    fast, plain = (json.loads((tmp_path / f"{name}.json").read_bytes()) for name in ("fast", "plain"))
    assert fast == plain
    numbers = [value for row in fast["distributions"].values() for value in row]
    assert numbers == wanted.probabilities.astype(np.float64).reshape(-1).tolist(), "any JSON reader gets them exactly"


def test_orjson_writes_the_rows_where_it_is_installed(tmp_path, monkeypatch):
    save(tmp_path / "a.json", SMALL)
    assert '"0":[0.25,0.75,0.0]' in (tmp_path / "a.json").read_text(encoding="utf-8")
    without(monkeypatch, "orjson")
    save(tmp_path / "a.json", SMALL)
    assert '"0": [0.25, 0.75, 0.0]' in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_orjson_cannot_turn_a_label_into_null(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        save(tmp_path / "a.json", Distributions([[1.0], [1.0]], labels=[0.5, np.inf]))
    assert os.listdir(tmp_path) == []


def test_few_decimals_are_no_reason_to_refuse_a_file(tmp_path):
    rows = {"0": [0.33, 0.33, 0.33], "1": [0.25, 0.5, 0.25]}
    (tmp_path / "a.json").write_text(json.dumps({"distributions": rows}))
    found = load(tmp_path / "a.json")[0]
    np.testing.assert_allclose(found.probabilities, [[1 / 3] * 3, [0.25, 0.5, 0.25]], rtol=0, atol=1e-7)
    assert found.meta == {"normalised_rows": 1}
    for wrong in ([0.33, 0.33, 0.2], [0.3300001, 0.33, 0.33], [0, 0, 0]):
        (tmp_path / "a.json").write_text(json.dumps({"distributions": {"0": wrong, "1": [0.25, 0.5, 0.25]}}))
        with pytest.raises(StoreError, match="the row of index 0 is no distribution"):
            load(tmp_path / "a.json")


@pytest.mark.parametrize("meta", [{}, {"meta": {"framework": "pytorch", "dataset": "CIFAR-10", "batch_size": 64}}])
def test_json_of_the_original_implementation_loads(tmp_path, meta):
    scores = np.random.default_rng(0).normal(size=(20, 10)) * 5
    rows = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)  # float64, as it wrote them
    document = {**meta, "distributions": {str(index): row.tolist() for index, row in enumerate(rows)}}
    (tmp_path / "a.json").write_text(json.dumps(document, indent=2), encoding="utf-8")
    found, found_meta = load(tmp_path / "a.json")
    np.testing.assert_array_equal(found.probabilities, rows.astype(np.float32))
    assert found_meta == meta.get("meta", {})
