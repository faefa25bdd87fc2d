"""From pictures to arrays, the way that image classifiers are usually evaluated, once for all backends."""

from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.installing import install_advice
from probly_data_generator_command_line.data.settings import PictureSettings
from probly_data_generator_command_line.errors import InputError


def pillow() -> Any:
    """Import Pillow.

    Raises:
        ImportError: It is not installed; the message says what to run.
    """
    try:
        from PIL import Image  # an optional library
    except ImportError as error:
        message = f"pictures need Pillow, which cannot be imported ({error}); {install_advice('pillow')}"
        raise ImportError(message) from error
    return Image


def check_settings(settings: PictureSettings) -> None:
    """Refuse options that do not go together.

    Raises:
        InputError: The message names them.
    """
    others = {
        "--image-size": settings.size, "--resize": settings.resize, "--mean": settings.mean, "--std": settings.std,
    }  # fmt: skip
    given = [name for name, value in others.items() if value]
    if settings.as_they_are and settings.colour == "grayscale":
        given.append("--colour")
    if settings.as_they_are and given:
        message = (
            f"the model's own image processor prepares its pictures; leave out {', '.join(given)}, or pass a "
            "--transform, which replaces it"
        )
        raise InputError(message)
    if settings.transform is not None and given:
        message = f"--transform does all that happens to a picture; leave out {', '.join(given)}"
        raise InputError(message)
    if settings.resize is not None and (settings.size is None or settings.resize < settings.size):
        message = f"--resize {settings.resize}: expected --image-size beside it, not larger than it"
        raise InputError(message)
    channels = 1 if settings.colour == "grayscale" else 3
    for name, values in (("--mean", settings.mean), ("--std", settings.std)):
        if len(values) not in (0, channels):
            message = f"{name}: expected {channels} numbers, one per channel, got {len(values)}"
            raise InputError(message)
    if 0 in settings.std:
        message = "--std: expected numbers other than 0"
        raise InputError(message)
    if settings.transform is None and settings.channels is None:
        message = (
            "--channels: this backend's models take pictures of either order; say first for (channels, height, width) "
            "or last for (height, width, channels)"
        )
        raise InputError(message)


def describe_settings(settings: PictureSettings) -> str:
    """Say what happens to a picture.

    Examples:
        >>> describe_settings(PictureSettings(224, 256, channels="first"))
        'RGB, shorter side to 256, centre 224 x 224, float32 in [0, 1], (channels, height, width)'
    """
    if settings.transform is not None:
        return "your own --transform"
    if settings.as_they_are:
        return "as they are; the model's own image processor prepares them"
    parts = ["RGB" if settings.colour == "rgb" else "grayscale"]
    if settings.size is not None:
        side = settings.resize or settings.size
        scaled = f"both sides to {side}" if settings.squash else f"shorter side to {side}"
        parts.append(scaled + ("" if settings.interpolation == "bilinear" else f" ({settings.interpolation})"))
        parts.append(f"centre {settings.size} x {settings.size}")
    parts.append("float32 in [0, 1]")
    if settings.mean:
        parts.append(f"minus {', '.join(f'{value:g}' for value in settings.mean)}")
    if settings.std:
        parts.append(f"divided by {', '.join(f'{value:g}' for value in settings.std)}")
    parts.append("(channels, height, width)" if settings.channels == "first" else "(height, width, channels)")
    return ", ".join(parts)


def to_array(image: Any, settings: PictureSettings) -> Any:
    """Return the array of a picture.

    With ``size``: the shorter side is scaled to ``resize`` (antialiased), the longer one in proportion or, with
    ``squash``, likewise, and the centre square is cut out. Then bytes are divided by 255, ``mean`` is subtracted, and
    the result is divided by ``std``. That is what torchvision's transforms do to Pillow images, and timm with them.

    Args:
        image: A Pillow image of any mode.
        settings: What to do.

    Returns:
        float32, ``(channels, height, width)`` or ``(height, width, channels)``; or what ``transform`` returns; or the
        image itself with ``as_they_are``.

    Raises:
        ValueError: It has more than 8 bits per channel, and there is no ``transform``.
    """
    if settings.transform is not None:
        return settings.transform(image)
    if settings.as_they_are and not _is_wide(image):
        return image
    if _is_wide(image):
        message = (
            f"it has more than 8 bits per channel (Pillow mode {image.mode}), and what its numbers range over is not "
            "said; pass a --transform that scales it"
        )
        raise ValueError(message)
    image = image.convert("RGB" if settings.colour == "rgb" else "L")
    if settings.size is not None:
        image = _square(image, settings)
    array: npt.NDArray[Any] = np.asarray(image, np.float32) / np.float32(255)
    array = array[:, :, None] if array.ndim == 2 else array
    if settings.mean:
        array = array - np.asarray(settings.mean, np.float32)
    if settings.std:
        array = array / np.asarray(settings.std, np.float32)
    return np.ascontiguousarray(array.transpose(2, 0, 1)) if settings.channels == "first" else array


def to_look_at(image: Any) -> npt.NDArray[np.uint8]:
    """Return a picture as it is, uint8 of shape ``(height, width, 3)``; more than 8 bits are scaled by their range."""
    if not _is_wide(image):
        return np.asarray(image.convert("RGB"))
    array = np.nan_to_num(np.asarray(image, np.float64), posinf=0.0, neginf=0.0)
    low, high = array.min(), array.max()
    grey = ((array - low) * (255 / (high - low or 1))).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _is_wide(image: Any) -> bool:
    """Return whether Pillow would clip its numbers at 255, so that most of it becomes white."""
    return image.mode in ("I", "F") or image.mode.startswith("I;")


def _square(image: Any, settings: PictureSettings) -> Any:
    size = settings.size or 0
    shorter = settings.resize or size
    width, height = image.size
    tall, wide = (shorter, int(shorter * height / width)), (int(shorter * width / height), shorter)
    scaled = (shorter, shorter) if settings.squash else tall if width <= height else wide
    image = image.resize(scaled, pillow().Resampling[settings.interpolation.upper()])
    margins = [side - size for side in scaled]
    left, top = (margin // 2 if settings.margin_down else round(margin / 2) for margin in margins)
    return image.crop((left, top, left + size, top + size))
