"""``--split``: one of the datasets that a saved ``DatasetDict`` has, or a mapping of your own code."""

from pathlib import Path
from typing import Any

from probly.data_generator.toolkit.batches import split_names
from probly_data_generator_command_line.errors import InputError
from probly_data_generator_command_line.printing import shortened


def split_folder(path: Path, wanted: str | None) -> Path:
    """Return the folder of a split where a saved dataset has several, else the folder itself.

    Raises:
        InputError: It has several and none is named, or not this one; or it has none, and one is named.
    """
    if not (path / "dataset_dict.json").is_file():
        refuse_split(str(path), wanted)
        return path
    _check_named(str(path), sorted(entry.name for entry in path.iterdir() if entry.is_dir()), wanted)
    return path / str(wanted)


def split_of(samples: Any, text: str, wanted: str | None) -> Any:
    """Return a split where your own code made several, else what it made.

    Raises:
        InputError: See ``split_folder``.
    """
    names = split_names(samples)
    if names is None:
        refuse_split(text, wanted)
        return samples
    _check_named(text, names, wanted)
    return samples[wanted]


def refuse_split(text: str, wanted: str | None) -> None:
    """Refuse a split of what has none.

    Raises:
        InputError: One is named.
    """
    if wanted is not None:
        message = f"--data {text}: has no splits; leave out --split {wanted}"
        raise InputError(message)


def _check_named(text: str, names: list[str], wanted: str | None) -> None:
    if wanted not in names:
        asked = "name one of them" if wanted is None else f"there is no {wanted!r}; name one of these"
        message = (
            f"--data {text}: has the splits {shortened(names)}; {asked}, as --split {names[-1] if names else 'NAME'}"
        )
        raise InputError(message)
