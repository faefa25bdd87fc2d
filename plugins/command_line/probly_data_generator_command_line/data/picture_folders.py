"""``--data`` as a folder of pictures with one subfolder per class, in the order of the usual ``ImageFolder``."""

import os
from pathlib import Path

import numpy as np

from probly_data_generator_command_line.data.pictures import (
    PictureFiles,
    check_settings,
    check_sizes,
    describe_settings,
    pillow,
)
from probly_data_generator_command_line.data.settings import Data, DataSettings, label_positions
from probly_data_generator_command_line.errors import InputError
from probly_data_generator_command_line.printing import shortened

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def load_folder(path: Path, settings: DataSettings) -> Data:
    """Return the pictures of a folder: classes by name, and in each class the files by name, subfolders included.

    What is hidden, because its name begins with a dot, is left out: programs put previews and copies there.

    The label of a picture is the place of its subfolder's name among all of them or, where the model's columns have
    names, the column of that name. The keys are the files' names, relative to the folder.

    Raises:
        InputError: There are no classes, an empty one, or pictures of different sizes.
    """
    pillow()
    names = sorted(entry.name for entry in os.scandir(path) if entry.is_dir() and not _is_hidden(entry.name))
    if not names:
        message = (
            f"--data {path}: expected a subfolder per class, or a dataset saved by Hugging Face datasets, got none"
        )
        raise InputError(message)
    found = {name: _pictures(path / name) for name in names}
    empty = [name for name, files in found.items() if not files]
    if empty:
        message = f"{path}: the subfolder {empty[0]!r} has no pictures ({', '.join(SUFFIXES)}); fill it or remove it"
        raise InputError(message)
    files = [file for name in names for file in found[name]]
    counts = [len(found[name]) for name in names]
    labels = np.repeat(label_positions(names, settings.columns, path), counts).astype(np.int64)
    description = _description(path, names, len(files), settings)
    keys = [file.relative_to(path).as_posix() for file in files]
    if settings.raw:
        return Data(PictureFiles(files, labels), description, keys=keys)
    check_settings(settings.pictures)
    if settings.pictures.size is None and settings.pictures.transform is None:
        description["all of them"] = check_sizes(files)
    samples = PictureFiles(files, labels, settings.pictures)
    return Data(samples, description, names, keys)


def _pictures(folder: Path) -> list[Path]:
    found = []
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        found += [(place, name) for name in names if name.lower().endswith(SUFFIXES) and not _is_hidden(name)]
    return [Path(*file) for file in sorted(found)]


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _description(path: Path, names: list[str], count: int, settings: DataSettings) -> dict[str, str]:
    description = {
        "data": f"{path}: {count:,} pictures in {len(names)} subfolders ({shortened(names)})",
        "labels": "the places of the subfolders"
        if settings.columns is None
        else "the columns of the subfolders' names",
        "pictures": describe_settings(settings.pictures),
    }
    files = sum(len(names) for _, _, names in os.walk(path, followlinks=True))
    if files > count:
        description["left out"] = f"{files - count:,} files that are no pictures, hidden, or in no subfolder"
    return description
