"""`first-order rank`, `sample`, `calibrate` and `evaluate`, by the real group, on what `first-order demo` makes."""

import csv
import json
import re
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from probly.data_generator import Distributions, FirstOrderDataGenerator
from probly.data_generator.metrics import report
from probly.data_generator.store import load, open_store, save
from probly_data_generator_command_line import main
from probly_data_generator_command_line.group import first_order
from probly_data_generator_evaluation import (
    ConvexHulls,
    HumanVotes,
    ProbabilityIntervals,
    calibrate,
    calibration_errors,
    compare_to_humans,
    coverage,
    decompose,
    fit_temperature,
    rank,
    rescale,
    sample_labels,
)
from tests.evaluation.numbers import some_members

NAMES = ["north", "east", "west"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Make the demo's folder once; no command writes into it."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    assert CliRunner().invoke(first_order, ["demo", "--out", str(folder)]).exit_code == 0
    return folder


@pytest.fixture
def run(tmp_path, monkeypatch, made):
    """Give a function that runs a command line in a folder of its own, in which `demo` is the demo's."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").symlink_to(made)

    def run(line):
        done = CliRunner().invoke(first_order, line.split(), catch_exceptions=False, standalone_mode=False)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout) if line.endswith("--json") else done.stdout

    return run


@pytest.fixture
def teacher(made):
    return open_store(made / "teacher.fod")


@pytest.fixture
def truth(made):
    return load(made / "truth.npz")[0]


def with_members(path, seed=0, samples=40, **options):
    members = some_members(seed, samples, 4, 3, np.float32)
    made = Distributions(members.mean(axis=1), columns={"members": members}, **options)
    save(path, made)
    return made


def table(path):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


# rank


def test_rank_shows_what_the_function_returns(run, teacher):
    for by in ("entropy", "margin", "label"):
        found = run(f"rank demo/teacher.fod --by {by} --top 5 --json")
        assert found["samples"] == list(rank(teacher, by, count=5))
    lines = run("rank demo/teacher.fod").splitlines()
    assert lines[0].split() == ["index", "label", "score"]
    assert [int(line.split()[0]) for line in lines[1:]] == rank(teacher, count=20).indices.tolist()


def test_rank_writes_all_or_the_top(run, teacher):
    assert run("rank demo/teacher.fod --out all.csv") == "all.csv: 1,000 samples by entropy\n"
    assert [int(row["index"]) for row in table("all.csv")] == rank(teacher).indices.tolist()
    assert run("rank demo/teacher.fod --out top.parquet --top 7 --json")["samples"] == 7


@pytest.mark.parametrize("suffix", [".fod", ".npz"])
def test_rank_by_members(run, suffix):
    made = with_members(f"ensemble{suffix}")
    found = run(f"rank ensemble{suffix} --by mutual_information --top 3 --json")["samples"]
    assert found == list(rank(made, "mutual_information", count=3))


# sample


def test_sample_is_the_function_in_either_format(run, teacher):
    labels, counts = (sample_labels(teacher, n=9, seed=4, counts=counts) for counts in (False, True))
    run("sample demo/teacher.fod --n 9 --seed 4 --out labels.npz")
    run("sample demo/teacher.fod --n 9 --seed 4 --counts --out counts.npz")
    with np.load("labels.npz") as first, np.load("counts.npz") as second:
        np.testing.assert_array_equal(first["labels"], labels)
        np.testing.assert_array_equal(second["counts"], counts)
        assert second["class_names"].tolist() == NAMES
        assert second["indices"].tolist() == list(range(1000))
    run("sample demo/teacher.fod --n 9 --seed 4 --out labels.csv")
    run("sample demo/teacher.fod --n 9 --seed 4 --counts --out counts.csv")
    assert [row["label"] for row in table("labels.csv")] == [NAMES[label] for label in labels.ravel()]
    assert [[int(row[name]) for name in NAMES] for row in table("counts.csv")] == counts.tolist()


def test_sample_in_blocks_is_the_same(run, teacher, monkeypatch):
    monkeypatch.setattr("probly_data_generator_evaluation.commands.sample.NUMBERS_AT_ONCE", 100)
    assert run("sample demo/teacher.fod --n 9 --out labels.npz --json")["rows"] == 1000
    np.testing.assert_array_equal(np.load("labels.npz")["labels"], sample_labels(teacher, n=9))


@pytest.mark.parametrize("file", ["labels.csv", "counts.csv", "counts.npz"])
def test_what_sample_writes_are_votes(run, teacher, truth, file):
    counts = " --counts" if file.startswith("counts") else ""
    run(f"sample demo/truth.npz --n 20{counts} --out {file}")
    found = run(f"evaluate demo/teacher.fod --votes {file} --json")["votes"]
    assert found == compare_to_humans(teacher, HumanVotes(sample_labels(truth, n=20, counts=True))).summary()


def test_a_label_per_sample_is_read_as_labels(run, teacher, truth):
    run("sample demo/truth.npz --out drawn.npz")
    found = run("evaluate demo/teacher.fod --labels drawn.npz --json")["labels"]
    labels = sample_labels(truth)[:, 0]
    assert found["accuracy"] == pytest.approx(np.mean(teacher.probabilities.argmax(axis=1) == labels), abs=1e-12)


# evaluate


def test_the_scores_of_labels(run, teacher):
    found = run("evaluate demo/teacher.fod --json")
    known, errors = report(teacher)["metrics"], calibration_errors(teacher)
    assert found["mean_entropy"] == pytest.approx(known["mean_entropy"], abs=1e-6)
    for name in ("accuracy", "negative_log_likelihood", "brier_score"):
        assert found["labels"][name] == pytest.approx(known[name], abs=1e-6)
    assert found["labels"]["calibration_error"] == errors.expected
    assert found["labels"]["adaptive_calibration_error"] == errors.adaptive
    assert found["labels"]["classwise_calibration_error"] == errors.classwise
    assert found["members"] is found["votes"] is found["truth"] is None
    text = run("evaluate demo/teacher.fod")
    assert re.search(f"accuracy +{found['labels']['accuracy']:.4g}\n", text)
    assert run("evaluate demo/teacher.fod --labels demo/test.npz --json") == found
    assert run("evaluate demo/teacher.fod --labels demo/truth.npz --json") == found


def test_labels_of_no_classes_are_said_to_be_that(run):
    save("boxes.npz", Distributions([[0.25, 0.75]] * 2, labels=np.zeros((2, 4))))
    said = run("evaluate boxes.npz")
    assert "no scores of labels: labels of the shape (2, 4) are not one-hot" in said
    assert "(2, 4)" in fails("evaluate boxes.npz --labels boxes.npz")
    save("partly.npz", Distributions([[0.25, 0.75], [0.5, 0.5], [1, 0]], labels=[1.0, float("nan"), 1.0]))
    assert run("evaluate partly.npz --json")["labels"]["samples"] == 2
    assert run("rank partly.npz --json")["samples"][0]["label"] is None


def test_members_truth_and_votes(run):
    made = with_members("ensemble.fod")
    true = Distributions(some_members(1, 40, 1, 3)[:, 0] * 0.5 + made.probabilities * 0.5)
    save("true.npz", true)
    np.save("counts.npy", sample_labels(true, n=30, counts=True))
    found = run("evaluate ensemble.fod --truth true.npz --votes counts.npy --json")
    for name, value in decompose(made).means().items():
        assert found["members"][name] == pytest.approx(value, abs=1e-6)
    for title, sets in (("probability intervals", ProbabilityIntervals(made)), ("convex hulls", ConvexHulls(made))):
        covered = found["coverage"]["truth"][title]
        assert covered.pop("note") is None
        assert covered == coverage(sets, true).summary()
        assert found["coverage"]["votes"][title]["note"].endswith("or use samples with more votes")
    p, q = true.astype64(), made.astype64()
    assert found["truth"]["total_variation"] == pytest.approx(np.abs(p - q).sum(axis=1).mean() / 2, abs=1e-6)
    text = run("evaluate ensemble.fod --truth true.npz --votes counts.npy")
    for words in ("4 members:", "coverage of the truth", "coverage of the frequencies of the votes", "mutual inform"):
        assert words in text
    assert "no scores of labels: none" in text


def test_some_samples_have_votes_by_the_keys_of_a_store(run):
    keys = [f"{number:02}.png" for number in range(10)]
    generator = FirstOrderDataGenerator(lambda x: x, output_mode="logits", backend="numpy", class_names=["b", "a"])
    inputs = np.random.default_rng(0).normal(size=(10, 2))
    store = generator.generate_distributions(inputs, out="keyed.fod", keys=keys, progress=False)
    Path("votes.csv").write_text("image,a,b\n07.png,3,1\n02.png,0,4\nnobody.png,1,1")
    found = run("evaluate keyed.fod --votes votes.csv --json")["votes"]
    expected = HumanVotes([[4, 0], [1, 3]], indices=[2, 7])
    part = Distributions(store.gather([2, 7]), [2, 7])
    assert found == compare_to_humans(part, expected).summary()
    save("bare.npz", part, {"class_names": ["b", "a"]})
    assert "called by keys, such as '07.png'" in fails("evaluate bare.npz --votes votes.csv")


def test_numbers_that_are_keys_are_not_taken_for_indices(run):
    generator = FirstOrderDataGenerator(lambda x: x, output_mode="logits", backend="numpy", class_names=["a", "b"])
    inputs = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    store = generator.generate_distributions(inputs, out="keyed.fod", keys=["02", "01", "00"], progress=False)
    Path("votes.csv").write_text("image,a,b\n00,9,1\n2,5,5\n")
    found = run("evaluate keyed.fod --votes votes.csv --json")["votes"]
    part = Distributions(store.gather([0, 2]), [0, 2])
    assert found == compare_to_humans(part, HumanVotes([[5, 5], [9, 1]], indices=[0, 2])).summary()


# calibrate


def test_calibrate_to_labels_recovers_a_planted_temperature(run, truth):
    sharp = rescale(truth, 0.4)
    save("sharp.npz", Distributions(sharp.probabilities, labels=sample_labels(truth, seed=5)[:, 0]))
    found = run("calibrate sharp.npz --out calm.fod --seed 3 --json")
    assert found["temperature"] == pytest.approx(2.5, rel=0.15)
    assert (found["fitted_on"], found["reported_on"]) == (500, 500)
    assert found["after"]["negative_log_likelihood"] < found["before"]["negative_log_likelihood"]
    assert found["after"]["calibration_error"] < found["before"]["calibration_error"]
    order = np.random.default_rng(3).permutation(1000)
    sharp = load("sharp.npz")[0]
    fitted = np.sort(order[:500])
    half = Distributions(sharp.gather(fitted), labels=sharp.labels[fitted])
    assert found["temperature"] == pytest.approx(fit_temperature(half).temperature, rel=1e-9)
    calm = open_store("calm.fod")
    assert calm.meta["rescaled_temperature"] == found["temperature"]
    np.testing.assert_array_equal(np.asarray(calm), np.asarray(rescale(sharp, found["temperature"])))
    assert calm.labels.tolist() == sharp.labels.tolist()


def test_calibrate_to_votes_is_the_function(run, teacher, truth):
    run("sample demo/truth.npz --n 20 --counts --out counts.npz")
    found = run("calibrate demo/teacher.fod --votes counts.npz --seed 2 --json")
    expected = calibrate(teacher, HumanVotes(sample_labels(truth, n=20, counts=True)), seed=2)
    assert found["temperature"] == pytest.approx(expected.temperature, rel=1e-9)
    for side in ("before", "after"):
        for name, value in getattr(expected, side).items():
            assert found[side][name] == pytest.approx(value, rel=1e-9)
        assert found[side]["samples"] == 500
    text = run("calibrate demo/teacher.fod --votes counts.npz")
    assert "unbiased squared distance to the votes" in text
    assert "accuracy, which no temperature changes" in text


# Documents


def test_the_session_of_the_documentation(run):
    text = (Path(__file__).parents[2] / "docs/evaluation.md").read_text(encoding="utf-8")
    (session,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    for line in session.splitlines():
        assert run(line.removeprefix("first-order "))
    assert load("calibrated.fod")[1]["rescaled_temperature"] > 0
    for name in ("calibrate", "evaluate", "rank", "sample"):
        command = first_order.get_command(click.Context(first_order), name)
        assert f"| `{name} FILE" in text
        assert {option.opts[0] for option in command.params if option.name not in ("file", "debug")} <= set(
            re.findall(r"--[a-z]+", text)
        )


# Refusals


def fails(line):
    """Return the message of an error that the group shows with exit code 2."""
    with pytest.MonkeyPatch.context() as patch:
        said = []
        patch.setattr("probly_data_generator_command_line.run.say", lambda text, **_: said.append(text))
        assert main(line.split()) == 2, said
    (message,) = said
    return message


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("rank demo/teacher.fod --by variance", "--by variance needs members"),
        ("rank bare.npz --by label", "--by label needs labels, and it has none; give them by --labels"),
        ("rank demo/teacher.fod --out a.txt", "expected a file ending in .csv or .parquet as --out"),
        ("rank demo/teacher.fod --out there.csv", "there.csv: exists, and was left as it is"),
        ("rank store.fod --out store.fod/a.csv", "lies in the store"),
        ("sample demo/teacher.fod --out a.txt", "expected a file ending in .npz or .csv as --out"),
        ("sample demo/teacher.fod --seed 99999999999999999999 --out a.npz", "seed: expected a whole number from 0"),
        ("calibrate bare.npz", "has no labels to calibrate to; give them by --labels, or human votes by --votes"),
        ("calibrate demo/teacher.fod --out a.docx", "expected one of the suffixes"),
        ("evaluate nothing.npz", "nothing.npz: No such file or directory"),
        ("evaluate bare.npz --labels short.npy", "no label for index 2, there are 2"),
        ("evaluate bare.npz --labels objects.npy", "cannot be read as arrays of NumPy"),
        ("evaluate bare.npz --labels bare.npz", "bare.npz: has no labels"),
        ("evaluate bare.npz --votes short.npy", "counts: expected numbers of the shape (samples, classes)"),
        ("evaluate bare.npz --votes few.npy", "few.npy: has counts for 2 samples in order, and the rows go to index 2"),
        ("evaluate bare.npz --votes three.npy", "votes: expected 2 classes, as the rows have, got 3"),
        ("evaluate bare.npz --votes there.csv", "expected the columns sample and vote"),
        ("evaluate bare.npz --votes bytes.csv", "bytes.csv: cannot be read as text"),
        ("evaluate bare.npz --votes empty.csv", "empty.csv: has no votes"),
        ("evaluate bare.npz --votes other.csv", "its samples have the indices 8 to 8, the rows have 0 to 2"),
        ("evaluate bare.npz --votes votes.txt", "expected a file of votes that ends in .csv, .json"),
        ("evaluate bare.npz --truth demo/truth.npz", "--truth: expected 2 classes, as the rows have, got 3"),
    ],
)
def test_what_is_refused_and_why(run, line, said):
    save("bare.npz", Distributions([[0.25, 0.75], [0.5, 0.5], [1, 0]]))
    save("store.fod", Distributions([[0.25, 0.75]]))
    np.save("short.npy", [0, 1])
    np.save("few.npy", [[1, 2], [3, 4]])
    np.save("three.npy", [[1, 2, 3]] * 3)
    np.save("objects.npy", np.array([{}, None, "a"], object), allow_pickle=True)
    for name, text in (("there", b"one"), ("bytes", b"a,b\n\xff,1"), ("empty", b"a,b\n"), ("other", b"a,b\n8,1\n")):
        Path(f"{name}.csv").write_bytes(text)
    assert said in fails(line)


# Terminals

EVIL = "cat\x1b[2J\x9b31m\u202egod\u2028\x7f\r\nall is well"
FORBIDDEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]")


def test_nothing_that_a_terminal_obeys_is_printed(run):
    generator = FirstOrderDataGenerator(lambda x: x, output_mode="logits", backend="numpy", class_names=[EVIL, "dog"])
    data = (np.random.default_rng(0).normal(size=(9, 2)), [EVIL, "dog", "dog"] * 3)
    keys = [f"{EVIL}{number}" for number in range(9)]
    generator.generate_distributions(data, out="evil.fod", keys=keys, progress=False)
    lines = ["rank evil.fod", "rank evil.fod --by label", "evaluate evil.fod", "sample evil.fod --n 3 --out a.csv"]
    lines += ["evaluate evil.fod --votes a.csv", "sample evil.fod --n 2 --counts --out b.csv"]
    lines += ["evaluate evil.fod --votes b.csv", "calibrate evil.fod --votes b.csv"]
    printed = "".join(run(line) for line in lines)
    printed += "".join(map(str, CliRunner().invoke(first_order, ["rank", "evil.fod", "--json"]).output))
    assert r"cat\u001b[2J" in printed
    assert FORBIDDEN.search(printed) is None
    assert "\nall is well" not in printed


def test_every_command_has_its_help_and_debug(run):
    for name in ("calibrate", "evaluate", "rank", "sample"):
        text = run(f"{name} --help")
        assert f"first-order {name} teacher.fod" in text
        assert "--debug" in text
        assert "\\b" not in text
