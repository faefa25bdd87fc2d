"""The dataset card, and what `datasets` makes of a folder with one."""

import re

import datasets
import numpy as np
import pytest

from probly.data_generator import Distributions
from probly.data_generator.store import dataset_card

ROWS = np.float32([[0.25, 0.75, 0.0], [0.1, 0.2, 0.7], [1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
NAMES = ["cat", "a|b", "<x>\n# y"]
GIVEN = Distributions(
    ROWS,
    [0, 2, 30, 400],
    [0, 2, -1, 1],
    {"class_names": NAMES, "model_name": "res_net", "versions": {"numpy": "2.4"}, "normalised_rows": 1, "passes": None},
    sample_keys=["a.png", "b.png", "c.png", "d.png"],
    columns={"members": np.stack([ROWS, ROWS], axis=1)},
)


@pytest.fixture
def cache(tmp_path):
    datasets.disable_progress_bars()
    yield str(tmp_path / "cache")
    datasets.enable_progress_bars()


def test_a_folder_with_a_card_opens_with_its_split_and_the_names_of_the_classes(tmp_path, cache):
    folder = tmp_path / "hub"
    GIVEN.save(folder / "validation.parquet")
    (folder / "README.md").write_text(dataset_card(GIVEN, "validation.parquet"), encoding="utf-8")
    (split,) = (opened := datasets.load_dataset(str(folder), cache_dir=cache))
    rows = opened[split]
    assert split == "validation"
    assert rows.features["label"] == datasets.ClassLabel(names=NAMES)
    assert rows["label"][:] == [0, 2, -1, 1]
    assert rows["sample_key"][:] == GIVEN.sample_keys.tolist()
    np.testing.assert_array_equal(np.asarray(rows["probabilities"][:], np.float32), ROWS)
    np.testing.assert_array_equal(np.asarray(rows["members"][:], np.float32), GIVEN.members)


def test_the_name_of_a_split_may_look_like_a_number_and_the_code_of_the_card_runs(tmp_path, cache):
    folder = tmp_path / "hub"
    GIVEN.save(folder / "1.parquet")
    card = dataset_card(GIVEN, "1.parquet")
    (folder / "README.md").write_text(card, encoding="utf-8")
    (line,) = re.findall(
        r"^rows = datasets\.load_dataset\((.*)\)  #.* the full path of this folder$", card, re.MULTILINE
    )
    name, split = (part.split("=")[-1].strip('"') for part in line.split(", "))
    assert name == "OWNER/NAME"
    assert len(datasets.load_dataset(str(folder), split=split, cache_dir=cache)) == 4


def test_what_datasets_wrote_of_it_loads_with_its_names(tmp_path, cache):
    GIVEN.save(tmp_path / "a.parquet")
    rows = datasets.Dataset.from_parquet(str(tmp_path / "a.parquet"), cache_dir=cache).remove_columns("members")
    rows.select([3, 1]).to_parquet(tmp_path / "b.parquet")
    found = Distributions.load(tmp_path / "b.parquet")
    assert found == GIVEN.select([2, 400])
    assert (found.class_names, found.labels.tolist()) == (NAMES, [2, 1])
    assert found.sample_keys.tolist() == ["b.png", "d.png"]


@pytest.mark.parametrize(
    ("labels", "meta"),
    [
        (["cat", None, "cat", "cat"], {"class_names": ["cat", "dog", "owl"]}),
        ([0, 1, 2, 0], {"class_names": ["crane", "dog", "crane"]}),  # which `datasets` cannot open
        ([7, 3, 3, 5], {"class_names": ["3", "5", "7"], "classes": [3, 5, 7]}),
        ([0, 1, 2, 3], {"class_names": ["cat", "dog", "owl"]}),
        ([[0], [1], [2], [0]], {"class_names": ["cat", "dog", "owl"]}),
        ([0, 1, 2, 0], {}),
    ],
)
def test_labels_that_are_no_positions_of_names_stay_as_they_are(tmp_path, cache, labels, meta):
    given = Distributions(ROWS, labels=labels, meta=meta)
    given.save(tmp_path / "a.parquet")
    rows = datasets.Dataset.from_parquet(str(tmp_path / "a.parquet"), cache_dir=cache)
    assert not isinstance(rows.features["label"], datasets.ClassLabel)
    assert rows["label"][:] == labels


def test_what_a_card_says():
    card = dataset_card(GIVEN, "test.csv")
    front, _, text = card.removeprefix("---\n").partition("\n---\n")
    assert "size_categories:\n- n<1K" in front
    assert '  - split: "test"\n    path: "test.csv"\n  skiprows: 1' in front
    assert "for each of 4 samples, the distribution over 3 classes" in text
    assert "1 rows were divided by their sum" in text
    assert "0 cat, 1 a\\|b, 2 \\<x\\> # y" in text
    assert "| model\\_name | res\\_net |\n| versions.numpy | 2.4 |" in text
    assert "| members | float32 2 x 3 | kept beside the rows |" in text
    assert "passes" not in text
    many = Distributions(np.full((1, 200), 1 / 200), meta={"class_names": list(map(str, range(200)))})
    assert ", 99 99, and 100 more, which the file has" in dataset_card(many, "test.parquet")


@pytest.mark.parametrize("file", ["a.npz", "a-b.parquet", "hub/a.parquet", ".parquet", "a b.csv", "all.parquet"])
def test_a_card_is_for_a_file_that_datasets_opens_under_a_name(file):
    with pytest.raises(ValueError, match=r"that ends in \.parquet or \.csv, whose name"):
        dataset_card(GIVEN, file)
