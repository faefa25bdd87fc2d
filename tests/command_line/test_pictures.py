"""Pictures as `--data`: folders and saved datasets, and what happens to a picture on its way to the model."""

import datasets
import numpy as np
import pytest
from PIL import Image

from probly.data_generator.store import open_store
from probly_data_generator_command_line.data.loading import load_data
from probly_data_generator_command_line.data.settings import DataSettings, label_positions
from probly_data_generator_command_line.errors import InputError
from tests.command_line.own_code import generate, seen


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
    np.testing.assert_array_equal(seen(), expected.transpose(0, 3, 1, 2))
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
        "mean",
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
    said = "row 0 of column 'image' (deep.tif): cannot be read as a picture: it has more than 8 bits"
    assert said in mine.fails(f"{line.replace('pets', 'saved')} --channels last")
    code = "def scaled(image):\n    import numpy as np\n    return np.asarray(image, np.float64) / 65535\n"
    (mine.folder / "own.py").write_text(code)
    mine.run(f"{line} --transform own:scaled")
    np.testing.assert_allclose(open_store("out.fod").probabilities[0, 0], 90_300 / 4 / 65535, rtol=1e-6)
    shown = load_data("pets", DataSettings(raw=True)).samples[0]
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
