"""What the options say about ``--data``, what reading it gives, and choosing arrays and columns by name."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probly.data_generator.toolkit.samples import announced_length
from probly_data_generator_command_line.errors import InputError
from probly_data_generator_command_line.printing import shortened

INPUT_NAMES = ("inputs", "x")
INTERPOLATIONS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
"""How pictures are scaled, in the order of Pillow's numbers."""
LABEL_NAMES = ("labels", "label", "y")
"""What arrays and columns are taken without being asked for, in this order; letters of any case."""
TEXT_NAMES = ("text", "text_pair")
"""Likewise the column of texts in a table, and that of the second text of each pair."""


@dataclass(frozen=True)
class PictureSettings:
    """How pictures become arrays.

    Attributes:
        size: The side of the square that the model gets, or None for pictures of one size.
        resize: What the shorter side is scaled to before the centre is cut out; ``size`` by default.
        mean: Subtracted per channel from numbers in [0, 1].
        std: Divides per channel after that.
        channels: ``"first"`` or ``"last"``: where the axis of the channels is.
        colour: ``"rgb"`` or ``"grayscale"``.
        transform: A function of the user's own, from a Pillow image to an array; it replaces all of the above.
        one_size: Whether pictures without ``size`` and ``transform`` must have one size; not where each is a batch.
        interpolation: One of ``INTERPOLATIONS``.
        squash: Scale both sides to ``resize``, and not the longer one in proportion.
        margin_down: Round half of an odd margin around the centre down, as transformers does; torchvision and timm take
            the even number beside it.
        as_they_are: Whether the model prepares Pillow images itself, so that none of the above is done to them.
    """

    size: int | None = None
    resize: int | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    channels: str | None = None
    colour: str = "rgb"
    transform: Any = None
    one_size: bool = True
    interpolation: str = "bilinear"
    squash: bool = False
    margin_down: bool = False
    as_they_are: bool = False


@dataclass(frozen=True)
class DataSettings:
    """What the options say about ``--data``.

    Attributes:
        inputs_key: The array or columns that are the model's input, separated by commas.
        labels_key: The array or column that holds the labels.
        dtype: What the numbers of a data frame are cast to, or None; other inputs are cast by the run.
        columns: The names of the model's columns, where known: labels that have names are looked up there.
        feature_names: The columns of a table that the model knows by name, in its order, or None.
        pictures: How pictures become arrays.
        raw: Give pictures as they are in their files, for a report.
        skip_damaged: Leave pictures out that cannot be read, and list them.
        split: Which dataset of several is meant, or None.
        limit: The most gigabytes that a compressed file may unpack to, or None for the limit of all files.
    """

    inputs_key: str | None = None
    labels_key: str | None = None
    dtype: str | None = None
    columns: Sequence[str] | None = None
    pictures: PictureSettings = field(default_factory=PictureSettings)
    raw: bool = False
    limit: float | None = None
    feature_names: Sequence[str] | None = None
    skip_damaged: bool = False
    split: str | None = None


@dataclass(frozen=True)
class Data:
    """A dataset, and what was done to get it.

    Attributes:
        samples: What the generator takes.
        description: What was taken as what, in words.
        class_names: The names that the labels count, or None.
        keys: The name of each sample or, where rows were left out, the number that it has in the data; or None.
        skipped: What is wrong with each picture that was left out.
    """

    samples: Any
    description: dict[str, str]
    class_names: list[str] | None = None
    keys: list[str] | list[int] | None = None
    skipped: list[str] = field(default_factory=list)

    @property
    def length(self) -> int | None:
        """The number of samples, where it is known."""
        return announced_length(self.samples)


def choose(path: Path, names: Sequence[str], wanted: str | None, known: Sequence[str], option: str) -> str | None:
    """Return the one of some names that is asked for, or that is known; None if there is none.

    Raises:
        InputError: There is none of the name that is asked for.

    Examples:
        >>> choose(Path("a.npz"), ["X", "target"], None, INPUT_NAMES, "--inputs-key")
        'X'
    """
    if wanted is not None:
        if wanted not in names:
            message = f"{path}: {option} {wanted}: there is no such array or column; there are {', '.join(names)}"
            raise InputError(message)
        return wanted
    by_name = {name.lower(): name for name in reversed(names)}
    return next((by_name[name] for name in known if name in by_name), None)


def text_columns(names: Sequence[str]) -> list[str] | None:
    """Return the column of texts, or the two of pairs, by their names; None if there is none.

    Examples:
        >>> text_columns(["id", "Text", "text_pair"]), text_columns(["id", "title"])
        (['Text', 'text_pair'], None)
    """
    by_name = {name.lower(): name for name in reversed(names)}
    return [by_name[name] for name in TEXT_NAMES if name in by_name] if TEXT_NAMES[0] in by_name else None


def missing_inputs(path: Path, names: Sequence[str]) -> InputError:
    """Return the error for a file in which no name says what the inputs are."""
    message = (
        f"{path}: which one holds the inputs? It has {', '.join(names) or 'nothing'}; name it "
        f"{' or '.join(map(repr, INPUT_NAMES))}, or pass --inputs-key and --labels-key"
    )
    return InputError(message)


def label_positions(names: Sequence[str], columns: Sequence[str] | None, path: Path) -> list[int]:
    """Return the column that each name of a label belongs to: its own place, unless the columns have names.

    Raises:
        InputError: A name is not among those of the columns, or several columns have it.

    Examples:
        >>> label_positions(["cat", "dog"], ["bird", "dog", "cat"], Path("pictures"))
        [2, 1]
    """
    if columns is None:
        return list(range(len(names)))
    places = {str(name): place for place, name in enumerate(columns)}
    unknown = [name for name in names if name not in places]
    if unknown:
        message = (
            f"{path}: its label {unknown[0]!r} is not among the {len(columns)} class names of the columns "
            f"({shortened(columns, 5)}); rename it, or pass --class-names"
        )
        raise InputError(message)
    counts = Counter(map(str, columns))
    ambiguous = [name for name in names if counts[name] > 1]
    if ambiguous:
        message = (
            f"{path}: its label {ambiguous[0]!r} is the name of {counts[ambiguous[0]]} columns; rename the label, "
            "and pass --class-names in which all differ"
        )
        raise InputError(message)
    return [places[name] for name in names]


def unlabelled(count: int) -> str:
    """Say how many rows have no label, after what is said of those that have one.

    Examples:
        >>> unlabelled(0), unlabelled(2)
        ('', '; 2 rows have none')
    """
    return f"; {count:,} row{'s have' if count > 1 else ' has'} none" if count else ""


def described(name: str, array: Any) -> str:
    """Say what an array is.

    Examples:
        >>> import numpy as np
        >>> described("x", np.zeros((2, 3)))
        "'x', float64 [2, 3]"
    """
    return f"{name!r}, {array.dtype} {list(array.shape)}"
