"""What a model says of its pictures: the configurations of timm and of the image processors of transformers, as JSON.

Neither library is imported: a live model or processor is asked for its attributes, a file is read. What is not said, or
would be done to a picture that ``pictures`` does not do, is refused by name.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from probly_data_generator_command_line.data.settings import INTERPOLATIONS, PictureSettings
from probly_data_generator_command_line.errors import InputError

FILES = ("preprocessor_config.json", "config.json")
"""What transformers and timm call theirs in the folder of a model."""
SQUARE = ("ViT", "DeiT", "Beit", "Siglip")
"""Image processors that take a size without a name as that of both sides."""
PROPORTIONAL = ("Bit", "CLIP", "MobileNetV1", "MobileNetV2")
"""Those that take it as that of the shorter side."""
CROPPING = ("Bit", "CLIP", "DeiT", "MobileNetV1", "MobileNetV2")
"""Those that cut out the centre unless they are told not to."""
NOT_DONE = ("do_pad", "do_flip_channel_order", "do_grayscale", "do_reduce_labels")
FROM_255 = 1 / 255
REMEDY = "do that in a --transform of your own"


def settings_from(config: Any) -> PictureSettings:
    """Return what a model's configuration says is done to its pictures, channels first.

    Args:
        config: A live model of timm (its ``pretrained_cfg`` or ``default_cfg``), an image processor of transformers, a
            pipeline with one, such a configuration as a mapping, or a JSON file of one or the folder that it lies in.

    Raises:
        InputError: It is none of these, lacks something, or asks for what is not done here.
        FileNotFoundError: There is no such file.
    """
    where, found = _mapping(config)
    if "image_processor_type" in found or "feature_extractor_type" in found:
        return _of_transformers(where, found)
    found = found.get("pretrained_cfg") or found
    if isinstance(found, Mapping) and "crop_pct" in found and "input_size" in found:
        return _of_timm(where, found)
    message = (
        f"{where}: expected the configuration of timm (with pretrained_cfg: input_size, crop_pct, ...) or of an image "
        f"processor of transformers (with image_processor_type), got one with {', '.join(map(str, found)) or 'nothing'}"
    )
    raise InputError(message)


def _mapping(config: Any) -> tuple[str, Mapping[str, Any]]:
    """Return where a configuration is from, for messages, and what it holds."""
    if isinstance(config, str | Path):
        path = Path(config)
        if path.is_dir():
            path = next((path / name for name in FILES if (path / name).is_file()), path / FILES[0])
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            message = f"{path}: cannot be read as JSON: {error}"
            raise InputError(message) from error
        where = str(path)
    else:
        where, found = type(config).__name__, _of_object(config)
    if not isinstance(found, Mapping):
        message = f"{where}: expected the configuration of a model's pictures, got {type(found).__name__}"
        raise InputError(message)
    return where, found


def _of_object(config: Any) -> Any:
    if isinstance(config, Mapping):
        return config
    for name in ("image_config", "pretrained_cfg", "default_cfg"):
        found = getattr(config, name, None)
        if found is not None:
            plain = vars(found) if is_dataclass(found) else found
            return {"pretrained_cfg": plain} if name != "image_config" else plain
    processor = getattr(config, "image_processor", config)
    return processor.to_dict() if hasattr(processor, "to_dict") else config


def _of_timm(where: str, found: Mapping[str, Any]) -> PictureSettings:
    channels, *sides = _given(where, found, "input_size")
    size = _side(where, "input_size", sides)
    mode = found.get("crop_mode") or "center"
    if mode not in ("center", "squash"):
        raise _unknown(where, f"crop_mode {mode!r}")
    if channels not in (1, 3):
        raise _unknown(where, f"{channels} channels")
    resize = math.floor(size / float(_given(where, found, "crop_pct")))
    return PictureSettings(
        size=_cut(where, size, resize),
        resize=resize,
        mean=_numbers(where, found, "mean", channels),
        std=_numbers(where, found, "std", channels),
        channels="first",
        colour="rgb" if channels == 3 else "grayscale",
        interpolation=_interpolation(where, _given(where, found, "interpolation")),
        squash=mode == "squash",
    )


def _of_transformers(where: str, found: Mapping[str, Any]) -> PictureSettings:
    named = found.get("image_processor_type") or found["feature_extractor_type"]
    kind = str(named)
    for ending in ("Pil", "Fast", "ImageProcessor", "FeatureExtractor"):
        kind = kind.removesuffix(ending)
    asked = [name for name in NOT_DONE if found.get(name)]
    if kind not in (*SQUARE, *PROPORTIONAL, "ConvNext") or asked:
        raise _unknown(where, asked[0] if asked else f"the image processor {named}")
    factor = found.get("rescale_factor", FROM_255)
    if not found.get("do_rescale", True) or not math.isclose(factor, FROM_255, rel_tol=1e-6):
        raise _unknown(where, "numbers that are not divided by 255")
    normalise = found.get("do_normalize", True)
    return PictureSettings(
        **_scaling(where, found, kind),
        mean=_numbers(where, found, "image_mean", 3) if normalise else (),
        std=_numbers(where, found, "image_std", 3) if normalise else (),
        channels="first",
        interpolation=_interpolation(where, _given(where, found, "resample")),
        margin_down=True,
    )


def _scaling(where: str, found: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return ``size``, ``resize`` and ``squash`` of an image processor."""
    if not found.get("do_resize", True):
        raise _unknown(where, "do_resize: false")
    size = _given(where, found, "size")
    if not isinstance(size, Mapping):
        size = {"height": size, "width": size} if kind in SQUARE else {"shortest_edge": size}
    crop: Any = _given(where, found, "crop_size") if found.get("do_center_crop", kind in CROPPING) else None
    if crop is not None:
        crop = _side(
            where, "crop_size", [crop.get("height"), crop.get("width")] if isinstance(crop, Mapping) else [crop]
        )
    if {*size} == {"height", "width"}:
        side = _side(where, "size", [size["height"], size["width"]])
        return {"size": _cut(where, crop or side, side), "resize": side, "squash": True}
    if {*size} != {"shortest_edge"}:
        raise _unknown(where, f"a size of {', '.join(size) or 'nothing'}")
    shorter = _side(where, "size", [size["shortest_edge"]])
    if kind == "ConvNext":
        squash = shorter >= 384  # which it documents: above, nothing is cut off
        resize = shorter if squash else int(shorter / float(_given(where, found, "crop_pct")))
        return {"size": shorter, "resize": resize, "squash": squash}
    if crop is None:
        raise _unknown(where, "pictures of different sizes, as nothing is cut out of them")
    return {"size": _cut(where, crop, shorter), "resize": shorter, "squash": False}


def _cut(where: str, size: int, resize: int) -> int:
    """Return the side of the square that is cut out of a resized picture."""
    if size > resize:
        raise _unknown(where, f"a margin around pictures of {resize}, to make {size} of them")
    return size


def _given(where: str, found: Mapping[str, Any], name: str) -> Any:
    if found.get(name) is None:
        message = f"{where}: does not say its {name}, and the default of a library is not guessed; add it"
        raise InputError(message)
    return found[name]


def _side(where: str, name: str, sides: list[Any]) -> int:
    if not sides or len({*sides}) > 1 or not isinstance(sides[0], int) or sides[0] < 1:
        raise _unknown(where, f"{name} {' x '.join(map(str, sides))}, which is no square")
    return sides[0]


def _numbers(where: str, found: Mapping[str, Any], name: str, channels: int) -> tuple[float, ...]:
    """Return a number per channel; one alone is that of all."""
    values = _given(where, found, name)
    return tuple(map(float, values if isinstance(values, list | tuple) else [values] * channels))


def _interpolation(where: str, given: Any) -> str:
    """Return the name of an interpolation, which transformers gives by Pillow's number."""
    name = INTERPOLATIONS[given] if isinstance(given, int) and given in range(len(INTERPOLATIONS)) else given
    if name not in INTERPOLATIONS:
        raise _unknown(where, f"interpolation {given!r}")
    return str(name)


def _unknown(where: str, what: str) -> InputError:
    return InputError(f"{where}: asks for {what}, which is not done here; {REMEDY}")
