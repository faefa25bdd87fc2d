"""Datasets of Hugging Face `datasets`, as the agnostic backend reads them; the others read them in the same way."""

import datasets
import numpy as np
import pytest

from probly.data_generator import AlignmentError, Distributions, FirstOrderDataGenerator

LOGITS = np.random.default_rng(0).normal(size=(11, 3)).astype(np.float32)
EXPECTED = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
LABELS = [number % 3 for number in range(11)]
FEATURES = datasets.Features(
    {"x": datasets.Sequence(datasets.Value("float32")), "label": datasets.ClassLabel(names=["a", "b", "c"])}
)
ROWS = datasets.Dataset.from_dict({"x": LOGITS.tolist(), "label": LABELS}, features=FEATURES)
STREAM = ROWS.to_iterable_dataset(num_shards=3)


@pytest.fixture(autouse=True)
def quiet():
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def run(data, **options):
    options = {"input_getter": lambda sample: sample["x"], "batch_size": 4, "output_mode": "logits", **options}
    generator = FirstOrderDataGenerator(lambda batch: np.asarray(batch, np.float32), backend="numpy", **options)
    return generator.generate_distributions(data, progress=False)


def saved(folder):
    ROWS.save_to_disk(folder / "saved")
    return datasets.load_from_disk(folder / "saved")


def streamed_file(folder):
    ROWS.to_parquet(folder / "a.parquet")
    return datasets.load_dataset("parquet", data_files=str(folder / "a.parquet"), split="train", streaming=True)


READ = {
    "as it is": lambda folder: ROWS,
    "saved": saved,
    "a split": lambda folder: datasets.DatasetDict({"train": ROWS, "test": ROWS})["test"],
    "with a format": lambda folder: ROWS.with_format("numpy"),
    "with a transform": lambda folder: ROWS.with_transform(
        lambda rows: {**rows, "x": [np.array(x) for x in rows["x"]]}
    ),
    "streamed": lambda folder: STREAM,
    "streamed with a format": lambda folder: STREAM.with_format("numpy"),
    "streamed from a file": streamed_file,
    "streamed and mapped": lambda folder: STREAM.map(lambda sample: sample),
}


@pytest.mark.parametrize("kind", READ)
def test_rows_stand_under_their_place_with_labels_and_names(kind, tmp_path):
    found = run(READ[kind](tmp_path))
    np.testing.assert_allclose(found.probabilities, EXPECTED, atol=1e-6)
    assert found.labels.tolist() == LABELS
    assert found.class_names == (None if kind == "streamed and mapped" else ["a", "b", "c"])  # whose features are lost


def test_what_a_run_made_goes_back_to_the_library_and_forth(tmp_path):
    run(ROWS, model_name="mine").save(tmp_path / "a.parquet")
    rows = datasets.Dataset.from_parquet(str(tmp_path / "a.parquet"), cache_dir=str(tmp_path))
    assert rows.features["label"] == FEATURES["label"]
    found = run(rows, input_getter=lambda sample: np.log(sample["probabilities"]))
    np.testing.assert_allclose(found.probabilities, EXPECTED, atol=1e-6)
    assert Distributions.load(tmp_path / "a.parquet").class_names == found.class_names


@pytest.mark.parametrize("names", [("train", "test"), ("train",)])
@pytest.mark.parametrize("streamed", [False, True])
def test_several_splits_are_refused_with_their_names(names, streamed):
    kind, rows = (datasets.IterableDatasetDict, STREAM) if streamed else (datasets.DatasetDict, ROWS)
    said = rf"a {kind.__name__} holds the datasets {', '.join(map(repr, names))}, each .* dataset\['{names[-1]}'\]"
    for options in ({}, {"batched": True}, {"input_getter": None}):
        with pytest.raises(AlignmentError, match=said):
            run(kind(dict.fromkeys(names, rows)), **options)


@pytest.mark.parametrize("kind", ["arrow", "pandas", "polars"])
def test_rows_that_are_tables_are_refused(kind):
    live = ROWS.with_format(kind)
    for dataset in (live, live.to_iterable_dataset(), STREAM.with_format(kind)):
        with pytest.raises(ValueError, match=rf"each row as a table, with_format\('{kind}'\); pass .*format\(None\)"):
            run(dataset)
        assert run(dataset.with_format(None)).labels.tolist() == LABELS


SHUFFLED = {
    "shuffled": lambda: STREAM.shuffle(seed=1, buffer_size=5),
    "shuffled shards": lambda: STREAM.shuffle(seed=1, buffer_size=1),
    "shuffled and mapped": lambda: STREAM.shuffle(seed=1).map(lambda sample: sample).take(11),
    "drawn at random": lambda: datasets.interleave_datasets([STREAM, STREAM], probabilities=[0.5, 0.5], seed=1),
    "one part shuffled": lambda: datasets.concatenate_datasets([STREAM, STREAM.shuffle(seed=1)]),
}


@pytest.mark.parametrize("kind", SHUFFLED)
def test_streams_in_no_defined_order_are_refused(kind):
    with pytest.raises(AlignmentError, match=r"has no defined order .*set index_getter"):
        run(SHUFFLED[kind]())


def test_streams_that_carry_their_index_may_come_as_they_like():
    numbered = ROWS.add_column("row", list(range(11))).to_iterable_dataset().shuffle(seed=1, buffer_size=11)
    found = run(numbered, index_getter=lambda sample: sample["row"])
    np.testing.assert_allclose(found.probabilities, EXPECTED, atol=1e-6)
    assert found.labels.tolist() == LABELS
