"""``--data`` as a folder that Hugging Face ``datasets`` has saved."""

import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from probly.data_generator.installing import install_advice
from probly_data_generator_command_line.data.class_labels import columns_of
from probly_data_generator_command_line.data.picture_sets import Pictures, prepared
from probly_data_generator_command_line.data.pictures import pillow
from probly_data_generator_command_line.data.settings import (
    INPUT_NAMES,
    LABEL_NAMES,
    Data,
    DataSettings,
    choose,
    missing_inputs,
    text_columns,
    unlabelled,
)
from probly_data_generator_command_line.data.splits import split_folder
from probly_data_generator_command_line.data.streams import check_streams
from probly_data_generator_command_line.errors import InputError

PICTURE_NAMES = ("image", "img", *INPUT_NAMES)


def load_saved(path: Path, settings: DataSettings) -> Data:
    """Read a dataset that ``save_to_disk`` has written: a column of pictures or numbers, and one of labels.

    Raises:
        InputError: It has several splits and none is named, or no name says which column is what.
        ImportError: ``datasets`` is not installed.
    """
    path = split_folder(path, settings.split)
    files = _files(path)
    if files == []:  # as one without rows is saved, which the library cannot open again
        return Data([], {"data": f"{path}: 0 rows", "labels": "none"})
    rows = _load(path, files or [], settings.limit)
    names = list(rows.column_names)
    label = choose(path, names, settings.labels_key, LABEL_NAMES, "--labels-key")
    rest = [name for name in names if name != label]
    chosen = _inputs(path, rest, settings)
    class_names = None if label is None else getattr(rows.features[label], "names", None)
    labels, said = (None, "none") if label is None else _labels(path, rows, label, class_names, settings)
    description = {"data": f"{path}: {len(rows):,} rows", "inputs": ", ".join(chosen), "labels": said}
    class_names = None if labels is None else class_names
    if len(chosen) > 1 or not _holds_pictures(rows.features[chosen[0]]):
        return Data(SavedRows(rows, chosen, labels), description, class_names)
    sources = SavedColumn(path, rows, chosen[0])
    samples = SavedPictures(sources, labels, None if settings.raw else settings.pictures)
    return prepared(Data(samples, description, class_names), settings)


def _holds_pictures(feature: Any) -> bool:
    """Return whether a column holds pictures: as such, or undecoded as bytes and paths."""
    undecoded = isinstance(feature, dict) and {"bytes", "path"} <= feature.keys()
    return (
        type(feature).__name__ == "Image" or undecoded or getattr(feature, "dtype", None) in ("binary", "large_binary")
    )


def _inputs(path: Path, names: list[str], settings: DataSettings) -> list[str]:
    wanted: list[str | None] = [None]
    if settings.inputs_key is not None:
        wanted = [*settings.inputs_key.split(",")]
    found = [choose(path, names, name, PICTURE_NAMES, "--inputs-key") for name in wanted]
    if None in found:
        texts = text_columns(names)
        if texts is None:
            raise missing_inputs(path, names)
        return texts
    return [str(name) for name in found]


def _files(path: Path) -> list[Path] | None:
    """Return the files of a dataset's rows; None where it does not say them, which the library reports.

    Raises:
        InputError: One lies outside the folder.
    """
    try:
        files = [entry["filename"] for entry in json.loads((path / "state.json").read_bytes())["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    outside = [name for name in files if not isinstance(name, str) or Path(name).name != name or name == ".."]
    if outside:
        message = f"{path}: state.json names {outside[0]!r} as a file of its rows, expected one in the folder"
        raise InputError(message)
    return [path / name for name in files]


def _load(path: Path, files: list[Path], limit: float | None) -> Any:
    try:
        from datasets import load_from_disk  # an optional library
    except ImportError as error:
        message = f"{path} needs datasets, which cannot be imported ({error}); {install_advice('datasets')}"
        raise ImportError(message) from error
    try:
        check_streams(path, files, limit)
        # A format that was saved with it may hide columns, or make tables of rows.
        return load_from_disk(str(path)).with_format(None)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # a damaged file fails in any way, in Arrow as in the library
        said = f"{error} is missing" if isinstance(error, KeyError) else error
        message = f"{path}: cannot be read as a saved dataset: {said}"
        raise InputError(message) from error


def _labels(path: Path, rows: Any, name: str, class_names: list[str] | None, settings: DataSettings) -> tuple[Any, str]:
    """Return the label of each row, -1 or None where it has none, and words for them; None for several per row."""
    found = list(rows[name]) if len(rows) else []
    without = sum(label is None for label in found)
    if any(isinstance(label, list | dict) for label in found):
        array = _stacked(found)
        return array, name if array is not None else f"none: column {name!r} does not hold one label per row"
    if class_names is None:
        return _unnamed(found), name + unlabelled(without)
    places = np.asarray([-1 if label is None else label for label in found], np.int64)
    columns, without = columns_of(path, name, places, class_names, settings.columns)
    return columns, name + unlabelled(without)


def _unnamed(labels: list[Any]) -> Any:
    """Return labels that have no names as an array; of those that are missing, -1 among integers, NaN among floats."""
    if any(isinstance(label, str) for label in labels):
        return np.asarray(labels, object)  # an array of NumPy's texts would take the longest of them for each
    if None not in labels:
        return np.asarray(labels)
    numbers = all(label is None or isinstance(label, int) for label in labels)
    return np.asarray([-1 if numbers and label is None else label for label in labels], None if numbers else float)


def _stacked(labels: list[Any]) -> Any:
    """Return labels that are lists as one array, or None where they differ in their lengths."""
    try:
        array = np.asarray(labels)
    except ValueError:
        return None
    return array if array.dtype.kind in "biuf" else None


class SavedRows:
    """The rows of a saved dataset as samples of numbers or texts.

    Args:
        rows: The dataset.
        inputs: The columns of the input; several become a mapping, two of texts a pair.
        labels: The label of each row, or None.
    """

    def __init__(self, rows: Any, inputs: list[str], labels: Any) -> None:
        self.rows, self.inputs, self.labels = rows.with_format("numpy"), inputs, labels

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        """Return one sample."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """Return several samples, read at once."""
        columns = self.rows[list(indices)]
        return [
            self._sample({name: columns[name][place] for name in self.inputs}, index)
            for place, index in enumerate(indices)
        ]

    def _sample(self, values: dict[str, Any], index: int) -> Any:
        arrays = {name: self._plain(name, value) for name, value in values.items()}
        inputs = arrays if len(arrays) > 1 else arrays[self.inputs[0]]
        if len(arrays) == 2 and all(isinstance(value, str) for value in arrays.values()):
            inputs = list(arrays.values())  # a tuple without a label would be an input and its label
        return inputs if self.labels is None else (inputs, self.labels[index])

    def _plain(self, name: str, value: Any) -> Any:
        if isinstance(value, str):
            return str(value)
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            message = f"column {name!r} holds {array.dtype}, expected numbers or texts; choose others with --inputs-key"
            raise InputError(message)
        return array


class SavedPictures(Pictures):
    """The pictures of a saved dataset."""


class SavedColumn:
    """The pictures of a column: undecoded, so that each is decoded where its row is known.

    Args:
        path: The folder, for messages.
        rows: The dataset.
        column: The column's name.
        places: Which rows; all by default.
    """

    def __init__(self, path: Path, rows: Any, column: str, places: Sequence[int] | None = None) -> None:
        self.path, self.column = path, column
        self.places = range(len(rows)) if places is None else places
        self.mode = getattr(rows.features[column], "mode", None)
        self.rows = rows
        if type(rows.features[column]).__name__ == "Image":
            self.rows = rows.cast_column(column, type(rows.features[column])(decode=False))

    def __len__(self) -> int:
        """Return their number."""
        return len(self.places)

    def take(self, places: Sequence[int]) -> list[Any]:
        """Return what was saved of some: bytes, or their path, or None."""
        chosen = [self.places[place] for place in places]
        return list(self.rows[chosen][self.column]) if chosen else []

    def only(self, places: Sequence[int]) -> "SavedColumn":
        """Return those at some places."""
        chosen = [self.places[place] for place in places]
        kept = SavedColumn(self.path, self.rows, self.column, chosen)
        kept.mode = self.mode
        return kept

    def opened(self, source: Any) -> Any:
        """Return a Pillow image, decoded and turned as the file notes, which is what ``datasets`` does.

        Raises:
            ValueError: The row has no picture.
        """
        saved = source if isinstance(source, dict) else {"bytes": source}
        data, path = saved.get("bytes"), saved.get("path")
        if data is None and path is None:
            message = "there is none in this row"
            raise ValueError(message)
        from PIL import ImageOps  # an optional library

        with pillow().open(path if data is None else BytesIO(data)) as image:
            image.load()
            turned = ImageOps.exif_transpose(image)
        return turned if self.mode in (None, turned.mode) else turned.convert(self.mode)

    def where(self, place: int, source: Any) -> str:
        """Return the row, and the path if there is one."""
        path = source.get("path") if isinstance(source, dict) else None
        named = "" if path is None else f" ({path})"
        return f"{self.path}: row {self.places[place]} of column {self.column!r}{named}"

    def size(self, source: Any) -> None:  # all bytes would have to be read for it
        """Return None: it is not cheap to know."""
