"""Folders of pictures in Python: what ``first-order generate --data`` does with them, as a dataset."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from probly_data_generator_command_line.data.picture_folders import PictureFiles, load_folder
from probly_data_generator_command_line.data.processor_configs import settings_from
from probly_data_generator_command_line.data.python_words import for_python
from probly_data_generator_command_line.data.settings import INTERPOLATIONS, DataSettings, PictureSettings
from probly_data_generator_command_line.errors import InputError

COLOURS = ("rgb", "grayscale")
CHANNELS = ("first", "last")


def picture_folder(
    folder: str | PathLike[str],
    *,
    config: Any = None,
    size: int | None = None,
    resize: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    channels: str | None = None,
    colour: str | None = None,
    interpolation: str | None = None,
    transform: Callable[[Any], Any] | None = None,
    class_names: Sequence[str] | None = None,
    one_size: bool = True,
    skip_damaged: bool = False,
) -> PictureFiles:
    """Return the pictures of a folder with a subfolder per class, or of one without subfolders and labels.

    The classes are in the order of their names, and in each class the files, as torchvision's ``ImageFolder`` has them;
    hidden files are left out. A picture is converted to RGB, its shorter side is scaled to ``resize`` and the centre
    of ``size`` times ``size`` is cut out; it is divided by 255, ``mean`` is subtracted, and the result is divided by
    ``std``, per channel.

    Args:
        folder: The folder.
        config: Where the following stand, as the model was trained with them: a live model of timm, an image processor
            or pipeline of transformers, or the ``preprocessor_config.json`` or timm's ``config.json``, as a mapping,
            a path, or the folder that it lies in. Neither library is imported. What is given beside it is stronger.
        size: The side of the square that the model gets; None for pictures of one size, which are not scaled.
        resize: What the shorter side is scaled to; ``size`` by default.
        mean: One number per channel, of pictures in [0, 1]; none by default.
        std: Likewise.
        channels: ``"first"`` for (channels, height, width), as torch has them, or ``"last"``.
        colour: ``"rgb"``, the default, or ``"grayscale"``.
        interpolation: How pictures are scaled: ``"bilinear"``, the default, ``"bicubic"``, ``"lanczos"``, ...
        transform: A function of your own from a Pillow image to an array, in place of all of the above.
        class_names: The names of the model's columns, in their order: the label of a picture is the column of its
            subfolder's name. By default it is the place of the subfolder.
        one_size: Whether pictures that are not scaled must have one size; False for a model that takes any, with
            ``batch_size=1``.
        skip_damaged: Leave out pictures that cannot be read; all are decoded once for that.

    Returns:
        A dataset of arrays, float32, each with its label where there are labels. It has ``sample_keys``, the files'
        names relative to the folder, which a run keeps beside its rows; ``classes``, the names that the labels count,
        or None; ``labels``; ``skipped``, what is wrong with each picture that was left out; and ``description``, what
        is done, in words.

    Raises:
        ValueError: There are no pictures, the arguments do not go together, pictures have different sizes, or a
            configuration asks for what is not done here; and later, when it is read, a picture is damaged.
        ImportError: Pillow is not installed; the message says what to run.

    Examples:
        >>> import tempfile
        >>> from PIL import Image
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("cat", "dog"):
        ...     (folder / name).mkdir()
        ...     Image.new("RGB", (8, 6), "white").save(folder / name / "a.png")
        >>> pictures = picture_folder(folder, size=4, channels="first", class_names=["dog", "cat"])
        >>> pictures.sample_keys, pictures.labels.tolist(), pictures[0][0].shape
        (['cat/a.png', 'dog/a.png'], [1, 0], (3, 4, 4))
    """
    path = Path(folder)
    if not path.is_dir():
        message = f"{path}: expected a folder of pictures, got {'a file' if path.exists() else 'nothing'}"
        raise InputError(message)
    _check_choice("colour", colour, COLOURS)
    _check_choice("channels", channels, CHANNELS)
    _check_choice("interpolation", interpolation, INTERPOLATIONS)
    if config is not None and transform is not None:
        message = "transform does all that happens to a picture; leave out config"
        raise InputError(message)
    with for_python(asked=True):
        settings = PictureSettings() if config is None else settings_from(config)
        given: dict[str, Any] = {
            "size": size, "resize": resize, "channels": channels, "colour": colour, "interpolation": interpolation,
            "mean": None if mean is None else tuple(mean), "std": None if std is None else tuple(std),
        }  # fmt: skip
        chosen = {name: value for name, value in given.items() if value is not None}
        pictures = replace(settings, **chosen, transform=transform, one_size=one_size)
        columns = None if class_names is None else list(class_names)
        data = load_folder(path, DataSettings(columns=columns, pictures=pictures, skip_damaged=skip_damaged))
    samples: PictureFiles = data.samples
    samples.python, samples.skipped, samples.description = True, data.skipped, data.description
    return samples


def _check_choice(name: str, value: str | None, allowed: Sequence[str]) -> None:
    if value is not None and value not in allowed:
        message = f"{name}: expected one of {', '.join(allowed)}, got {value!r}"
        raise InputError(message)
