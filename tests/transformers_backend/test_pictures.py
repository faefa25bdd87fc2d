"""Pictures: the model's own image processor prepares them, as in a pipeline."""

import io

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from transformers import pipeline

from probly.data_generator import FirstOrderDataGenerator
from tests.transformers_backend.runs import check, image_processor, of_pictures, pictures, rows_of_pictures, run

MODEL, PROCESSOR, GIVEN = of_pictures(), image_processor(), pictures()
EXPECTED = rows_of_pictures(MODEL, PROCESSOR, GIVEN)
LABELS = [place % 3 for place in range(len(GIVEN))]
PAIRS = list(zip(GIVEN, LABELS, strict=True))


@pytest.mark.parametrize("batch_size", [1, 5, 64])
@pytest.mark.parametrize("source", ["folder", "pair", "pipeline"])
def test_rows_are_those_of_each_picture_alone(vit, source, batch_size):
    model = {"folder": vit, "pair": (MODEL, PROCESSOR)}
    model["pipeline"] = pipeline("image-classification", model=MODEL, image_processor=PROCESSOR)
    found = run(model[source], PAIRS, batch_size=batch_size)
    check(found, EXPECTED)
    assert found.class_names == ["bird", "cat", "dog"]
    assert found.labels.tolist() == LABELS
    assert np.ptp(EXPECTED, axis=0).min() > 0.1, "rows that differ"


def test_rows_are_those_of_a_pipeline():
    made = pipeline("image-classification", model=MODEL, image_processor=PROCESSOR)
    for row, answers in zip(run(made, GIVEN).probabilities, made(GIVEN), strict=True):
        scores = {answer["label"]: answer["score"] for answer in answers}
        np.testing.assert_allclose(row, [scores[name] for name in ("bird", "cat", "dog")], rtol=0, atol=1e-6)


def rows_of_hugging_face():
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["bird", "cat", "dog"])}
    return datasets.Dataset.from_dict({"image": GIVEN, "label": LABELS}, features=datasets.Features(features))


FORMS = {
    "pictures": lambda: GIVEN,
    "mappings": lambda: [{"img": picture, "label": label} for picture, label in PAIRS],
    "a dataset of Hugging Face": rows_of_hugging_face,
    "a loader that hands them on": lambda: DataLoader(PAIRS, batch_size=5, collate_fn=list),
    "prepared": lambda: PROCESSOR([picture.convert("RGB") for picture in GIVEN], return_tensors="pt")["pixel_values"],
    "prepared, by name": lambda: dict(PROCESSOR([picture.convert("RGB") for picture in GIVEN], return_tensors="np")),
}


@pytest.mark.parametrize("form", FORMS)
def test_pictures_come_in_any_form(form):
    check(run((MODEL, PROCESSOR), FORMS[form]()), EXPECTED)


@pytest.mark.filterwarnings("ignore:os.fork.. was called:RuntimeWarning")  # of JAX, if another test has loaded it
def test_workers_read_them():
    check(run((MODEL, PROCESSOR), rows_of_hugging_face(), options={"num_workers": 0}), EXPECTED)
    found = run((MODEL, PROCESSOR), Numbered(), options={"num_workers": 2})
    check(found, EXPECTED)
    assert found.labels.tolist() == LABELS


class Numbered(torch.utils.data.Dataset):
    def __len__(self):
        return len(PAIRS)

    def __getitem__(self, index):
        return PAIRS[index]


ARRAYS = np.random.default_rng(3).integers(0, 256, (6, 20, 30, 3), dtype=np.uint8)
OF_ARRAYS = rows_of_pictures(MODEL, PROCESSOR, map(Image.fromarray, ARRAYS))


@pytest.mark.parametrize(
    "given",
    [ARRAYS, torch.tensor(ARRAYS), torch.tensor(ARRAYS).permute(0, 3, 1, 2), list(ARRAYS), {"image": ARRAYS}],
    ids=["arrays", "tensors", "channels first", "a list", "columns"],
)
def test_bytes_are_pixels(given):
    """They would otherwise reach the model without being scaled and normalised."""
    check(run((MODEL, PROCESSOR), given), OF_ARRAYS)


def test_a_rotation_that_a_file_notes_is_applied(tmp_path):
    notes = Image.Exif()
    notes[0x0112] = 6  # turned by a quarter
    Image.fromarray(ARRAYS[0]).save(tmp_path / "turned.png", exif=notes)
    with Image.open(tmp_path / "turned.png") as turned:
        upright = Image.fromarray(np.rot90(ARRAYS[0], -1).copy())
        check(run((MODEL, PROCESSOR), [turned]), rows_of_pictures(MODEL, PROCESSOR, [upright]))


def test_pictures_follow_the_dtype_of_the_weights():
    found = run((of_pictures().bfloat16(), PROCESSOR), GIVEN)
    np.testing.assert_allclose(found.probabilities, EXPECTED, rtol=0, atol=0.05)


def test_what_cannot_be_prepared_is_refused():
    with pytest.raises(TypeError, match=r"which its collate_fn does not stack.*collate_fn=list"):
        run((MODEL, PROCESSOR), DataLoader(PAIRS, batch_size=5))
    with pytest.raises(TypeError, match=r"came without its image processor; pass model=\(model, image_processor\)"):
        run(MODEL, GIVEN)
    with pytest.raises(ValueError, match="sample 1: the picture has more than 8 bits per channel"):
        run((MODEL, PROCESSOR), [GIVEN[0], Image.fromarray(np.zeros((9, 9), np.uint16))])
    with pytest.raises(TypeError, match="the model takes pictures, but the samples are texts"):
        run((MODEL, PROCESSOR), ["a text"])


WHOLE = np.random.default_rng(4).integers(0, 256, (4, 3, 16, 16), dtype=np.uint8)
UNSCALED = {
    "bytes": (MODEL, WHOLE),
    "a list": (MODEL, list(WHOLE)),
    "by name": (MODEL, {"pixel_values": WHOLE}),
    "samples by name": (MODEL, [{"pixel_values": array} for array in WHOLE]),
    "other integers, where a processor is": ((MODEL, PROCESSOR), WHOLE.astype(np.int64)),
}


@pytest.mark.parametrize("what", UNSCALED)
def test_integers_that_nobody_scales_are_refused(what):
    model, given = UNSCALED[what]
    with pytest.raises(ValueError, match=r"'pixel_values': the model wants floats, got u?int.*input_dtype='float32'"):
        run(model, given)
    with torch.no_grad():
        expected = MODEL(torch.tensor(WHOLE).float()).logits.softmax(-1).numpy()
    check(run(model, given, input_dtype="float32"), expected)  # what the message says


@pytest.mark.parametrize("named", [WHOLE, WHOLE.astype(np.int64)])
def test_integers_by_name_are_refused_with_the_way_out(named):
    expected = rows_of_pictures(MODEL, PROCESSOR, [Image.fromarray(one.transpose(1, 2, 0)) for one in WHOLE])
    said = "or pass pictures of uint8, and not by the name pixel_values: the image processor"
    with pytest.raises(ValueError, match=said) as caught:
        run((MODEL, PROCESSOR), {"pixel_values": named})
    assert "model=" not in str(caught.value), "it has its processor"
    with pytest.raises(ValueError, match=r"or pass model=\(model, image_processor\) and pictures of uint8"):
        run(MODEL, {"pixel_values": named})
    check(run((MODEL, PROCESSOR), WHOLE), expected)  # what both messages say


@pytest.mark.parametrize("last", [True, False])
def test_an_alpha_channel_is_refused_with_the_way_out(last):
    given = np.random.default_rng(5).integers(0, 256, (6, 20, 30, 4), dtype=np.uint8)
    expected = rows_of_pictures(MODEL, PROCESSOR, [Image.fromarray(array[..., :3]) for array in given])
    given = given if last else given.transpose(0, 3, 1, 2)
    with pytest.raises(ValueError, match=r"sample 0: a picture with four channels") as caught:
        run((MODEL, PROCESSOR), given)
    cut = "picture[..., :3]" if last else "picture[:3]"
    assert cut in str(caught.value)
    check(run((MODEL, PROCESSOR), [eval(cut, {"picture": picture}) for picture in given]), expected)


def test_a_single_picture_is_no_batch():
    with pytest.raises(ValueError, match=r"is one picture.*pass picture\[None\]"):
        run((MODEL, PROCESSOR), ARRAYS[0])
    check(run((MODEL, PROCESSOR), ARRAYS[0][None]), OF_ARRAYS[:1])
    grey = ARRAYS[..., 0]
    expected = rows_of_pictures(MODEL, PROCESSOR, map(Image.fromarray, grey))
    for batch_size in (3, 4, 16):
        check(run((MODEL, PROCESSOR), grey, batch_size=batch_size), expected)


@pytest.mark.parametrize("form", [np.asarray, torch.tensor, lambda array: {"image": array}])
def test_a_picture_whose_channels_are_first_may_be_grey_ones(form):
    first = np.ascontiguousarray(ARRAYS[0].transpose(2, 0, 1))
    with pytest.raises(
        ValueError, match=r"may be one picture.*picture\[None\].*list\(pictures\) or pictures\[\.\.\., N"
    ):
        run((MODEL, PROCESSOR), form(first))
    check(run((MODEL, PROCESSOR), form(first[None])), OF_ARRAYS[:1])
    grey = rows_of_pictures(MODEL, PROCESSOR, map(Image.fromarray, first))
    check(run((MODEL, PROCESSOR), list(first)), grey)
    check(run((MODEL, PROCESSOR), form(first[..., None])), grey)


def test_a_damaged_file_is_named_by_its_sample():
    def opened(cut):
        file = io.BytesIO()
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(file, "JPEG")
        return Image.open(io.BytesIO(file.getvalue()[: len(file.getvalue()) - cut]))

    made = FirstOrderDataGenerator((MODEL, PROCESSOR), batch_size=2)
    with pytest.raises(OSError, match="truncated") as caught:
        made.generate_distributions([opened(cut) for cut in (0, 0, 0, 900, 0)], progress=False)
    assert "raised by the picture of sample 3" in caught.value.__notes__
