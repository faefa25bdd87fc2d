"""``--data``: from a text to a dataset, without running code from files and without guessing silently."""

import importlib.util
import inspect
from pathlib import Path

from probly.data_generator.toolkit.importing import import_model, is_import_path
from probly_data_generator_command_line.data import arrays, hugging_face, picture_folders, tables
from probly_data_generator_command_line.data.settings import Data, DataSettings
from probly_data_generator_command_line.data.splits import refuse_split, split_of
from probly_data_generator_command_line.errors import InputError
from probly_data_generator_command_line.stores import is_store


def check_source(text: str, option: str) -> Path | None:
    """Return the path that a text names, or None for ``"module:attribute"``; both must be there.

    Raises:
        InputError: The message says what was expected.
    """
    path = Path(text)
    if not text.strip():
        message = f"{option}: expected a file, a folder or module:attribute, got an empty text"
        raise InputError(message)
    if path.suffix == ".py" and path.is_file():
        place = path.resolve().with_suffix("")
        inside = place.is_relative_to(Path.cwd().resolve())
        module = ".".join(place.relative_to(Path.cwd().resolve()).parts) if inside else place.name
        where = "" if inside else f", in the folder {place.parent}"
        message = f"{option} {text}: your own code is named as module:attribute, such as {module}:NAME{where}"
        raise InputError(message)
    if path.exists():
        return path
    if not is_import_path(text):
        message = f"{option} {text}: there is no such file or folder in {Path.cwd()}, and it is no module:attribute"
        raise InputError(message)
    module = text.partition(":")[0]
    top = module.partition(".")[0]
    if top == "__main__" or importlib.util.find_spec(top) is None:
        message = f"{option} {text}: there is no module {top!r}, neither in {Path.cwd()} nor installed"
        raise InputError(message)
    return None


def load_data(text: str, settings: DataSettings) -> Data:
    """Return the dataset that ``--data`` names.

    Raises:
        InputError: There is none, or it is not said which part of it is what.
    """
    path = check_source(text, "--data")
    if path is None:
        _refuse_keys(text, settings)
        samples = import_model(text)
        if samples is None or inspect.isroutine(samples) or inspect.isclass(samples):
            what = "None" if samples is None else "a function or class that needs arguments"
            message = f"--data {text}: expected a dataset, or a function without arguments that makes one, got {what}"
            raise InputError(message)
        samples = split_of(samples, text, settings.split)
        return Data(samples, {"data": f"{text}, a {type(samples).__name__} of your own code"})
    if path.is_dir():
        return _folder(path, settings)
    refuse_split(text, settings.split)
    suffix = path.suffix.lower()
    if suffix in (".npz", ".npy"):
        return arrays.load_npz(path, settings) if suffix == ".npz" else arrays.load_npy(path, settings)
    if suffix in tables.SUFFIXES:
        return tables.load_table(path, settings)
    message = (
        f"--data {path}: expected .npz, .npy, {', '.join(tables.SUFFIXES)}, a folder of pictures, a saved Hugging Face "
        f"dataset or module:attribute, got the suffix {path.suffix!r}"
    )
    raise InputError(message)


def _folder(path: Path, settings: DataSettings) -> Data:
    if is_store(path):
        message = f"--data {path}: is a store of distributions; pass the dataset that the model is to be run over"
        raise InputError(message)
    saved = [name for name in ("dataset_info.json", "state.json", "dataset_dict.json") if (path / name).is_file()]
    if saved:
        return hugging_face.load_saved(path, settings)
    _refuse_keys(str(path), settings)
    refuse_split(str(path), settings.split)
    return picture_folders.load_folder(path, settings)


def _refuse_keys(text: str, settings: DataSettings) -> None:
    if settings.inputs_key or settings.labels_key:
        message = f"--data {text}: has no arrays to choose from; leave out --inputs-key and --labels-key"
        raise InputError(message)
