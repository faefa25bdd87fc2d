"""Disjoint runs as one set: the folds of a cross-validation, or the shares of several machines."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.distributions import Distributions
from probly.data_generator.errors import AlignmentError
from probly.data_generator.indices import whole_numbers
from probly.data_generator.label_values import join_labels, key_array
from probly.data_generator.rows import FloatRows
from probly.data_generator.toolkit.samples import Indices
from probly_data_generator_evaluation.blocks import each_block

FOLD = "fold"
"""The column that says which run a row is from."""


def merge(
    parts: Iterable[Any],
    indices: Sequence[npt.ArrayLike] | None = None,
    length: int | None = None,
    out: FloatRows | None = None,
) -> Distributions:
    """Return disjoint runs as one set of distributions, whose column ``"fold"`` says which run each row is from.

    Where each run computed the rows that its model was not trained on, the result is that of a cross-validation:
    every sample has one row of a model that has not seen it, bit by bit those of scikit-learn's ``cross_val_predict``.

    Args:
        parts: Distributions or mappings from index to row, one per run.
        indices: The dataset indices of the samples of each run, in the order of its rows, such as the test indices of
            a splitter; by default the runs' own indices, which are those of the dataset only if the run had all of it.
        length: How many samples the dataset has; by default up to the last one that has a row.
        out: float32 of the shape of the result to write to, such as a memory map, where it is too large for memory.

    Returns:
        The rows in the order of their indices, with the metadata that all runs share, their labels, and the columns and
        sample keys that all of them have, such as members; ``columns["fold"]`` is int64, shape ``(samples,)``.

    Raises:
        AlignmentError: Two runs have the same sample, or a sample has no row, or a run has another number of rows than
            indices; the message names the first.
        ValueError: There are no runs, or their classes, labels or columns are of other kinds.

    Examples:
        >>> found = merge([{0: [0.9, 0.1], 1: [0.5, 0.5]}, {0: [0.2, 0.8]}], indices=[[0, 2], [1]])
        >>> np.asarray(found), found.columns["fold"]
        (array([[0.9, 0.1],
                [0.2, 0.8],
                [0.5, 0.5]], dtype=float32), array([0, 1, 0]))
    """
    runs = [Distributions.from_mapping(part) for part in parts]
    if not runs:
        message = "parts: expected at least one run, got none"
        raise ValueError(message)
    keys = [run.indices for run in runs] if indices is None else _given(runs, indices)
    _check_classes(runs)
    folds = np.repeat(np.arange(len(runs)), [len(run) for run in runs])
    flat = np.concatenate(keys)
    order = np.argsort(flat, kind="stable")
    _check_indices(flat[order], folds[order], length, own=indices is None)
    shape = (len(flat), runs[0].num_classes)
    if out is not None and (out.shape != shape or out.dtype != np.float32):
        message = f"out: expected float32 of the shape {shape}, got {out.dtype} of the shape {out.shape}"
        raise ValueError(message)
    rows = np.empty(shape, np.float32) if out is None else out
    for run, own in zip(runs, keys, strict=True):
        _fill(rows, run, own)
    labels = join_labels([len(run) if run.labels is None else run.labels for run in runs])
    if labels is None and any(run.labels is not None for run in runs):
        message = "parts: the labels of the runs are of different kinds: expected numbers in all, or text in all"
        raise ValueError(message)
    meta = {name: value for name, value in runs[0].meta.items() if all(run.meta.get(name) == value for run in runs)}
    columns = {**_columns(runs, order), FOLD: folds[order]}
    ordered = None if labels is None else labels[order]
    named = _sample_keys(runs, order)
    return Distributions.of_checked(rows, flat[order], ordered, {**meta, "merged_runs": len(runs)}, columns, named)


def _sample_keys(runs: list[Distributions], order: Indices) -> npt.NDArray[Any] | None:
    """Return the keys of the samples in the order of the merged rows, where all runs have some."""
    known = [run.sample_keys for run in runs]
    if any(keys is None for keys in known):
        return None
    joined = [key for keys in known if keys is not None for key in keys.tolist()]
    try:
        return key_array(joined)[order]
    except TypeError as error:
        message = "parts: the sample keys of the runs are of different kinds: expected integers in all, or text in all"
        raise ValueError(message) from error


def _columns(runs: list[Distributions], order: Indices) -> dict[str, npt.NDArray[Any]]:
    """Return the columns that all runs have, in the order of the merged rows."""
    found = {}
    for name, first in runs[0].columns.items():
        if name == FOLD or any(name not in run.columns for run in runs):
            continue
        kinds = [(run.columns[name].dtype, run.columns[name].shape[1:]) for run in runs]
        if len(set(kinds)) > 1:
            number = next(number for number, kind in enumerate(kinds) if kind != kinds[0])
            message = (
                f"parts: the column {name!r} is {first.dtype} of the shape {first.shape[1:]} per row in run 0, and "
                f"{kinds[number][0]} of {kinds[number][1]} in run {number}: expected the same in all"
            )
            raise ValueError(message)
        found[name] = np.concatenate([run.columns[name] for run in runs])[order]
    return found


def _fill(rows: FloatRows, run: Distributions, keys: Indices) -> None:
    """Write the rows of a run to their places; all indices from 0 on have a row, so an index is a place."""

    def fill(part: slice) -> None:
        rows[keys[part]] = run.gather(run.indices[part])

    for _ in each_block(fill, len(run), run.num_classes):
        pass


def _given(runs: list[Distributions], indices: Sequence[npt.ArrayLike]) -> list[Indices]:
    if len(indices) != len(runs):
        message = f"indices: expected those of each run ({len(runs)}), got {len(indices)}"
        raise AlignmentError(message)
    found = [whole_numbers(own).reshape(-1) for own in indices]
    for number, (run, own) in enumerate(zip(runs, found, strict=True)):
        if len(run) != len(own):
            message = f"indices: expected one for each of the {len(run)} rows of run {number}, got {len(own)}"
            raise AlignmentError(message)
    return found


def _check_classes(runs: list[Distributions]) -> None:
    first = runs[0]
    for number, run in enumerate(runs[1:], start=1):
        names, others = first.class_names, run.class_names
        if run.num_classes != first.num_classes or names != others or first.classes != run.classes:
            message = (
                f"parts: run {number} has the classes {others or run.num_classes}, run 0 has "
                f"{names or first.num_classes}: expected the same columns in all; a fold whose training samples lack a "
                "class gives a model without its column, so stratify the folds"
            )
            raise ValueError(message)


def _check_indices(keys: Indices, folds: Indices, length: int | None, *, own: bool) -> None:
    repeated = np.flatnonzero(keys[1:] == keys[:-1])
    if len(repeated):
        place = int(repeated[0])
        hint = "; runs on subsets count from 0 each: pass indices=, those of the dataset" if own else ""
        message = f"index {keys[place]} is in run {folds[place]} and in run {folds[place + 1]}{hint}"
        raise AlignmentError(message)
    expected = int(keys[-1]) + 1 if length is None and len(keys) else length or 0
    missing = np.setdiff1d(np.arange(expected), keys, assume_unique=True)
    beyond = keys[(keys < 0) | (keys >= expected)]
    if len(beyond):
        message = f"expected indices from 0 to {expected - 1}, got {beyond[0]}"
        raise AlignmentError(message)
    if len(missing):
        message = f"no run has a row for index {missing[0]} ({len(missing)} of {expected} have none)"
        raise AlignmentError(message)
