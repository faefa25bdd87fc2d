"""Datasets of pictures, wherever they lie: which are read by their place, and errors that name the one that failed."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from probly_data_generator_command_line.data.pictures import (
    check_settings,
    describe_settings,
    pillow,
    to_array,
    to_look_at,
)
from probly_data_generator_command_line.data.python_words import for_python
from probly_data_generator_command_line.data.settings import Data, DataSettings, PictureSettings
from probly_data_generator_command_line.errors import InputError

THREADS = 8
"""Pillow decodes without holding the interpreter."""
AT_ONCE = 256
"""The pictures that are looked at together where all are looked at."""


class Sources(Protocol):
    """Where pictures lie."""

    def __len__(self) -> int:
        """Return their number."""

    def take(self, places: Sequence[int]) -> Sequence[Any]:
        """Return what some of them are opened from."""

    def only(self, places: Sequence[int]) -> "Sources":
        """Return those at some places."""

    def opened(self, source: Any) -> Any:
        """Return a Pillow image, decoded; raise anything where it is damaged."""

    def where(self, place: int, source: Any) -> str:
        """Return where a picture lies, for messages."""

    def size(self, source: Any) -> tuple[int, int] | None:
        """Return width and height where they are cheap to know."""


class Pictures:
    """A dataset of pictures as arrays, each with its label where there are labels.

    Args:
        sources: Where they lie.
        labels: The label of each, or None.
        settings: See ``pictures.to_array``; None gives pictures as they are, uint8 of shape ``(height, width, 3)``.

    Attributes:
        sample_keys: What each picture is called, or None.
        classes: The names that the labels count, or None.
        python: Whether messages name the arguments of ``picture_folder``, and not options.
        skipped: What is wrong with each picture that was left out.
        description: What is done to pictures, in words.
    """

    sample_keys: list[str] | None = None
    classes: list[str] | None = None
    python: bool = False
    skipped: Sequence[str] = ()
    description: Mapping[str, str] = MappingProxyType({})

    def __init__(self, sources: Sources, labels: Any, settings: PictureSettings | None = None) -> None:
        self.sources, self.labels, self.settings = sources, labels, settings
        self.first_size: tuple[int, int] | None = None
        free = settings is None or settings.as_they_are or settings.size is not None or settings.transform is not None
        self.of_one_size = settings is not None and settings.one_size and not free

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.sources)

    def __getitem__(self, index: int) -> Any:
        """Return one sample."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """Return several samples, decoded by threads."""
        with for_python(asked=self.python):
            return self._samples([int(index) for index in indices])

    def _samples(self, places: list[int]) -> list[Any]:
        if self.of_one_size and self.first_size is None:
            self.first_size = self._opened(0, self.sources.take([0])[0]).size
        with ThreadPoolExecutor(THREADS) as pool:
            arrays = list(pool.map(self._array, places, self.sources.take(places)))
        if self.labels is None:
            return arrays
        return [(array, self.labels[place]) for array, place in zip(arrays, places, strict=True)]

    def only(self, places: Sequence[int]) -> "Pictures":
        """Return the samples at some places."""
        chosen = copy.copy(self)
        chosen.sources = self.sources.only(places)
        chosen.labels = None if self.labels is None else self.labels[list(places)]
        chosen.sample_keys = self.sample_keys and [self.sample_keys[place] for place in places]
        chosen.first_size = None
        return chosen

    def damaged(self) -> Iterator[tuple[int, str]]:
        """Yield the place of each picture that cannot be read, and what is wrong with it; all are decoded."""
        with ThreadPoolExecutor(THREADS) as pool:
            for start in range(0, len(self), AT_ONCE):
                places = range(start, min(start + AT_ONCE, len(self)))
                problems = pool.map(self._problem, places, self.sources.take(places))
                yield from ((place, problem) for place, problem in zip(places, problems, strict=True) if problem)

    def check_sizes(self) -> str | None:
        """Return the size that all pictures have, where only headers have to be read for it.

        Raises:
            InputError: Two differ; the message names them.
        """
        with ThreadPoolExecutor(THREADS) as pool:
            for start in range(0, len(self), AT_ONCE):
                places = range(start, min(start + AT_ONCE, len(self)))
                for size, place in zip(pool.map(self._size, places, self.sources.take(places)), places, strict=True):
                    if size is None:
                        return None
                    self.first_size = self.first_size or size
                    self._check_size(place, size)
        return None if self.first_size is None else f"{_shown(self.first_size)} (width x height)"

    def _array(self, place: int, source: Any) -> Any:
        image = self._opened(place, source)
        if self.settings is None:
            return to_look_at(image)
        if self.of_one_size:
            self._check_size(place, image.size)
        try:
            return to_array(image, self.settings)
        except Exception as error:
            where = self.sources.where(place, source)
            if self.settings.transform is not None:
                error.add_note(f"raised by your --transform for {where}")
                raise
            raise _unreadable(where, error, "") from error

    def _check_size(self, place: int, size: tuple[int, int]) -> None:
        assert self.first_size is not None
        if size != self.first_size:
            first, other = (
                f"{self.sources.where(at, self.sources.take([at])[0])} is {_shown(found)}"
                for at, found in ((0, self.first_size), (place, size))
            )
            message = (
                f"the pictures have different sizes: {first}, {other} (width x height); pass --image-size N, a "
                "--transform of your own, or, for a model that takes any size, --batch-size 1"
            )
            raise InputError(message)

    def _opened(self, place: int, source: Any) -> Any:
        try:
            return self.sources.opened(source)
        except MemoryError:
            raise
        except Exception as error:
            remedy = "; --skip-damaged leaves out what cannot be read"
            raise _unreadable(self.sources.where(place, source), error, remedy) from error

    def _size(self, place: int, source: Any) -> tuple[int, int] | None:
        try:
            return self.sources.size(source)
        except Exception:  # noqa: BLE001  # which opening it explains
            size: tuple[int, int] = self._opened(place, source).size
            return size

    def _problem(self, place: int, source: Any) -> str | None:
        try:
            self.sources.opened(source)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  # decoders fail in any way on damaged bytes
            return _unreadable(self.sources.where(place, source), error, "").message
        return None


def _shown(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _unreadable(where: str, error: Exception, remedy: str) -> InputError:
    if isinstance(error, pillow().DecompressionBombError):
        return InputError(f"{where}: is larger than Pillow opens ({error}); make the picture smaller{remedy}")
    # Its own message of unknown bytes names an address in memory.
    unknown = type(error).__name__ == "UnidentifiedImageError"
    found = "it is of no kind that Pillow knows" if unknown else str(error) or type(error).__name__
    return InputError(f"{where}: cannot be read as a picture: {found}{remedy}")


def prepared(data: Data, settings: DataSettings) -> Data:
    """Return a dataset of pictures once more, without the damaged ones where that is asked for, checked and described.

    Raises:
        InputError: The settings do not go together, or pictures have different sizes.
    """
    if settings.raw:
        return data
    check_settings(settings.pictures)
    pictures, keys, description = data.samples, data.keys, dict(data.description)
    description["pictures"] = describe_settings(settings.pictures)
    problems = dict(pictures.damaged()) if settings.skip_damaged else {}
    if problems:
        kept = [place for place in range(len(pictures)) if place not in problems]
        pictures = pictures.only(np.asarray(kept, np.int64).tolist())
        keys = kept if keys is None else [str(keys[place]) for place in kept]
        description["damaged"] = f"{len(problems):,} pictures, left out"
    size = pictures.check_sizes() if pictures.of_one_size else None
    if size is not None:
        description["all of them"] = size
    skipped = list(problems.values())
    return replace(data, samples=pictures, description=description, keys=keys, skipped=skipped)
