"""The digest of what a file holds: in every format the same, compared where it is there, nothing where it is not."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from probly.data_generator import Distributions, StoreError
from probly.data_generator.formats.choosing import load, save
from probly.data_generator.formats.digest import DIGEST, content_digest
from tests.formats.common import LABELS_OF_EVERY_SHAPE, ROWS, SMALL, same

SUFFIXES = [".json", ".npz", ".safetensors", ".parquet", ".feather", ".csv"]
LABELS = [
    None, [3, 1, -1, 2], [0.5, np.nan, -0.0, 1e300], [np.nan] * 4, ["a", None, "", "é"], [True, False, True, True],
    np.uint64([1, 2**64 - 1, 3, 4]), np.float16([0.1, 0.2, 0.3, np.nan]), [b"a", b"b", b"c", b"d"],
    ["x" * 10**5, "y", "y", "y"], *LABELS_OF_EVERY_SHAPE,
]  # fmt: skip


def of(distributions):
    return content_digest([distributions.probabilities], distributions.indices, distributions.labels, SMALL.meta, {})


@pytest.mark.parametrize("labels", LABELS, ids=lambda labels: f"{getattr(labels, 'dtype', labels)!s:.20}")
def test_every_format_has_the_same_digest_and_nothing_more_in_its_metadata(tmp_path, labels):
    given = Distributions(ROWS, [0, 2, 30, 400], labels, SMALL.meta)
    digests = set()
    for suffix in SUFFIXES:
        try:
            save(tmp_path / f"a{suffix}", given)
        except TypeError:  # a format that has no place for such labels
            assert suffix == ".safetensors"
            continue
        found, meta = load(tmp_path / f"a{suffix}")
        assert DIGEST not in meta
        assert meta == SMALL.meta
        digests.add(found.digest)
    assert digests == {of(given)}


def test_whatever_changes_changes_the_digest():
    plain = Distributions(ROWS, [0, 2, 30, 400], ["a", "b", "c", "d"])
    others = [
        Distributions(ROWS[::-1], [0, 2, 30, 400], ["a", "b", "c", "d"]),
        Distributions(ROWS, [0, 2, 30, 401], ["a", "b", "c", "d"]),
        Distributions(ROWS, [0, 2, 30, 400], ["a", "b", "d", "c"]),
        Distributions(ROWS, [0, 2, 30, 400], ["a", None, "c", "d"]),
        Distributions(ROWS, [0, 2, 30, 400], [0, 1, 2, 3]),
        Distributions(ROWS, [0, 2, 30, 400], [0.0, 1.0, 2.0, 3.0]),
        Distributions(ROWS, [0, 2, 30, 400]),
        Distributions(ROWS[:3], [0, 2, 30], ["a", "b", "c"]),
        Distributions(ROWS.reshape(4, 3)[:, ::-1], [0, 2, 30, 400], ["a", "b", "c", "d"]),
    ]
    assert len({of(one) for one in [plain, *others]}) == len(others) + 1
    names = [{}, {"class_names": ["a", "b", "c"]}, {"class_names": ["a", "c", "b"]}, {"classes": ["a", "b", "c"]}]
    assert len({content_digest([ROWS], plain.indices, None, meta, {}) for meta in names}) == 4
    assert of(plain) == content_digest([ROWS[:1], ROWS[1:]], plain.indices, plain.labels, {**SMALL.meta, "more": 1}, {})


def change(path, edit):
    document = json.loads(path.read_bytes())
    edit(document)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    "edit",
    [
        lambda document: document["distributions"].update({"2": [0.1, 0.3, 0.6]}),
        lambda document: document["distributions"].pop("2") and document["labels"].pop("2"),
        lambda document: document["labels"].update({"2": "cat"}),
        lambda document: document.pop("labels"),
        lambda document: document["meta"].update({"class_names": ["a", "c", "b"]}),
        lambda document: document["meta"].update({DIGEST: "sha256:00"}),
        lambda document: document["meta"].update({DIGEST: 3}),
        lambda document: document.update({"mete": document.pop("meta")}),
    ],
)
def test_json_that_somebody_changed_is_refused_until_its_digest_is_removed(tmp_path, edit):
    path = tmp_path / "a.json"
    save(path, Distributions(ROWS, [0, 2, 30, 400], ["cat", "dog", "dog", "é"], {"class_names": ["a", "b", "c"]}))
    change(path, edit)
    with pytest.raises(StoreError, match="content_digest"):
        load(path)
    change(path, lambda document: [part.pop(DIGEST, None) for part in document.values() if isinstance(part, dict)])
    assert load(path)[0].digest is None


def test_json_that_was_only_written_anew_is_the_same(tmp_path):
    path = tmp_path / "a.json"
    save(path, SMALL)
    path.write_text(json.dumps(json.loads(path.read_bytes()), indent=3, sort_keys=True))
    assert list(json.loads(path.read_bytes())["distributions"]) == ["0", "2", "30", "400"]
    change(path, lambda document: document.update(distributions=dict(reversed(document["distributions"].items()))))
    found = load(path)[0]
    assert same(found, SMALL)
    assert found.digest


def test_rows_that_missed_one_when_they_were_written_are_no_damage(tmp_path):
    """Version 0.1 kept rows that miss 1 by up to 1e-4; they are divided when they are read, and compared before."""
    rows = np.float32([[0.25, 0.75005], [0.5, 0.5]])
    kept = Distributions.of_checked(rows, np.arange(2), None, {})
    for suffix in SUFFIXES:
        save(tmp_path / f"a{suffix}", kept)
        found, meta = load(tmp_path / f"a{suffix}")
        assert found.digest
        assert meta == {"normalised_rows": 1}
        np.testing.assert_allclose(found.probabilities.sum(axis=1, dtype=float), 1, atol=1e-7)


def test_a_part_of_a_parquet_file_has_no_digest(tmp_path):
    save(tmp_path / "a.parquet", SMALL)
    table = pq.read_table(tmp_path / "a.parquet")
    pq.write_table(table.slice(1, 2), tmp_path / "part.parquet")
    found, meta = load(tmp_path / "part.parquet")
    assert found.indices.tolist() == [2, 30]
    assert found.digest is None
    assert meta == SMALL.meta
    pq.write_table(table.set_column(0, table.field(0), [[0, 2, 30, 401]]), tmp_path / "other.parquet")
    with pytest.raises(StoreError, match="are not those that were written"):
        load(tmp_path / "other.parquet")
