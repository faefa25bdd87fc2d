"""``--data`` as a folder that Hugging Face ``datasets`` has saved."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from probly_data_generator_command_line.data.pictures import check_settings, describe_settings, to_array, to_look_at
from probly_data_generator_command_line.data.settings import (
    INPUT_NAMES,
    LABEL_NAMES,
    Data,
    DataSettings,
    PictureSettings,
    choose,
    label_positions,
    missing_inputs,
)
from probly_data_generator_command_line.errors import InputError

PICTURE_NAMES = ("image", "img", *INPUT_NAMES)


def load_saved(path: Path, settings: DataSettings) -> Data:
    """Read a dataset that ``save_to_disk`` has written: a column of pictures or numbers, and one of labels.

    Raises:
        InputError: It has several splits, or no name says which column is what.
        ImportError: ``datasets`` is not installed.
    """
    if (path / "dataset_dict.json").is_file():
        splits = sorted(entry.name for entry in path.iterdir() if entry.is_dir())
        message = f"--data {path}: has the splits {', '.join(splits)}; pass one of them, as {path / splits[-1]}"
        raise InputError(message)
    rows = _load(path)
    names = list(rows.column_names)
    label = choose(path, names, settings.labels_key, LABEL_NAMES, "--labels-key")
    rest = [name for name in names if name != label]
    chosen = _inputs(path, rest, settings)
    of_pictures = type(rows.features[chosen[0]]).__name__ == "Image"
    description = {"data": f"{path}: {len(rows):,} rows", "inputs": ", ".join(chosen), "labels": label or "none"}
    class_names = None if label is None else getattr(rows.features[label], "names", None)
    labels = None if label is None else _labels(path, rows, label, class_names, settings)
    if not of_pictures:
        return Data(SavedRows(rows, chosen, labels, settings.dtype), description, class_names)
    if settings.raw:
        return Data(SavedPictures(rows, chosen[0], labels, None), description)
    check_settings(settings.pictures)
    description["pictures"] = describe_settings(settings.pictures)
    return Data(SavedPictures(rows, chosen[0], labels, settings.pictures), description, class_names)


def _inputs(path: Path, names: list[str], settings: DataSettings) -> list[str]:
    wanted: list[str | None] = [None]
    if settings.inputs_key is not None:
        wanted = [*settings.inputs_key.split(",")]
    found = [choose(path, names, name, PICTURE_NAMES, "--inputs-key") for name in wanted]
    if None in found:
        raise missing_inputs(path, names)
    return [str(name) for name in found]


def _load(path: Path) -> Any:
    try:
        from datasets import load_from_disk  # an optional library
    except ImportError as error:
        message = f"{path} needs datasets, which cannot be imported ({error}); run: pip install datasets"
        raise ImportError(message) from error
    try:
        return load_from_disk(str(path))
    except (OSError, ValueError) as error:
        message = f"{path}: cannot be read as a saved dataset: {error}"
        raise InputError(message) from error


def _labels(path: Path, rows: Any, name: str, class_names: list[str] | None, settings: DataSettings) -> Any:
    labels = np.asarray(rows[name])
    if class_names is None:
        return labels
    positions = np.asarray(label_positions(class_names, settings.columns, path))
    if labels.size and labels.min() < 0:
        message = f"{path}: column {name!r} has rows without a label (-1); leave it out with another --labels-key"
        raise InputError(message)
    return positions[labels]


class SavedRows:
    """The rows of a saved dataset as samples of numbers.

    Args:
        rows: The dataset.
        inputs: The columns of the input; several become a mapping.
        labels: The label of each row, or None.
        dtype: What inputs are cast to, or None.
    """

    def __init__(self, rows: Any, inputs: list[str], labels: Any, dtype: str | None) -> None:
        self.rows, self.inputs, self.labels, self.dtype = rows.with_format("numpy"), inputs, labels, dtype

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
        arrays = {name: self._numbers(name, value) for name, value in values.items()}
        inputs = arrays if len(arrays) > 1 else arrays[self.inputs[0]]
        return inputs if self.labels is None else (inputs, self.labels[index])

    def _numbers(self, name: str, value: Any) -> Any:
        array = np.asarray(value, self.dtype)
        if array.dtype.kind not in "biuf":
            message = f"column {name!r} holds {array.dtype}, expected numbers; choose others with --inputs-key"
            raise InputError(message)
        return array


class SavedPictures:
    """The rows of a saved dataset as pictures.

    Args:
        rows: The dataset.
        column: The column of the pictures.
        labels: The label of each row, or None.
        settings: See ``pictures.to_array``; None gives pictures as they are, uint8 of shape ``(height, width, 3)``.
    """

    def __init__(self, rows: Any, column: str, labels: Any, settings: PictureSettings | None) -> None:
        self.rows, self.column, self.labels, self.settings = rows, column, labels, settings

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        """Return one sample."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """Return several samples."""
        return list(self._samples(indices))

    def _samples(self, indices: list[int]) -> Iterable[Any]:
        for image, index in zip(self.rows[list(indices)][self.column], indices, strict=True):
            array = to_look_at(image) if self.settings is None else self._array(image, index)
            yield array if self.labels is None else (array, self.labels[index])

    def _array(self, image: Any, index: int) -> Any:
        assert self.settings is not None
        try:
            return to_array(image, self.settings)
        except ValueError as error:
            if self.settings.transform is not None:
                raise
            message = f"row {index} of column {self.column!r} cannot be taken as a picture: {error}"
            raise InputError(message) from error
