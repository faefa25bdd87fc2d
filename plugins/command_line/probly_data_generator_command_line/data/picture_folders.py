"""``--data`` as a folder of pictures: a subfolder per class, in the order of the usual ``ImageFolder``, or none."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from probly_data_generator_command_line.data.picture_sets import Pictures, prepared
from probly_data_generator_command_line.data.pictures import pillow
from probly_data_generator_command_line.data.settings import Data, DataSettings, label_positions
from probly_data_generator_command_line.errors import InputError
from probly_data_generator_command_line.printing import shortened

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def load_folder(path: Path, settings: DataSettings) -> Data:
    """Return the pictures of a folder: classes by name, and in each class the files by name, subfolders included.

    What is hidden, because its name begins with a dot, is left out: programs put previews and copies there.

    The label of a picture is the place of its subfolder's name among all of them or, where the model's columns have
    names, the column of that name. Pictures that lie in no subfolder, or in a single one that is not called like a
    class, have no labels. The keys are the files' names, relative to the folder.

    Raises:
        InputError: There are no pictures, a class without any, or pictures of different sizes.
    """
    pillow()
    files = files_below(path)
    pictures = [file for file in files if _is_picture(file, path)]
    by_folder: dict[str, list[Path]] = {}
    for name in sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not _is_hidden(entry.name)):
        by_folder[name] = []
    loose: list[Path] = []
    for file in pictures:
        top, *rest = file.relative_to(path).parts
        (by_folder[top] if rest else loose).append(file)
    names, labels, said = _classes(path, by_folder, loose, settings.columns)
    chosen = (
        loose if names is None and not any(by_folder.values()) else [f for some in by_folder.values() for f in some]
    )
    left = len(files) - len(chosen)
    description = {"data": f"{path}: {len(chosen):,} pictures{_in_folders(by_folder)}", "labels": said}
    if left:
        where = "" if chosen is loose else ", or in no subfolder"
        description["left out"] = f"{left:,} files that are no pictures, hidden{where}"
    keys = [file.relative_to(path).as_posix() for file in chosen]
    samples = PictureFiles(Files(chosen), labels, None if settings.raw else settings.pictures)
    samples.sample_keys = keys
    samples.classes = names if names is None or settings.columns is None else [str(name) for name in settings.columns]
    return prepared(Data(samples, description, names, keys), settings)


def _classes(
    path: Path, by_folder: dict[str, list[Path]], loose: list[Path], columns: Sequence[str] | None
) -> tuple[list[str] | None, Any, str]:
    """Return the names of the classes, the label of each picture in subfolders, and words for both.

    Raises:
        InputError: There are no pictures, or a subfolder has none, or one is not among the names of the columns.
    """
    if loose and not any(by_folder.values()):
        return None, None, "none: the pictures lie in no subfolders"
    if not by_folder:
        message = (
            f"--data {path}: expected a subfolder per class, pictures without labels, or a dataset saved by Hugging "
            "Face datasets, got none"
        )
        raise InputError(message)
    empty = [name for name, files in by_folder.items() if not files]
    if empty:
        message = f"{path}: the subfolder {empty[0]!r} has no pictures ({', '.join(SUFFIXES)}); fill it or remove it"
        raise InputError(message)
    names = list(by_folder)
    if len(names) == 1 and names[0] not in map(str, columns or ()):
        why = "is no choice of classes" if columns is None else "is not called like a class"
        return None, None, f"none: the only subfolder, {names[0]!r}, {why}"
    counts = [len(files) for files in by_folder.values()]
    labels = np.repeat(label_positions(names, columns, path), counts).astype(np.int64)
    return names, labels, "the places of the subfolders" if columns is None else "the columns of the subfolders' names"


def _in_folders(by_folder: dict[str, list[Path]]) -> str:
    names = [name for name, files in by_folder.items() if files]
    return f" in {len(names)} subfolder{'s' if len(names) > 1 else ''} ({shortened(names)})" if names else ""


class Files:
    """Pictures in files of their own.

    Args:
        paths: The files.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        """Return their number."""
        return len(self.paths)

    def take(self, places: Sequence[int]) -> list[Path]:
        """Return the files of some."""
        return [self.paths[place] for place in places]

    def only(self, places: Sequence[int]) -> "Files":
        """Return those at some places."""
        return Files(self.take(places))

    def opened(self, source: Path) -> Any:
        """Return a Pillow image, decoded."""
        with pillow().open(source) as image:
            image.load()
            return image

    def where(self, place: int, source: Path) -> str:  # noqa: ARG002  # what other sources need
        """Return the path."""
        return str(source)

    def size(self, source: Path) -> tuple[int, int]:
        """Return width and height, for which only the header is read."""
        with pillow().open(source) as image:
            found: tuple[int, int] = image.size
            return found


class PictureFiles(Pictures):
    """The pictures of a folder."""


def files_below(folder: Path) -> list[Path]:
    """Return all files in a folder and its subfolders, links followed.

    Each subfolder of the folder is a class, in which no folder is entered twice: links that lead around in circles have
    no end, and those that lead from each of some folders to all others as good as none.

    Folders come by their names after the files beside them, as in ``os.walk``; what cannot be listed is an error.
    """
    with os.scandir(folder) as entries:
        kinds = [(entry, _kind(entry)) for entry in entries]
    files = [(str(folder), entry.name) for entry, kind in kinds if kind == stat.S_IFREG]
    for entry, kind in kinds:
        if kind == stat.S_IFDIR:
            files += _files_of(entry.path, {_identity(folder)})
    return [Path(*file) for file in sorted(files)]


def _files_of(top: str, entered: set[tuple[int, int]]) -> list[tuple[str, str]]:
    files, folders, linked = [], [top], list[str]()
    while folders or linked:
        folder = (folders or linked).pop(0)  # a folder's own name comes before those of links to it
        identity = _identity(folder)
        if identity in entered:
            continue
        entered.add(identity)
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                kind = _kind(entry)
                if kind == stat.S_IFDIR:
                    (linked if entry.is_symlink() else folders).append(entry.path)
                elif kind == stat.S_IFREG:
                    files.append((folder, entry.name))
    return files


def _identity(folder: str | Path) -> tuple[int, int]:
    found = os.stat(folder)  # noqa: PTH116  # of the folder, not of a link to it
    return found.st_dev, found.st_ino


def _kind(entry: os.DirEntry[str]) -> int:
    """Return what an entry is; a link to nothing counts as a file, which will be named. A pipe would never end."""
    try:
        return stat.S_IFMT(entry.stat().st_mode)
    except OSError:
        return stat.S_IFREG


def _is_picture(file: Path, folder: Path) -> bool:
    hidden = any(map(_is_hidden, file.relative_to(folder).parts))
    return file.name.lower().endswith(SUFFIXES) and not hidden


def _is_hidden(name: str) -> bool:
    return name.startswith(".")
