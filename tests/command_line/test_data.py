"""What `--data` takes: files and folders, read without running code from them, and what is said of them."""

import pickle

import datasets
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from probly.data_generator.store import open_store
from probly_data_generator_command_line import main
from probly_data_generator_command_line.data.loading import DataSettings, label_positions, load_data
from probly_data_generator_command_line.errors import InputError
from tests.command_line.commands import shell as shell  # noqa: PLC0414  # a fixture is found by its name

ROWS = np.random.default_rng(0).dirichlet(np.ones(3), size=20)
LABELS = np.arange(20) % 3
CODE = """
import numpy as np

SEEN = []


def model(inputs):
    SEEN.append(inputs)
    return inputs


def first(inputs):
    return np.stack([inputs["a"], inputs["b"], 1 - inputs["a"] - inputs["b"]], axis=1)


def mean(inputs):  # the mean of a picture decides among three classes
    SEEN.append(inputs)
    means = inputs.reshape(len(inputs), -1).mean(axis=1)
    return np.stack([means, 1 - means, 0 * means], axis=1)


def tiny(image):
    return np.asarray(image.convert("L").resize((2, 2)), np.float64) / 255


def test_set():
    return [(row, 0) for row in np.eye(3)]


class Broken:
    def __reduce__(self):
        return exec, ("open('hacked', 'w')",)
"""


@pytest.fixture
def mine(shell):
    (shell.folder / "mine.py").write_text(CODE)
    return shell


def generate(shell, data, model="model"):
    return shell.json(f"generate --backend numpy --model mine:{model} --out out.fod --data {data}")


def seen():
    import mine

    inputs = np.concatenate(mine.SEEN[:-1] if len(mine.SEEN) > 1 else mine.SEEN)
    mine.SEEN.clear()
    return inputs


def check_rows():
    store = open_store("out.fod")
    np.testing.assert_allclose(store.probabilities, ROWS, atol=1e-7)
    return store


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
    assert generate(mine, "data.npz --inputs-key a,b --input-dtype float32", "first")["data"]["inputs"] == (
        "'a', float32 [20]; 'b', float32 [20]"
    )
    check_rows()


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
    assert "column 'note' holds string" in mine.fails(f"{line} --inputs-key note").replace("large_string", "string")


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


def opened(path):
    with Image.open(path) as image:
        return image.copy()


def pictures(folder, sizes=((6, 8),)):
    """Write three classes of pictures, some in subfolders, and return the files in the order of ImageFolder."""
    random = np.random.default_rng(0)
    order = []
    for name in ("bird", "cat", "dog"):
        for place in ("", "a/", "b/"):
            for number in range(3):
                path = folder / name / f"{place}{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                size = sizes[len(order) % len(sizes)]
                Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
                order.append(path)
    return order


def test_a_folder_of_pictures_is_read_in_order(mine):
    order = pictures(mine.folder / "pets")
    (mine.folder / "pets/notes.txt").write_text("no picture")
    result = generate(mine, "pets --channels first", "mean")
    expected = np.stack([np.asarray(opened(path), np.float32) / 255 for path in order])
    store = open_store("out.fod")
    np.testing.assert_allclose(store.probabilities[:, 0], expected.reshape(27, -1).mean(axis=1), atol=1e-6)
    np.testing.assert_array_equal(seen()[:27], expected.transpose(0, 3, 1, 2))
    assert store.labels.tolist() == np.repeat([0, 1, 2], 9).tolist()
    assert store.class_names == ["bird", "cat", "dog"]
    assert store.sample_keys.tolist() == [path.relative_to(mine.folder / "pets").as_posix() for path in order]
    assert result["data"]["pictures"] == "RGB, float32 in [0, 1], (channels, height, width)"
    assert result["data"]["all of them"] == "8 x 6 (width x height)"
    assert result["data"]["left out"] == "1 files that are no pictures, hidden, or in no subfolder"


def test_pictures_are_scaled_cut_and_normalised_as_said(mine):
    order = pictures(mine.folder / "pets", sizes=((10, 14), (14, 10)))
    generate(
        mine,
        "pets --channels last --image-size 4 --resize 5 --mean 0.1,0.2,0.3 --std 2,4,8",
        "mean --output-mode logits",
    )
    wide = opened(order[0]).resize((7, 5), Image.Resampling.BILINEAR).crop((2, 0, 6, 4))
    tall = opened(order[1]).resize((5, 7), Image.Resampling.BILINEAR).crop((0, 2, 4, 6))
    first = (np.stack([wide, tall]) / 255 - [0.1, 0.2, 0.3]) / [2, 4, 8]
    found = seen()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:2], first, atol=1e-6)


def test_gray_pictures_and_own_transforms(mine):
    order = pictures(mine.folder / "pets")
    generate(mine, "pets --channels last --colour grayscale --mean 0.5", "mean --output-mode logits")
    np.testing.assert_allclose(seen()[0, :, :, 0], np.asarray(opened(order[0]).convert("L")) / 255 - 0.5, atol=1e-6)
    line = "generate --backend numpy --model mine:mean --data pets --transform mine:tiny --out tiny.fod"
    assert "your own --transform" in mine.run(line)
    assert seen().shape[1:] == (2, 2)
    assert "leave out --image-size" in mine.fails(f"{line} --image-size 3")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("", "--channels: this backend's models take pictures of either order; say first"),
        ("--channels first", "different sizes: pets/bird/0.png is 8 x 6, pets/bird/1.png is 6 x 6"),
        ("--channels first --resize 4", "--resize 4: expected --image-size beside it"),
        ("--channels first --image-size 5 --resize 4", "not larger than it"),
        ("--channels first --image-size 5 --mean 1", "--mean: expected 3 numbers, one per channel, got 1"),
        ("--channels first --image-size 5 --std 1,0,1", "--std: expected numbers other than 0"),
        ("--channels first --image-size 5 --class-names cat,dog", "its label 'bird' is not among the 2 class names"),
        ("--channels first --image-size 5 --labels-key y", "has no arrays to choose from"),
    ],
)
def test_mistakes_with_pictures_are_explained(mine, options, said):
    pictures(mine.folder / "pets", sizes=((6, 8), (6, 6)))
    line = f"generate --backend numpy --model mine:mean --out o.fod --data pets {options}"
    assert said in mine.fails(line).replace(str(mine.folder) + "/", "")


def test_folders_that_hold_no_classes_or_no_pictures_are_explained(mine):
    line = "generate --backend numpy --model mine:mean --channels first --out o.fod --data pets"
    (mine.folder / "pets").mkdir()
    assert "expected a subfolder per class" in mine.fails(line)
    (mine.folder / "pets/cat").mkdir()
    assert "the subfolder 'cat' has no pictures" in mine.fails(line)
    (mine.folder / "pets/cat/a.png").write_bytes(b"no picture")
    assert "a.png: cannot be read as a picture" in mine.fails(line)


def test_labels_of_folders_count_the_named_columns(mine):
    pictures(mine.folder / "pets")
    generate(mine, "pets --channels first --class-names dog,bird,cat", "mean")
    store = open_store("out.fod")
    assert store.labels.tolist() == np.repeat([1, 2, 0], 9).tolist()
    assert store.class_names == ["dog", "bird", "cat"]


def test_a_folder_with_fewer_classes_than_columns_needs_names(mine):
    pictures(mine.folder / "pets")
    for path in (mine.folder / "pets/dog").rglob("*.png"):
        path.unlink()
    for path in ("a", "b", ""):
        (mine.folder / "pets/dog" / path).rmdir()
    line = "generate --backend numpy --model mine:mean --channels first --out out.fod --data pets"
    assert "class_names: expected 3 names, one per class, got 2" in mine.fails(line)
    assert "--class-names" in mine.err
    mine.run(f"{line} --class-names bird,cat,dog")


def test_a_dataset_of_hugging_face_with_numbers(mine):
    features = datasets.Features(
        {"x": datasets.Sequence(datasets.Value("float64")), "label": datasets.ClassLabel(names=["a", "b", "c"])}
    )
    rows = datasets.Dataset.from_dict({"x": ROWS.tolist(), "label": LABELS.tolist()}, features=features)
    rows.save_to_disk("saved")
    generate(mine, "saved")
    assert check_rows().labels.tolist() == LABELS.tolist()
    assert open_store("out.fod").class_names == ["a", "b", "c"]
    datasets.DatasetDict({"train": rows, "validation": rows}).save_to_disk("both")
    line = "generate --backend numpy --model mine:model --out o.fod --data both"
    assert "has the splits train, validation; pass one of them, as both/validation" in mine.fails(line)
    mine.run("generate --backend numpy --model mine:model --out o.fod --data both/validation --class-names c,b,a")
    assert open_store("o.fod").labels.tolist() == (2 - LABELS).tolist()


def test_a_dataset_of_hugging_face_with_pictures(mine):
    order = pictures(mine.folder / "pets")
    images = [opened(path) for path in order]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["n", "p", "q"])})
    rows = datasets.Dataset.from_dict({"image": images, "label": np.repeat([0, 1, 2], 9).tolist()}, features=features)
    rows.save_to_disk("saved")
    result = generate(mine, "saved --channels last", "mean")
    np.testing.assert_allclose(seen()[0], np.asarray(images[0], np.float32) / 255, atol=1e-7)
    assert result["data"]["pictures"] == "RGB, float32 in [0, 1], (height, width, channels)"
    assert open_store("out.fod").labels.tolist() == np.repeat([0, 1, 2], 9).tolist()


def test_a_report_shows_only_the_pictures_that_the_rows_belong_to(mine):
    order = pictures(mine.folder / "pets")
    generate(mine, "pets --channels first", "mean")
    mine.run("report out.fod --data pets")
    order[4].rename(order[4].with_name("9.png"))
    assert "at index 4 the store has 'bird/a/1.png', the data has 'bird/a/2.png'" in mine.fails(
        "report out.fod --data pets"
    )


@pytest.mark.parametrize("values", [np.uint16, np.int32, np.float32])
def test_pictures_of_more_than_8_bits_are_refused_not_clipped(mine, values):
    path = mine.folder / "pets/cat/deep.tif"
    path.parent.mkdir(parents=True)
    Image.fromarray(np.array([[0, 300], [30_000, 60_000]], values)).save(path)
    line = "generate --backend numpy --out out.fod --data pets --class-names cat,dog,bird --model mine:mean"
    assert "deep.tif: cannot be read as a picture: it has more than 8 bits" in mine.fails(f"{line} --channels last")
    rows = datasets.Dataset.from_dict({"image": [str(path)]}).cast_column("image", datasets.Image())
    rows.save_to_disk("saved")
    said = "row 0 of column 'image' cannot be taken as a picture: it has more than 8 bits"
    assert said in mine.fails(f"{line.replace('pets', 'saved')} --channels last")
    code = "def scaled(image):\n    import numpy as np\n    return np.asarray(image, np.float64) / 65535\n"
    (mine.folder / "own.py").write_text(code)
    mine.run(f"{line} --transform own:scaled")
    np.testing.assert_allclose(open_store("out.fod").probabilities[0, 0], 90_300 / 4 / 65535, rtol=1e-6)
    shown, _ = load_data("pets", DataSettings(raw=True)).samples[0]
    np.testing.assert_array_equal(shown[:, :, 0], [[0, 1], [127, 255]])


def test_a_picture_that_is_too_large_for_pillow_is_named(mine, monkeypatch):
    pictures(mine.folder / "pets")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    line = "generate --backend numpy --model mine:mean --channels first --out out.fod --data pets"
    assert "pets/bird/0.png: is larger than Pillow opens" in mine.fails(line)
    assert "pets/bird/0.png: is larger than Pillow opens" in mine.fails(f"{line} --image-size 4")


def test_hidden_files_and_folders_are_no_samples(mine):
    pictures(mine.folder / "pets")
    (mine.folder / "pets/.previews").mkdir()
    (mine.folder / "pets/cat/.previews").mkdir()
    for name in (".previews/0.png", "cat/.previews/0.png", "cat/._0.png"):
        (mine.folder / "pets" / name).write_bytes(b"no picture")
    result = generate(mine, "pets --channels first", "mean")
    assert (result["rows"], result["class_names"]) == (27, ["bird", "cat", "dog"])
    assert result["data"]["left out"] == "3 files that are no pictures, hidden, or in no subfolder"


def test_names_that_stand_twice_are_refused(mine):
    pictures(mine.folder / "pets")
    line = "generate --backend numpy --channels first --out out.fod --data pets --model"
    mine.run(f"{line} mine:mean --class-names bird,cat,cat", code=2)
    assert "the name 'cat' stands twice" in mine.err
    with pytest.raises(InputError, match="its label 'cat' is the name of 2 columns"):
        label_positions(["bird", "cat"], ["bird", "cat", "cat"], mine.folder / "pets")
    assert label_positions(["bird"], ["bird", "cat", "cat"], mine.folder / "pets") == [0]


def test_a_names_file_may_begin_with_a_byte_order_mark(mine):
    pictures(mine.folder / "pets")
    (mine.folder / "names.txt").write_text("bird\ncat\ndog\n", encoding="utf-8-sig")
    assert generate(mine, "pets --channels first --class-names names.txt", "mean")["class_names"][0] == "bird"


def test_an_empty_text_is_no_folder(mine):
    assert main(["generate", "--backend", "numpy", "--model", "mine:mean", "--out", "o.fod", "--data", ""]) == 2
    assert "--data: expected a file, a folder or module:attribute, got an empty text" in mine.capsys.readouterr().err


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (LABELS + 1, "expected class indices from 0 to 2, got 3"),
        (LABELS - 1, "expected class indices from 0 to 2, got -1"),
        (np.array(["a", "d"] * 10), "'d' is not among the class names"),
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
    mine.run("report out.fod")
    assert mine.err.startswith("Warning: the labels were not used, so there are no scores: ")


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
