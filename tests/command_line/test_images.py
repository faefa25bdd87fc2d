"""`picture_folder` in Python: the dataset that `first-order generate --data` makes of a folder of pictures."""

import json
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.images import picture_folder
from probly.data_generator.store import open_store
from tests.command_line.own_code import generate, seen

TIMM = {
    "input_size": [3, 4, 4], "interpolation": "bicubic", "crop_pct": 0.7, "crop_mode": "center",
    "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "num_classes": 3,
}  # fmt: skip
VIT = {
    "image_processor_type": "ViTImageProcessor", "do_resize": True, "size": {"height": 4, "width": 4}, "resample": 2,
    "do_rescale": True, "rescale_factor": 0.00392156862745098, "do_normalize": True, "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}  # fmt: skip
CLIP = {**VIT, "image_processor_type": "CLIPImageProcessorFast", "size": {"shortest_edge": 6}, "resample": 3}
CLIP |= {"crop_size": {"height": 4, "width": 4}}
CONVNEXT = {**VIT, "image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 4}, "crop_pct": 0.7}


@pytest.fixture
def pets(tmp_path):
    random = np.random.default_rng(0)
    for place, name in enumerate(("bird/a.png", "cat/d.png", "cat/e/c.png", "dog/e.png")):
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (14, 9, 3) if place % 2 else (10, 15, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return tmp_path / "pets"


def shown(folder):
    """Return the pictures in the order of their names."""
    return [Image.open(path) for path in sorted(folder.rglob("*.png"))]


def proportional(image, shorter, size, kind, margin=lambda whole: round(whole / 2)):
    width, height = image.size
    scaled = (shorter, int(shorter * height / width)) if width <= height else (int(shorter * width / height), shorter)
    image = image.resize(scaled, kind)
    left, top = (margin(side - size) for side in scaled)
    return image.crop((left, top, left + size, top + size))


def normalised(images, mean, std):
    return ((np.stack([np.asarray(image) for image in images]) / 255 - mean) / std).transpose(0, 3, 1, 2)


def test_it_gives_what_the_command_line_reads(mine):
    random = np.random.default_rng(0)
    for name in ("bird/a.png", "cat/b.png", "dog/c.png", "dog/d.png"):
        (mine.folder / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8)).save(mine.folder / "pets" / name)
    generate(mine, "pets --channels last --image-size 4 --resize 5 --mean 0.1,0.2,0.3 --std 2,4,8", "mean")
    of_command, store = seen(), open_store("out.fod")
    pictures = picture_folder("pets", channels="last", size=4, resize=5, mean=(0.1, 0.2, 0.3), std=(2, 4, 8))
    np.testing.assert_array_equal(np.stack([array for array, _ in pictures]), of_command)
    import mine as own

    generator = FirstOrderDataGenerator(own.mean, backend="numpy")
    found = generator.generate_distributions(pictures, progress=False)
    np.testing.assert_array_equal(found.probabilities, store.probabilities)
    assert found.labels.tolist() == store.labels.tolist() == [0, 1, 2, 2]
    assert found.class_names == store.class_names == ["bird", "cat", "dog"]
    assert found.sample_keys.tolist() == store.sample_keys.tolist() == pictures.sample_keys
    assert pictures.description["data"].startswith("pets: 4 pictures in 3 subfolders")


def test_labels_count_the_columns_that_are_named(pets):
    pictures = picture_folder(pets, size=4, channels="first", class_names=["dog", "fox", "cat", "bird"])
    assert pictures.labels.tolist() == [3, 2, 2, 0]
    assert pictures.classes == ["dog", "fox", "cat", "bird"]
    assert pictures.sample_keys == ["bird/a.png", "cat/d.png", "cat/e/c.png", "dog/e.png"]
    assert pictures[-1][1] == 0
    with pytest.raises(ValueError, match=r"its label 'bird' is not among the 2 class names.*pass class_names"):
        picture_folder(pets, size=4, channels="first", class_names=["dog", "cat"])


@dataclass
class Cfg:
    """The shape of timm's, which cannot be installed beside the torch of these tests."""

    input_size: tuple = (3, 4, 4)
    interpolation: str = "bicubic"
    crop_pct: float = 0.7
    mean: tuple = (0.5, 0.4, 0.3)
    std: tuple = (0.2, 0.3, 0.4)


class Model:
    """The shape of a model of timm."""

    def __init__(self, name, config):
        setattr(self, name, config)


def in_a_file(config, name="config.json", inside=None):
    def written(folder):
        folder.mkdir()
        (folder / name).write_text(json.dumps(config))
        return folder if inside is None else str(folder / inside)

    return written


TIMM_FORMS = {
    "file": in_a_file({"architecture": "resnet18", "pretrained_cfg": TIMM}, inside="config.json"),
    "folder": in_a_file({"architecture": "resnet18", "pretrained_cfg": TIMM}),
    "flat": in_a_file({"architecture": "resnet18", **TIMM}),
    "mapping": lambda _: TIMM,
    "model": lambda _: Model("pretrained_cfg", TIMM),
    "old model": lambda _: Model("default_cfg", TIMM),
    "object": lambda _: Model("pretrained_cfg", Cfg()),
}


@pytest.mark.parametrize("form", TIMM_FORMS)
def test_timm_says_what_is_done(pets, tmp_path, form):
    pictures = picture_folder(pets, config=TIMM_FORMS[form](tmp_path / "model"))
    # floor(4 / 0.7) = 5, in proportion, by the bicubic filter, and the centre of that.
    images = [proportional(image, 5, 4, Image.Resampling.BICUBIC) for image in shown(pets)]
    expected = normalised(images, [0.5, 0.4, 0.3], [0.2, 0.3, 0.4])
    np.testing.assert_allclose(np.stack([array for array, _ in pictures]), expected, rtol=0, atol=1e-6)
    assert pictures.description["pictures"].startswith("RGB, shorter side to 5 (bicubic), centre 4 x 4")


def squashed(image, side, size, kind):
    left = round((side - size) / 2)
    return image.resize((side, side), kind).crop((left, left, left + size, left + size))


def half(margin):
    """Return where transformers begins to cut; torchvision rounds 1.5 to 2."""
    return margin // 2


PROCESSORS = {
    "ViT": (VIT, lambda image: squashed(image, 4, 4, Image.Resampling.BILINEAR)),
    "old ViT": (
        {"feature_extractor_type": "ViTFeatureExtractor", "size": 4, "resample": 2, "image_mean": [0.5] * 3,
         "image_std": [0.5] * 3},
        lambda image: squashed(image, 4, 4, Image.Resampling.BILINEAR),
    ),
    "DeiT": (
        {**VIT, "image_processor_type": "DeiTImageProcessor", "size": {"height": 6, "width": 6}, "crop_size": 4},
        lambda image: squashed(image, 6, 4, Image.Resampling.BILINEAR),
    ),
    "one number for all channels": (
        {**CLIP, "image_mean": 0.5, "image_std": 0.5},
        lambda image: proportional(image, 6, 4, Image.Resampling.BICUBIC, half),
    ),
    "CLIP": (CLIP, lambda image: proportional(image, 6, 4, Image.Resampling.BICUBIC, half)),
    "ConvNext": (CONVNEXT, lambda image: proportional(image, 5, 4, Image.Resampling.BILINEAR, half)),
    "large ConvNext": (
        {**CONVNEXT, "size": {"shortest_edge": 384}},
        lambda image: squashed(image, 384, 384, Image.Resampling.BILINEAR),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROCESSORS)
def test_processors_of_transformers_say_what_is_done(pets, tmp_path, name):
    config, done = PROCESSORS[name]
    pictures = picture_folder(pets, config=in_a_file(config, "preprocessor_config.json")(tmp_path / "model"))
    expected = normalised(map(done, shown(pets)), 0.5, 0.5)
    np.testing.assert_allclose(np.stack([array for array, _ in pictures]), expected, rtol=0, atol=1e-6)


def test_what_is_given_is_stronger(pets):
    pictures = picture_folder(pets, config=TIMM, size=3, mean=[0, 0, 0], channels="last", interpolation="lanczos")
    images = [proportional(image, 5, 3, Image.Resampling.LANCZOS) for image in shown(pets)]
    expected = normalised(images, 0, [0.2, 0.3, 0.4]).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(np.stack([array for array, _ in pictures]), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {**TIMM, "crop_mode": "border"},
            "asks for crop_mode 'border', which is not done here; do that in a transform",
        ),
        ({**TIMM, "input_size": [3, 4, 6]}, "asks for input_size 4 x 6, which is no square"),
        ({**TIMM, "input_size": [4, 4, 4]}, "asks for 4 channels"),
        ({**TIMM, "interpolation": "random"}, "asks for interpolation 'random'"),
        ({**TIMM, "mean": None}, "does not say its mean, and the default of a library is not guessed; add it"),
        ({**VIT, "image_processor_type": "LevitImageProcessor"}, "asks for the image processor LevitImageProcessor"),
        ({**VIT, "do_pad": True}, "asks for do_pad"),
        ({**VIT, "do_resize": False}, "asks for do_resize: false"),
        ({**VIT, "rescale_factor": 1.0}, "asks for numbers that are not divided by 255"),
        ({**VIT, "size": {"longest_edge": 4}}, "asks for a size of longest_edge"),
        ({**CLIP, "do_center_crop": False}, "asks for pictures of different sizes, as nothing is cut out of them"),
        ({**VIT, "image_processor_type": "DeiTImageProcessor"}, "does not say its crop_size, and the default"),
        ({**CLIP, "crop_size": 9}, "asks for a margin around pictures of 6, to make 9 of them"),
        ({**TIMM, "crop_pct": 1.5}, "asks for a margin around pictures of 2, to make 4 of them"),
        ({"hidden_size": 3}, "expected the configuration of timm .* got one with hidden_size"),
        (3, "int: expected the configuration of a model's pictures, got int"),
    ],
)
def test_what_is_not_done_is_refused_by_name(pets, config, said):
    with pytest.raises(ValueError, match=said):
        picture_folder(pets, config=config)


def test_files_without_a_configuration_are_named(pets, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"preprocessor_config\.json"):
        picture_folder(pets, config=tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json: cannot be read as JSON"):
        picture_folder(pets, config=tmp_path)


def test_errors_name_arguments_and_no_options(pets):
    for arguments, said in (
        ({}, "channels: this backend's models take pictures of either order"),
        ({"channels": "first"}, r"different sizes.*pass size=N, a transform of your own, or.*one_size=False$"),
        ({"channels": "first", "resize": 5}, "^resize 5: expected size beside it"),
        ({"channels": "first", "size": 4, "mean": [1]}, "^mean: expected 3 numbers, one per channel, got 1"),
        ({"transform": np.asarray, "config": TIMM}, "^transform does all that happens to a picture; leave out config"),
        ({"transform": np.asarray, "size": 4}, "^transform does all that happens to a picture; leave out size"),
        ({"channels": "third"}, "^channels: expected one of first, last, got 'third'"),
        ({"interpolation": "cubic"}, "^interpolation: expected one of nearest, lanczos, bilinear"),
    ):
        with pytest.raises(ValueError, match=said) as caught:
            picture_folder(pets, **arguments)
        assert "--" not in str(caught.value)
    (pets / "cat/d.png").write_bytes(b"damaged")
    pictures = picture_folder(pets, channels="first", size=4)
    with pytest.raises(ValueError, match=r"d\.png: cannot be read as a picture.*skip_damaged=True leaves out"):
        list(pictures)
    kept = picture_folder(pets, channels="first", size=4, skip_damaged=True)
    assert kept.sample_keys == ["bird/a.png", "cat/e/c.png", "dog/e.png"]
    assert (kept.labels.tolist(), len(kept.skipped)) == ([0, 1, 2], 1)
    with pytest.raises(ValueError, match="expected a folder of pictures, got nothing"):
        picture_folder(pets / "nowhere")


def test_the_command_line_takes_a_configuration(mine, pets):
    (mine.folder / "model").mkdir()
    (mine.folder / "model/preprocessor_config.json").write_text(json.dumps(CLIP))
    result = generate(mine, "pets --image-config model", "mean")
    images = [proportional(image, 6, 4, Image.Resampling.BICUBIC, half) for image in shown(pets)]
    expected = normalised(images, 0.5, 0.5)
    np.testing.assert_allclose(seen(), expected, rtol=0, atol=1e-6)
    assert result["data"]["pictures"].startswith("RGB, shorter side to 6 (bicubic), centre 4 x 4")
    line = "generate --backend numpy --model mine:mean --data pets --out o.fod --image-config"
    assert "leave out --image-config" in mine.fails(f"{line} model --transform mine:tiny")
    (mine.folder / "model/preprocessor_config.json").write_text(json.dumps({**CLIP, "do_pad": True}))
    assert "do that in a --transform of your own" in mine.fails(f"{line} model")
    assert "nowhere: No such file" in mine.fails(f"{line} nowhere")


@pytest.mark.parametrize("hidden", ["probly_data_generator_command_line", "click"])
def test_without_the_distribution_the_message_says_what_to_install(hidden):
    code = f"""
import importlib.abc, sys

class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {hidden!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)

sys.meta_path.insert(0, Hidden())
from probly.data_generator import NotInstalledError
try:
    import probly.data_generator.images
except NotInstalledError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("pictures need the command line's distribution; run: pip install ")
    assert "probly-data-generator[images]" in done.stdout
