"""Pictures that lack something: labels, a picture, whole bytes, one size; each runs, or is named with what to do."""

import os
from io import BytesIO

import datasets
import numpy as np
import pytest
from PIL import Image

from probly.data_generator.store import open_store
from probly_data_generator_command_line.data.loading import load_data
from probly_data_generator_command_line.data.picture_folders import files_below
from probly_data_generator_command_line.data.settings import DataSettings, PictureSettings
from probly_data_generator_command_line.errors import InputError
from tests.command_line.own_code import generate

LINE = "generate --backend numpy --model mine:bright --channels last --out out.fod --data"
CLASSES = datasets.ClassLabel(names=["cat", "dog", "owl"])
PLAIN = DataSettings(pictures=PictureSettings(channels="last"))
SKIPPING = DataSettings(pictures=PictureSettings(channels="last"), skip_damaged=True)


def picture(value, size=(4, 3)):
    return Image.fromarray(np.full((size[1], size[0], 3), value, np.uint8))


def content(value, size=(4, 3)):
    buffer = BytesIO()
    picture(value, size).save(buffer, "PNG")
    return buffer.getvalue()


def truncated():
    """Return a file whose size can be read, but not all of its pixels."""
    noise = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()[:-30]


def write(path, value, size=(4, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content(value, size))


def saved(images, labels=None, label=CLASSES, image=None):
    columns = {"image": images} | ({} if labels is None else {"label": labels})
    features = {"image": image or datasets.Image()} | ({} if labels is None else {"label": label})
    datasets.Dataset.from_dict(columns, features=datasets.Features(features)).save_to_disk("saved")


def firsts(path="out.fod"):
    """Return the pictures' grey values, which the model returns."""
    return (open_store(path).probabilities[:, 0] * 255).round().tolist()


@pytest.mark.parametrize("place", ["", "unlabelled/", "unlabelled/deeper/"])
@pytest.mark.parametrize("names", ["", " --class-names cat,dog,owl"])
def test_pictures_without_classes_have_no_labels(mine, place, names):
    for number in (2, 0, 1):
        write(mine.folder / f"test/{place}{number}.png", 50 * number)
    said = generate(mine, f"test --channels last{names}", "bright")["data"]
    store = open_store("out.fod")
    assert store.labels is None
    assert store.sample_keys.tolist() == [f"{place}{number}.png" for number in range(3)]
    assert firsts() == [0, 50, 100]
    where = "the only subfolder, 'unlabelled', is " if place else "the pictures lie in no subfolders"
    assert said["labels"].startswith(f"none: {where}")
    mine.run("report out.fod --data test")


def test_a_single_subfolder_that_is_called_like_a_class_is_one(mine):
    write(mine.folder / "test/dog/0.png", 7)
    write(mine.folder / "test/loose.png", 7)
    said = generate(mine, "test --channels last --class-names cat,dog,owl", "bright")["data"]
    assert open_store("out.fod").labels.tolist() == [1]
    assert said["left out"] == "1 files that are no pictures, hidden, or in no subfolder"


def test_folders_beside_loose_pictures_may_hold_none(mine):
    write(mine.folder / "test/0.png", 7)
    (mine.folder / "test/notes").mkdir()
    (mine.folder / "test/notes/a.txt").write_text("")
    said = generate(mine, "test --channels last", "bright")["data"]
    assert said["left out"] == "1 files that are no pictures, hidden"
    assert firsts() == [7]


def test_links_to_themselves_end_and_pipes_are_not_opened(tmp_path):
    write(tmp_path / "cat/0.png", 1)
    write(tmp_path / "dog/0.png", 2)
    for number in range(4):
        (tmp_path / f"cat/again{number}").symlink_to(tmp_path / "cat", target_is_directory=True)
    (tmp_path / "cat/up").symlink_to("..", target_is_directory=True)
    (tmp_path / "dog/cat").symlink_to("../cat", target_is_directory=True)
    (tmp_path / "round.png").symlink_to("round.png")
    os.mkfifo(tmp_path / "cat/pipe.png")
    found = [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path)]
    assert found == ["round.png", "cat/0.png", "dog/0.png", "dog/cat/0.png"]


def test_folders_that_all_link_to_each_other_end(tmp_path):
    for number in range(12):
        write(tmp_path / f"cat/{number:02}/0.png", 1)
        for other in range(12):
            (tmp_path / f"cat/{number:02}/a{other:02}").symlink_to(f"../{other:02}", target_is_directory=True)
    (tmp_path / "cat/0").symlink_to("01", target_is_directory=True)
    (tmp_path / "dog").symlink_to("cat", target_is_directory=True)
    found = [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path)]
    assert found == [f"{name}/{number:02}/0.png" for name in ("cat", "dog") for number in range(12)]


def test_a_link_to_nothing_is_a_damaged_picture(tmp_path):
    write(tmp_path / "0.png", 1)
    (tmp_path / "1.png").symlink_to("gone.png")
    with pytest.raises(InputError, match=r"1\.png: cannot be read as a picture: .*No such file"):
        load_data(str(tmp_path), PLAIN)
    assert load_data(str(tmp_path), SKIPPING).keys == ["0.png"]


def test_damaged_files_are_named_or_left_out_with_their_labels_and_keys(mine):
    for number in range(6):
        write(mine.folder / f"pets/{['bird', 'cat', 'dog'][number // 2]}/{number}.png", 10 * number)
    (mine.folder / "pets/bird/1.png").write_bytes(truncated())
    (mine.folder / "pets/dog/4.png").write_bytes(b"")
    assert "pets/dog/4.png: cannot be read as a picture: it is of no kind that Pillow knows; --skip-damaged" in (
        mine.fails(f"{LINE} pets")
    )
    result = mine.json(f"{LINE} pets --skip-damaged")
    assert [text.partition(": cannot be read")[0] for text in result["skipped"]] == [
        "pets/bird/1.png",
        "pets/dog/4.png",
    ]
    assert mine.err.count("Left out: pets/") == 2
    assert result["data"]["damaged"] == "2 pictures, left out"
    store = open_store("out.fod")
    assert store.sample_keys.tolist() == ["bird/0.png", "cat/2.png", "cat/3.png", "dog/5.png"]
    assert store.labels.tolist() == [0, 1, 1, 2]
    assert firsts() == [0, 20, 30, 50]
    assert list(store) == [0, 1, 2, 3]
    assert "it was complete already" in mine.run(f"{LINE} pets --skip-damaged")
    mine.run("report out.fod --data pets")


def test_a_truncated_file_is_named_when_it_is_read(mine):
    write(mine.folder / "pets/0.png", 1)
    (mine.folder / "pets/1.png").write_bytes(truncated())
    assert "pets/1.png: cannot be read as a picture: " in mine.fails(f"{LINE} pets")


def test_damaged_rows_are_named_or_left_out_and_the_rows_that_stay_are_recorded(mine):
    damaged = {"bytes": truncated(), "path": "whole.png"}
    saved([picture(0), damaged, picture(20), None, {"bytes": b"", "path": None}, picture(50)], [0, 1, 2, 0, 1, 1])
    said = mine.fails(f"{LINE} saved")
    assert "saved: row 1 of column 'image' (whole.png): cannot be read as a picture: " in said
    assert "--skip-damaged leaves out what cannot be read" in said
    result = mine.json(f"{LINE} saved --skip-damaged")
    assert [text.partition(":")[2].partition(":")[0] for text in result["skipped"]] == [
        " row 1 of column 'image' (whole.png)", " row 3 of column 'image'", " row 4 of column 'image'",
    ]  # fmt: skip
    assert "row 3 of column 'image': cannot be read as a picture: there is none in this row" in result["skipped"][1]
    store = open_store("out.fod")
    assert store.sample_keys.tolist() == [0, 2, 5]
    assert store.labels.tolist() == [0, 2, 1]
    assert firsts() == [0, 20, 50]
    mine.run("report out.fod --data saved")


def test_nothing_is_recorded_where_nothing_is_damaged(mine):
    saved([picture(0), picture(20)], [0, 1])
    assert mine.json(f"{LINE} saved --class-names cat,dog,owl --skip-damaged")["skipped"] == []
    assert open_store("out.fod").sample_keys is None
    assert "it was complete already" in mine.run(f"{LINE} saved --class-names cat,dog,owl")


@pytest.mark.parametrize("labels", [[0, -1, 2], [0, None, 2]])
def test_rows_without_a_label_are_kept_and_counted(mine, labels):
    saved([picture(value) for value in (1, 2, 3)], labels)
    assert mine.json(f"{LINE} saved --class-names owl,dog,cat")["data"]["labels"] == "label; 1 row has none"
    assert open_store("out.fod").labels.tolist() == [2, -1, 0]


@pytest.mark.parametrize(
    ("labels", "feature", "found", "said"),
    [
        ([None, 5, 6], datasets.Value("int8"), [-1, 5, 6], "label; 1 row has none"),
        ([None, 5.5, 6], datasets.Value("float32"), [None, 5.5, 6], "label; 1 row has none"),
        (["x", None, None], datasets.Value("string"), ["x", None, None], "label; 2 rows have none"),
        ([None, None, None], datasets.Value("int64"), [-1, -1, -1], "label; 3 rows have none"),
        ([[0, 1], [1], []], datasets.Sequence(CLASSES), None, "none: column 'label' does not hold one label per row"),
        ([[0, 1], [1, 0], None], datasets.Sequence(CLASSES), None, "none: column 'label' does not hold one label"),
        ([[0, 1], [1, 0], [1, 1]], datasets.Sequence(datasets.Value("int8")), [[0, 1], [1, 0], [1, 1]], "label"),
    ],
)
def test_labels_of_every_kind_are_read_or_said_to_be_none(mine, labels, feature, found, said):
    saved([picture(value) for value in (1, 2, 3)], labels, feature)
    data = load_data("saved", PLAIN)
    assert data.description["labels"].startswith(said)
    got = None if data.samples.labels is None else data.samples.labels.tolist()
    assert (got[1:] if got and got[0] != got[0] else got) == (found[1:] if found and labels[1] == 5.5 else found)
    assert data.class_names is None


def test_a_label_beyond_the_classes_is_named(mine):
    rows = datasets.Dataset.from_dict({"image": [content(1)] * 3, "label": [0, 7, 1]})
    rows = rows.cast(datasets.Features({"image": datasets.Value("binary"), "label": datasets.Value("int64")}))
    rows.info.features["label"] = CLASSES
    rows.save_to_disk("saved")
    with pytest.raises(InputError, match="row 1 of column 'label' holds 7, expected one of the 3 classes"):
        load_data("saved", PLAIN)


@pytest.mark.parametrize(
    ("images", "feature"),
    [
        ([picture(1), picture(2)], "decode=False"),
        ([content(1), content(2)], datasets.Value("binary")),
        (
            [{"bytes": content(1), "path": "a.png"}, {"bytes": content(2), "path": None}],
            {"bytes": datasets.Value("binary"), "path": datasets.Value("string")},
        ),
    ],
)
def test_undecoded_pictures_are_decoded(mine, images, feature):
    if feature == "decode=False":
        rows = datasets.Dataset.from_dict(
            {"image": images}, features=datasets.Features({"image": datasets.Image()})
        ).cast_column("image", datasets.Image(decode=False))
        rows.save_to_disk("saved")
    else:
        saved(images, image=feature)
    mine.run(f"{LINE} saved")
    assert firsts() == [1, 2]
    assert open_store("out.fod").labels is None


def test_a_path_in_a_row_is_opened_or_named(mine):
    write(mine.folder / "there.png", 5)
    paths = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    saved([{"bytes": None, "path": str(mine.folder / name)} for name in ("there.png", "gone.png")], image=paths)
    assert f"row 1 of column 'image' ({mine.folder / 'gone.png'}): cannot be read" in mine.fails(f"{LINE} saved")
    mine.run(f"{LINE} saved --skip-damaged")
    assert firsts() == [5]


def test_pictures_are_turned_as_the_library_turns_them(mine):
    image, exif = Image.fromarray(np.arange(36, dtype=np.uint8).reshape(3, 4, 3)), Image.Exif()
    exif[0x0112] = 6
    buffer = BytesIO()
    image.save(buffer, "PNG", exif=exif)
    saved([{"bytes": buffer.getvalue(), "path": None}])
    expected = np.asarray(datasets.load_from_disk("saved")[0]["image"].convert("RGB"), np.float32) / 255
    assert expected.shape == (4, 3, 3)
    np.testing.assert_array_equal(load_data("saved", PLAIN).samples[0], expected)


@pytest.mark.parametrize("kind", ["folder", "saved"])
def test_different_sizes_are_refused_with_advice_that_works(mine, kind):
    for number, size in enumerate([(4, 3), (4, 3), (5, 3)]):
        write(mine.folder / f"folder/{number}.png", number, size)
    saved([picture(number, size) for number, size in enumerate([(4, 3), (4, 3), (5, 3)])])
    said = mine.fails(f"{LINE} {kind}")
    assert "the pictures have different sizes: " in said
    assert " is 5 x 3 (width x height); pass --image-size N, a --transform of your own, or" in said
    assert ("row 2 of column 'image'" if kind == "saved" else "folder/2.png") in said
    for advice in ("--batch-size 1", "--image-size 2", "--transform mine:tiny"):
        mine.run(f"{LINE} {kind} --fresh {advice}")
        assert firsts() == [0, 1, 2]


def test_a_dataset_without_rows_is_no_error(mine):
    saved([], [])
    assert mine.json(f"{LINE} saved")["rows"] == 0
    assert "saved has no samples, so the store has no rows" in mine.err


def test_what_a_transform_raises_names_the_picture(mine):
    write(mine.folder / "test/0.png", 1)
    (mine.folder / "own.py").write_text("def strict(image):\n    raise RuntimeError('not this one')\n")
    said = mine.fails(f"{LINE} test --transform own:strict", code=3)
    assert "RuntimeError: not this one" in said
    assert "raised by your --transform for test/0.png" in said
