"""What is given beside FILE: labels and human votes, brought into the order of its rows and columns."""

import csv
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.distributions import Distributions
from probly.data_generator.errors import AlignmentError, StoreError
from probly.data_generator.formats.choosing import load
from probly.data_generator.formats.shared import check_size
from probly_data_generator_evaluation.human_votes import HumanVotes
from probly_data_generator_evaluation.vote_files import read_chaos_nli, read_csv, read_dcic

Array = npt.NDArray[Any]

LABELS = ("labels", "label", "y")
UNREADABLE = (ValueError, EOFError, zipfile.BadZipFile, csv.Error, RuntimeError)


def column_names(distributions: Distributions) -> list[str]:
    """Return what the classes are called in files: their names where all differ, else their positions.

    Examples:
        >>> column_names(Distributions([[0.5, 0.5]], meta={"class_names": ["cat", "dog"]}))
        ['cat', 'dog']
        >>> column_names(Distributions([[0.5, 0.5]]))
        ['0', '1']
    """
    names = distributions.class_names or []
    return names if len(set(names)) == distributions.num_classes else list(map(str, range(distributions.num_classes)))


def labels_of(path: Path | None, distributions: Distributions) -> Array | None:
    """Return the label of each row, from a file if there is one, else those of the distributions, if they have some.

    Raises:
        AlignmentError: A row has no label there.
        StoreError: The file cannot be read, or has no labels.
        ValueError: It is none of the kinds that are read.
    """
    if path is None:
        return distributions.labels
    indices, found = _labels_in(path)
    places = np.asarray(distributions.indices)
    if indices is not None:
        order = np.argsort(indices, kind="stable")
        places = order[np.minimum(np.searchsorted(indices, places, sorter=order), max(len(indices) - 1, 0))]
        there = np.isin(distributions.indices, indices)
    else:
        there = places < len(found)
    if not there.all():
        message = (
            f"{path}: no label for index {distributions.indices[~there][0]}, there are {len(found):,}: expected one "
            f"for each of the {len(there):,} rows"
        )
        raise AlignmentError(message)
    taken: Array = np.asarray(found[places])
    return taken


def _labels_in(path: Path) -> tuple[Array | None, Array]:
    """Return the labels in a file, and the dataset index of each; None where they are those of a dataset in order."""
    held = arrays_in(path, (*LABELS, "indices", "probabilities")) if path.suffix in (".npy", ".npz") else None
    if held is None or "probabilities" in held:
        distributions = load(path)[0]
        if distributions.labels is None:
            message = f"{path}: has no labels"
            raise StoreError(message)
        return distributions.indices, distributions.labels
    found = next((held[name] for name in ("", *LABELS) if name in held), None)
    indices = held.get("indices")
    if found is None or found.ndim == 0 or (indices is not None and indices.shape != found.shape[:1]):
        shapes = {name: list(array.shape) for name, array in held.items()}
        message = f"{path}: expected an array {', '.join(LABELS)}, a label per sample, got {shapes}"
        raise StoreError(message)
    return indices, found


def arrays_in(path: Path, wanted: Sequence[str]) -> dict[str, Array]:
    """Return some arrays of a .npz by name; the only one of a .npy, mapped from the disk, with an empty name.

    Raises:
        OSError: There is no such file.
        StoreError: It is damaged, or holds objects, which are not read because that may run code.
    """
    try:
        if path.suffix == ".npy":
            return {"": np.lib.format.open_memmap(path, mode="r")}
        with zipfile.ZipFile(path) as archive:
            check_size(sum(info.file_size for info in archive.infolist()), path.stat().st_size)
        with np.load(path) as held:
            return {name: held[name] for name in wanted if name in held.files}
    except UNREADABLE as error:
        message = f"{path}: cannot be read as arrays of NumPy: {error}"
        raise StoreError(message) from error


def votes_of(path: Path, distributions: Distributions) -> HumanVotes:
    """Return human votes with dataset indices, the columns in the order of the distributions.

    Args:
        path: Its suffix says what it is. A .csv has either two columns, sample and vote, with a line per vote; or the
            sample and a column of counts for each class, with a line per sample. The columns of .npy and .npz
            are those of the distributions, unless a .npz has ``class_names``; its rows are the samples of the dataset
            in order, unless it has ``indices`` or ``keys``.
        distributions: Their ``sample_keys``, which a store may have, are what votes with keys are matched by.

    Raises:
        AlignmentError: The samples of the votes are none of the distributions.
        StoreError: The file cannot be read, or holds something else.
        ValueError: A vote is for a class that is none of them.
    """
    names = column_names(distributions)
    keys = getattr(distributions, "sample_keys", None)
    keys = None if keys is None else np.asarray(keys).astype(np.str_)
    votes = _votes_in(path, names)
    if path.suffix == ".csv" and votes.indices is not None and keys is not None and all(map(_is_number, keys.tolist())):
        # Numbers in a table mean the samples' own keys where these are numbers, too.
        votes = HumanVotes(votes.counts, keys=votes.indices.astype(np.str_), class_names=votes.class_names)
        keys = np.asarray([str(int(key)) for key in keys.tolist()])
    if votes.class_names is not None and votes.class_names != names:
        votes = votes.in_order_of(names)
    if votes.keys is not None and votes.indices is None:
        votes = _by_keys(path, votes, keys, distributions)
    if votes.indices is None and len(votes) <= distributions.indices[-1]:
        message = (
            f"{path}: has counts for {len(votes):,} samples in order, and the rows go to index "
            f"{distributions.indices[-1]}: expected more, or a .npz that has their indices, too"
        )
        raise AlignmentError(message)
    indices = np.arange(len(votes)) if votes.indices is None else votes.indices
    if not np.isin(indices, distributions.indices).any():
        message = (
            f"{path}: its samples have the indices {indices.min()} to {indices.max()}, the rows have "
            f"{distributions.indices[0]} to {distributions.indices[-1]}: expected some of these"
        )
        raise AlignmentError(message)
    return HumanVotes(votes.counts, indices)


def _votes_in(path: Path, names: list[str]) -> HumanVotes:
    readers: dict[str, Callable[[Path, list[str]], HumanVotes]] = {
        ".csv": _votes_in_csv,
        ".json": read_dcic,
        ".jsonl": read_chaos_nli,
        ".npy": _votes_in_arrays,
        ".npz": _votes_in_arrays,
    }
    if path.suffix not in readers:
        message = f"{path}: expected a file of votes that ends in {', '.join(readers)}"
        raise StoreError(message)
    try:
        votes = readers[path.suffix](path, names)
    except (UnicodeDecodeError, csv.Error) as error:
        message = f"{path}: cannot be read as text: {error}"
        raise StoreError(message) from error
    if not len(votes):
        message = f"{path}: has no votes"
        raise StoreError(message)
    return votes


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _votes_in_csv(path: Path, names: list[str]) -> HumanVotes:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file), [])
    if len(header) == 2:
        return read_csv(path, header[0], header[1], class_names=names)
    if len(header) > 2 and len(set(header)) == len(header) and set(header[1:]) <= set(names):
        return read_csv(path, header[0])
    message = (
        f"{path}: expected the columns sample and vote, with a line per vote, or sample and counts for the classes "
        f"{', '.join(names[:8])}{', ...' if len(names) > 8 else ''}, got {', '.join(header) or 'none'}"
    )
    raise StoreError(message)


def _votes_in_arrays(path: Path, _: list[str]) -> HumanVotes:
    held = arrays_in(path, ("counts", "indices", "keys", "class_names"))
    counts = held.get("", held.get("counts"))
    if counts is None:
        message = f"{path}: expected an array counts of the shape (samples, classes), got none"
        raise StoreError(message)
    names = held.get("class_names")
    return HumanVotes(counts, held.get("indices"), held.get("keys"), None if names is None else names.tolist())


def _by_keys(path: Path, votes: HumanVotes, keys: Array | None, distributions: Distributions) -> HumanVotes:
    """Return the votes of those samples that have some, by their keys."""
    assert votes.keys is not None
    if keys is None:
        message = (
            f"{path}: its samples are called by keys, such as {str(votes.keys[0])!r}, but the rows have no keys, as "
            "stores of pictures have: expected dataset indices"
        )
        raise AlignmentError(message)
    there = np.isin(keys, votes.keys)
    if not there.any():
        message = f"{path}: its samples are called like {str(votes.keys[0])!r}, the rows like {str(keys[0])!r}"
        raise AlignmentError(message)
    return votes.for_keys(keys[there], np.asarray(distributions.indices)[there])
