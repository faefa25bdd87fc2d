"""What `--data` takes: files, read without running code from them, and the user's own code; what is said of each."""

import pickle
import shutil
import textwrap

import datasets
import numpy as np
import pandas as pd
import pytest

from probly.data_generator.store import open_store
from probly_data_generator_command_line import main
from probly_data_generator_command_line.data.loading import load_data
from probly_data_generator_command_line.data.settings import DataSettings
from probly_data_generator_command_line.errors import InputError
from tests.command_line.own_code import LABELS, ROWS, check_rows, generate


@pytest.mark.parametrize("names", [("inputs", "labels"), ("x", "y"), ("X", "Y"), ("inputs", "label")])
def test_an_npz_has_inputs_and_labels_by_name(mine, names):
    np.savez("data.npz", **{names[0]: ROWS, names[1]: LABELS, "other": np.zeros(2)})
    result = generate(mine, "data.npz")
    assert check_rows().labels.tolist() == LABELS.tolist()
    assert result["data"]["inputs"] == f"'{names[0]}', float64 [20, 3]"
    assert result["data"]["labels"] == f"'{names[1]}', int64 [20]"
    assert result["data"]["not used"] == "other"


def test_an_npz_with_other_names_lists_them(mine):
    np.savez("data.npz", pixels=ROWS, target=LABELS)
    line = "generate --backend numpy --model mine:model --out out.fod --data data.npz"
    assert "It has pixels, target; name it 'inputs' or 'x', or pass --inputs-key and --labels-key" in mine.fails(line)
    generate(mine, "data.npz --inputs-key pixels --labels-key target")
    assert check_rows().labels.tolist() == LABELS.tolist()
    assert "there are pixels, target" in mine.fails(f"{line} --inputs-key pixel")


def test_several_inputs_become_a_mapping_and_are_cast(mine):
    np.savez("data.npz", a=ROWS[:, 0], b=ROWS[:, 1])
    said = generate(mine, "data.npz --inputs-key a,b --input-dtype float32", "first")["data"]
    assert (said["inputs"], said["cast to"]) == ("'a', float64 [20]; 'b', float64 [20]", "float32")
    np.testing.assert_array_equal(check_rows().probabilities[:, 0], ROWS[:, 0].astype(np.float32))


def test_arrays_with_different_rows_are_refused(mine):
    np.savez("data.npz", inputs=ROWS, labels=LABELS[:-1])
    line = "generate --backend numpy --model mine:model --out out.fod --data data.npz"
    assert "expected one row per sample in every array, got {'inputs': 20, 'labels': 19}" in mine.fails(line)


def test_an_npy_is_mapped_and_has_no_labels(mine):
    np.save("data.npy", ROWS)
    assert generate(mine, "data.npy")["data"]["labels"] == "none"
    assert check_rows().labels is None
    line = "generate --backend numpy --model mine:model --out out.fod --data data.npy --inputs-key a"
    assert "holds one array" in mine.fails(line)


@pytest.mark.parametrize("name", ["data.npy", "data.npz"])
def test_pickles_are_never_opened(mine, name):
    import mine as module

    objects = np.array([module.Broken()], dtype=object)
    if name == "data.npy":
        np.save(name, objects, allow_pickle=True)
    else:
        np.savez(name, inputs=objects)
    line = f"generate --backend numpy --model mine:model --out out.fod --data {name}"
    assert "cannot be read without running code from it" in mine.fails(line)
    assert not (mine.folder / "hacked").exists()
    (mine.folder / "data.npz").write_bytes(pickle.dumps(module.Broken()))
    assert "or is damaged" in mine.fails("generate --backend numpy --model mine:model --out out.fod --data data.npz")
    assert not (mine.folder / "hacked").exists()


def test_a_table_has_a_label_and_features(mine):
    pd.DataFrame({"a": ROWS[:, 0], "label": LABELS, "b": ROWS[:, 1], "c": ROWS[:, 2]}).to_parquet("data.parquet")
    result = generate(mine, "data.parquet")
    assert result["data"]["inputs"] == "a, b, c: float64 [20, 3]"
    assert check_rows().labels.tolist() == LABELS.tolist()


def test_a_table_has_a_column_of_lists_or_chosen_columns(mine):
    frame = pd.DataFrame({"inputs": list(ROWS), "label": [str(label) for label in LABELS], "note": "text"})
    frame.to_parquet("data.parquet")
    assert generate(mine, "data.parquet")["data"]["inputs"] == "inputs: float64 [20, 3]"
    assert check_rows().labels.tolist() == [str(label) for label in LABELS]
    line = "generate --backend numpy --model mine:model --out out.fod --data data.parquet"
    said = mine.fails(f"{line} --inputs-key note,label").replace("large_string", "string")
    assert "column 'note' holds string" in said


def test_a_table_with_gaps_or_text_is_refused(mine):
    line = "generate --backend numpy --model mine:model --out out.fod --data data.parquet"
    pd.DataFrame({"a": [1.0, None], "b": [1.0, 2.0]}).to_parquet("data.parquet")
    assert "column 'a' lacks 1 values" in mine.fails(line)
    pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}).to_parquet("data.parquet")
    assert "choose the columns of the inputs with --inputs-key a,b,c" in mine.fails(line)
    (mine.folder / "data.parquet").write_bytes(b"nonsense")
    assert "cannot be read as Parquet" in mine.fails(line)


def test_the_users_own_function_makes_the_dataset(mine):
    assert generate(mine, "mine:test_set")["data"]["data"] == "mine:test_set, a list of your own code"
    np.testing.assert_array_equal(open_store("out.fod").probabilities, np.eye(3, dtype=np.float32))
    line = "generate --backend numpy --model mine:model --out o.fod --data mine:test_set --labels-key y"
    assert "leave out --inputs-key" in mine.fails(line)


def test_a_dataset_of_hugging_face_with_numbers(mine):
    features = datasets.Features(
        {"x": datasets.Sequence(datasets.Value("float64")), "label": datasets.ClassLabel(names=["a", "b", "c"])}
    )
    rows = datasets.Dataset.from_dict({"x": ROWS.tolist(), "label": LABELS.tolist()}, features=features)
    rows.save_to_disk("saved")
    generate(mine, "saved")
    assert check_rows().labels.tolist() == LABELS.tolist()
    assert open_store("out.fod").class_names == ["a", "b", "c"]
    for name, columns in (("arrow", None), ("numpy", ["x"])):  # formats, which are saved with it
        rows.with_format(name, columns=columns).save_to_disk(name)
        shutil.rmtree("out.fod")
        generate(mine, name)
        assert check_rows().labels.tolist() == LABELS.tolist()
    datasets.DatasetDict({"train": rows, "validation": rows}).save_to_disk("both")
    line = "generate --backend numpy --model mine:model --out o.fod --data both"
    assert "has the splits train, validation; name one of them, as --split validation" in mine.fails(line)
    assert "there is no 'test'; name one of these, as --split validation" in mine.fails(f"{line} --split test")
    mine.run(f"{line} --split validation --class-names c,b,a")
    assert open_store("o.fod").labels.tolist() == (2 - LABELS).tolist()
    mine.run(f"{line.replace('o.fod', 'p.fod')}/validation --class-names c,b,a")
    assert open_store("p.fod").labels.tolist() == (2 - LABELS).tolist()
    assert "saved: has no splits; leave out --split test" in mine.fails(f"{line.replace('both', 'saved')} --split test")


def test_a_split_of_the_users_own(mine):
    own = """
        import datasets
        def several():
            rows = datasets.Dataset.from_dict({"x": [[1.0, 0.0], [0.0, 1.0]], "label": [0, 1]})
            return datasets.DatasetDict({"train": rows, "test": rows.select([1])})
        def first(sample):
            return sample["x"]
        """
    (mine.folder / "several.py").write_text(textwrap.dedent(own))
    line = "generate --backend numpy --model mine:model --out out.fod --data several:several"
    line += " --input-getter several:first"
    assert "several:several: has the splits train, test; name one of them, as --split test" in mine.fails(line)
    mine.run(f"{line} --split test")
    assert len(open_store("out.fod")) == 1
    assert "mine:test_set: has no splits" in mine.fails(f"{line.replace('several:several', 'mine:test_set')} --split a")


def test_the_names_of_labels_in_parquet(mine):
    names = ["a", "b", "c"]
    features = datasets.Features(
        {"x": datasets.Sequence(datasets.Value("float64")), "label": datasets.ClassLabel(names=names)}
    )
    rows = datasets.Dataset.from_dict({"x": ROWS.tolist(), "label": [2, -1, 0, 1] * 5}, features=features)
    rows.to_parquet("named.parquet")
    assert generate(mine, "named.parquet")["data"]["labels"] == "'label', int64 [20]; 5 rows have none"
    found = open_store("out.fod")
    assert (found.labels.tolist(), found.class_names) == ([2, -1, 0, 1] * 5, names)
    line = "generate --backend numpy --model mine:model --data named.parquet"
    mine.run(f"{line} --out o.fod --class-names c,b,a")
    assert open_store("o.fod").labels.tolist() == [0, -1, 2, 1] * 5
    said = mine.fails(f"{line} --out p.fod --class-names x,b,c")
    assert "its label 'a' is not among the 3 class names" in said


def test_an_empty_text_is_no_folder(mine):
    assert main(["generate", "--backend", "numpy", "--model", "mine:mean", "--out", "o.fod", "--data", ""]) == 2
    assert "--data: expected a file, a folder or module:attribute, got an empty text" in mine.capsys.readouterr().err


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (LABELS + 1, "labels count from 1 to 3: expected class indices from 0 to 2"),
        (LABELS + 5, "expected class indices from 0 to 2"),
        (np.array(["a", "d"] * 10), "10 labels are none of the classes, such as 'd'"),
    ],
)
def test_labels_outside_the_classes_are_kept_and_noticed(mine, labels, said):
    np.savez("data.npz", inputs=ROWS, labels=labels)
    generate(mine, "data.npz --class-names a,b,c")
    assert mine.err.startswith("Warning: the labels are kept, but not all of them are among the 3 classes: ")
    assert said in mine.err
    assert open_store("out.fod").labels.tolist() == labels.tolist()
    mine.run("generate --backend numpy --model mine:model --out out.fod --data data.npz --class-names a,b,c --fresh")
    assert said in mine.err


def test_a_report_without_scores_says_why(mine):
    np.savez("data.npz", inputs=ROWS, labels=LABELS + 1)
    generate(mine, "data.npz --class-names a,b,c")
    mine.run("report out.fod")
    said = (
        "the labels were not used, so there are no scores: labels count from 1 to 3: expected class indices from 0 to 2"
    )
    assert mine.err.startswith(f"Warning: {said}; subtract 1")


@pytest.mark.parametrize("labels", [LABELS, np.array(["a", "c"] * 10), LABELS / 7, np.zeros((20, 4))])
def test_labels_that_may_be_meant_are_not_noticed(mine, labels):
    np.savez("data.npz", inputs=ROWS, labels=labels)
    generate(mine, "data.npz --class-names a,b,c")
    assert "Warning" not in mine.err


def test_a_dataset_without_samples_is_noticed(mine):
    np.savez("data.npz", inputs=ROWS[:0], labels=LABELS[:0])
    assert generate(mine, "data.npz")["rows"] == 0
    assert "Warning: data.npz has no samples, so the store has no rows\n" in mine.err


def test_a_report_with_other_arrays_is_noticed(mine):
    np.savez("data.npz", inputs=ROWS, labels=LABELS)
    generate(mine, "data.npz")
    np.save("same.npy", ROWS)
    for name in ("data.npz", "same.npy"):
        mine.run(f"report out.fod --data {name}")
        assert "Warning" not in mine.err
    np.save("other.npy", ROWS[::-1])
    mine.run("report out.fod --data other.npy")
    assert mine.err.startswith("Warning: --data other.npy: its inputs are not the arrays that the rows were made from")


@pytest.mark.filterwarnings("default:.*the samples of the dataset cannot be seen:UserWarning")
def test_a_table_that_is_not_computed_yet_says_how_it_is(mine):
    (mine.folder / "own.py").write_text(
        "import pandas as pd\n\n\nclass LazyFrame:\n    def __getitem__(self, name):\n        raise TypeError\n\n"
        "    def collect(self):\n        return pd.DataFrame({'a': [0.25], 'b': [0.75]})\n\n\n"
        "lazy = LazyFrame()\ncollected = lazy.collect()\n"
    )
    line = "generate --backend numpy --model mine:model --out out.fod --data"
    mine.run(f"{line} own:lazy", code=2)
    assert mine.err.endswith("got LazyFrame; pass what its collect() returns\n")
    mine.run(f"{line} own:collected")


@pytest.mark.parametrize("name", ["plain.npz", "compressed.npz", "array.npy"])
def test_a_damaged_array_is_named(tmp_path, name):
    path = tmp_path / name
    if name.endswith("npy"):
        np.save(path, ROWS)
    else:
        (np.savez if name == "plain.npz" else np.savez_compressed)(path, inputs=ROWS, labels=LABELS)
    content, random = path.read_bytes(), np.random.default_rng(0)
    said = []
    for _ in range(600):
        damaged = bytearray(content)
        damaged[random.integers(len(content))] = random.integers(256)
        path.write_bytes(damaged[: random.integers(len(content))] if random.integers(4) == 0 else damaged)
        try:
            load_data(str(path), DataSettings())
        except InputError as error:
            said.append(error.message)
    assert len(said) > 100
    assert [message for message in said if str(path) not in message] == []
