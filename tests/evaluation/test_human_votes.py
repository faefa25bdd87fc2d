"""Human votes: what is refused, how they are matched, and the files that they come in."""

import json

import numpy as np
import pytest

from probly.data_generator.errors import AlignmentError, StoreError
from probly_data_generator_evaluation import HumanVotes, blocks, read_chaos_nli, read_csv, read_dcic


def test_cifar10h_is_an_array_of_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "NUMBERS_AT_ONCE", 100)
    counts = np.random.default_rng(0).multinomial(51, np.full(10, 0.1), 200).astype(np.float64)  # as the file has them
    np.save(tmp_path / "cifar10h-counts.npy", counts)
    votes = HumanVotes(tmp_path / "cifar10h-counts.npy")
    assert isinstance(votes.counts, np.memmap)
    assert votes.votes.tolist() == [51] * 200
    np.testing.assert_array_equal(votes.frequencies(), counts / 51)
    assert repr(votes) == "HumanVotes(200 samples x 10 classes, 51 votes each)"


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (([[0.51, 0.49]],), ValueError, r"got 0.51 for index 0, class 0; if these are frequencies, HumanVotes.of_freq"),
        (([[1, 2], [3, -1]],), ValueError, "got -1 for index 1, class 1"),
        (([[1.0, np.nan]],), ValueError, "got nan for index 0, class 1"),
        (([[1, 2], [0, 0]], [4, 9]), ValueError, "index 9 has no votes; leave it out"),
        (([[0, 0]], None, ["a.png"]), ValueError, "key 'a.png' has no votes"),
        (([1, 2],), TypeError, r"of the shape \(samples, classes\), got int64 of the shape \(2,\)"),
        (([["1", "2"]],), TypeError, "expected numbers"),
        (([[1, 2]], [1, 2]), AlignmentError, r"one index per sample \(1\)"),
        (([[1, 2], [1, 1]], [3, 3]), AlignmentError, "index 3 is there twice"),
        (([[1, 2], [1, 1]], None, ["a", "a"]), AlignmentError, "key a is there twice"),
        (([[1, 2]], None, None, ["cat"]), ValueError, "class_names: expected 2 names"),
    ],
)
def test_what_are_no_votes_is_refused(arguments, error, says):
    with pytest.raises(error, match=says):
        HumanVotes(*arguments)


def test_frequencies_with_the_number_of_votes():
    votes = HumanVotes.of_frequencies([[0.3333, 0.6667], [0.25, 0.75]], votes=[3, 8], indices=[5, 7])
    assert votes.counts.tolist() == [[1, 2], [2, 6]]
    assert votes.indices.tolist() == [5, 7]
    with pytest.raises(ValueError, match=r"sample 1, class 0, would have 0.75 votes: expected a whole number"):
        HumanVotes.of_frequencies([[1 / 3, 2 / 3], [0.25, 0.75]], votes=3)


def test_votes_are_brought_into_the_order_of_a_dataset():
    votes = HumanVotes([[1, 2], [3, 4], [5, 6]], keys=["a", "b", "c"], class_names=["x", "y"])
    found = votes.for_keys(np.array(["c", "a"]), indices=[10, 11])
    assert (found.counts.tolist(), found.indices.tolist(), found.keys.tolist()) == (
        [[5, 6], [1, 2]],
        [10, 11],
        ["c", "a"],
    )
    assert found.in_order_of(["y", "z", "x"]).counts.tolist() == [[6, 0, 5], [2, 0, 1]]
    assert votes.take([2]).keys.tolist() == ["c"]
    with pytest.raises(AlignmentError, match=r"no votes for key 'd' \(2 of 3 have none\)"):
        votes.for_keys(["d", "a", "e"])
    with pytest.raises(AlignmentError, match="these votes have no keys"):
        HumanVotes([[1, 2]]).for_keys(["a"])
    with pytest.raises(ValueError, match="expected 'y' among them"):
        votes.in_order_of(["x", "z"])
    with pytest.raises(ValueError, match="have no names"):
        HumanVotes([[1, 2]]).in_order_of(["x", "y"])


def annotations(*labels_of):
    return [
        {
            "name": f"annotator {number}",
            "annotations": [{"image_path": path, "class_label": label} for path, label in one],
        }
        for number, one in enumerate(labels_of)
    ]


def test_dcic(tmp_path):
    path = tmp_path / "annotations.json"
    work = annotations([("b.png", "worm"), ("a.png", "coral")], [("b.png", "worm"), ("b.png", "coral")])
    path.write_text(json.dumps(work))
    votes = read_dcic(path)
    assert votes.keys.tolist() == ["b.png", "a.png"]
    assert votes.class_names == ["coral", "worm"]
    assert votes.counts.tolist() == [[1, 2], [1, 0]]
    assert read_dcic(path, ["worm", "fish", "coral"]).counts.tolist() == [[2, 0, 1], [0, 0, 1]]
    with pytest.raises(ValueError, match="a vote for 'coral': expected one of the classes worm"):
        read_dcic(path, ["worm"])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[", "no JSON"),
        ('[{"name": "x"}]', "entry 0: expected an object with a list of annotations"),
        ('[{"annotations": [{"image_path": "a"}]}]', "entry 0: expected annotations with image_path and class_label"),
        ("[3]", "entry 0: expected an object with a list of annotations, got 3"),
    ],
)
def test_what_is_not_dcic(content, says, tmp_path):
    (tmp_path / "annotations.json").write_text(content)
    with pytest.raises(StoreError, match=says):
        read_dcic(tmp_path / "annotations.json")


def test_chaos_nli(tmp_path):
    lines = [
        {"uid": "46359n", "label_counter": {"e": 76, "n": 20, "c": 4}, "label_count": [76, 20, 4], "old_label": "n"},
        {"uid": "7", "label_counter": {"n": 100}, "label_count": [0, 100, 0]},
    ]
    path = tmp_path / "chaosNLI_snli.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    votes = read_chaos_nli(path)
    assert votes.keys.tolist() == ["46359n", "7"]
    assert votes.class_names == ["e", "n", "c"]
    assert votes.counts.tolist() == [[76, 20, 4], [0, 100, 0]]
    assert votes.votes.tolist() == [100, 100]
    path.write_text('{"uid": "x", "label_counter": {"2": 9, "1": 91}, "label_count": [91, 9]}')
    assert read_chaos_nli(path).counts.tolist() == [[91, 9]]
    path.write_text('{"uid": "x", "label_counter": {"2": 9, "1": 91}, "label_count": [91, 8]}')
    with pytest.raises(StoreError, match=r"line 1: label_counter .* contradict"):
        read_chaos_nli(path)
    path.write_text('{"uid": "x"}')
    with pytest.raises(StoreError, match="line 1: expected an object with uid and label_counter"):
        read_chaos_nli(path)


def test_csv_with_a_vote_per_line(tmp_path):
    path = tmp_path / "cifar10h-raw.csv"
    path.write_text(
        "annotator_id,is_attn_check,chosen_label,cifar10_test_test_idx\n"
        "0,0,cat,17\n0,1,dog,-99999\n1,0,dog,17\n1,0,cat,3\n",
        encoding="utf-8-sig",
    )
    votes = read_csv(path, "cifar10_test_test_idx", "chosen_label", where={"is_attn_check": "0"})
    assert votes.indices.tolist() == [17, 3]
    assert votes.class_names == ["cat", "dog"]
    assert votes.counts.tolist() == [[1, 1], [1, 0]]
    with pytest.raises(StoreError, match="expected a column 'label', got annotator_id"):
        read_csv(path, "cifar10_test_test_idx", "label")


def test_csv_with_a_sample_per_line(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text("image,cat,dog\na.png,8,2\nb.png,0,10\n")
    votes = read_csv(path, "image")
    assert (votes.keys.tolist(), votes.class_names, votes.counts.tolist()) == (
        ["a.png", "b.png"],
        ["cat", "dog"],
        [[8, 2], [0, 10]],
    )
    assert read_csv(path, "image", class_names=["dog", "cat"]).counts.tolist() == [[2, 8], [10, 0]]
    path.write_text("image,cat,dog\na.png,8,2\nb.png,0\n")
    with pytest.raises(StoreError, match="line 3: expected a count for each of cat, dog"):
        read_csv(path, "image")
    path.write_text("image,said\na.png,cat\nb.png,\n")
    with pytest.raises(StoreError, match="line 3: expected a value for image and said"):
        read_csv(path, "image", "said")
    path.write_text("image,cat,dog\na.png,0.8,0.2\n")
    with pytest.raises(ValueError, match=r"got 0.8 for key 'a.png'"):
        read_csv(path, "image")
