"""A store that many writers share: each publishes whole shards, which end on a grid of rows that all of them know.

No writer waits for another, and none needs to know of the others. The same rows give the same bytes whoever computes
them, so whoever is first publishes a shard, and one who comes second finds it there. Drafts have names of their own
and are removed by nobody but their writer until the store is complete.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from probly.data_generator.errors import AlignmentError, InvalidOutputError, StoreError
from probly.data_generator.formats.shared import decode_meta, encode_meta
from probly.data_generator.run.ranges import Admission, Receipt, grid_rows, range_of
from probly.data_generator.toolkit.places import Place
from probly_data_generator_store import files, kept
from probly_data_generator_store.admission import deviation, packed_rows
from probly_data_generator_store.encodings import encoding_of
from probly_data_generator_store.kept import Kept
from probly_data_generator_store.lock import Lock
from probly_data_generator_store.manifest import DEVIATION, entry_of
from probly_data_generator_store.publisher import changing
from probly_data_generator_store.range_sink import RangeSink
from probly_data_generator_store.second import compare
from probly_data_generator_store.shards import Range, list_shards, read_shard
from probly_data_generator_store.spec import MANIFEST, SHARDS, SPEC, Spec, refuse_differences
from probly_data_generator_store.writer import LOCK, check_folder, check_new


class Ranges:
    """One of the writers of a shared store, within a block; see ``run.ranges.Ranges``.

    Args:
        path: The store.
        identity: What every writer must have in common, as JSON.
        options: ``encoding``, ``shard_rows``, ``shard_megabytes`` and ``keys``; see ``formats.contract``.

    Raises:
        ValueError: An option is out of its domain.
        StoreError: When the block begins: the store was begun by another run, or by one that shares it with nobody.
    """

    def __init__(self, path: Place, identity: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        self.path, self.identity = path, dict(identity)
        self.encoding = encoding_of(options["encoding"])
        self.sample_keys = options["keys"]
        self._shard_rows, self._megabytes = options["shard_rows"], options["shard_megabytes"]
        self.spec: Spec | None = None
        self.deviation = 0.0
        self._tolerance: float | None = None
        self._lock: Lock | None = None

    @property
    def decided(self) -> str | None:
        """The output mode that the store was begun with, or None before that."""
        return None if self.spec is None else self.spec.decided

    def admit(self, first: Admission, tolerance: float | None) -> None:
        """Begin the store with what the first batch tells, or compare it with what it was begun with.

        Args:
            first: What the first batch tells.
            tolerance: How far the rows may be from those of whoever began the store; None to compare none.

        Raises:
            ValueError: ``shard_rows`` is no multiple of the batch size, or the encoding needs more classes.
            AlignmentError: There are more or fewer keys than samples.
            StoreError: The model, the data, the mode or the kernels are others.
        """
        if self.sample_keys is not None and len(self.sample_keys) != first.rows:
            message = f"keys: expected one per sample, got {len(self.sample_keys)} for a dataset of {first.rows}"
            raise AlignmentError(message)
        columns = {name: Kept("<f4", tuple(shape)) for name, shape in first.shapes.items()}
        begun = self.spec
        if begun is None:
            if first.classes:
                self.encoding.encode(np.zeros((0, first.classes), np.float32))  # refuses what it cannot keep
            row_bytes = self.encoding.row_bytes(first.classes) + kept.row_bytes(columns, self.encoding)
            begun = Spec.new(
                identity=self.identity, decided=first.mode, rows=first.rows, classes=first.classes,
                encoding=self.encoding.name, keyed=False, meta=decode_meta(encode_meta(self.path, first.meta)),
                columns=columns, probe=packed_rows(first.probe),
                shard_rows=grid_rows(first.rows, first.batch_size, row_bytes, self._megabytes, self._shard_rows),
            )  # fmt: skip
            self._make(begun)
        spec = self.spec
        assert spec is not None
        if spec.rows != first.rows or (first.classes and spec.classes != first.classes):
            message = (
                f"{self.path}: expected {spec.rows} rows of {spec.classes} classes as in the store, got {first.rows} "
                f"of {first.classes}"
            )
            raise InvalidOutputError(message)
        if first.classes and (spec.columns != columns or spec.decided != first.mode):
            message = (
                f"{self.path}: the store has the columns {list(spec.columns)} and the output mode {spec.decided!r}, "
                f"this run {list(columns)} and {first.mode!r}. Undo the change, or choose another path"
            )
            raise StoreError(message)
        self._tolerance = tolerance
        if tolerance is not None and first.classes:
            self.deviation = deviation(self.path, spec, first.probe, tolerance)

    def _make(self, spec: Spec) -> None:
        """Make the store, or find that another writer has just made it."""
        with changing(self.path / SPEC):
            files.make_directories(self.path / SHARDS)
            self._share()
            if files.publish(self.path / SPEC, [spec.to_bytes()]):
                self.spec = spec
                return
        self._read_spec()

    def _read_spec(self) -> None:
        self.spec = Spec.read(self.path / SPEC)
        refuse_unshared(self.path, self.spec)
        refuse_differences(self.path, self.spec, self.identity, self.encoding.name)
        if self._shard_rows not in (None, self.spec.shard_rows):
            message = (
                f"{self.path}: shard_rows: the store was begun with {self.spec.shard_rows}, got {self._shard_rows}; "
                "leave it out, or choose another path"
            )
            raise StoreError(message)

    @property
    def shards(self) -> int:
        """How many shards the store has when it is complete."""
        assert self.spec is not None
        return number_of_shards(self.spec)

    @property
    def rows(self) -> int:
        """How many rows the store has when it is complete."""
        assert self.spec is not None
        return self.spec.rows or 0

    @property
    def id(self) -> str:
        """The id of the store."""
        assert self.spec is not None
        return self.spec.id

    def range(self, number: int) -> range:
        """Return the rows of a shard."""
        assert self.spec is not None
        return range_of(number, self.rows, self.spec.shard_rows or 1)

    def missing(self) -> list[int]:
        """Return the numbers of the shards that nobody has published.

        Raises:
            StoreError: Another store has taken the place of this one, or a shard is not on the grid.
        """
        files.forget(self.path)
        refuse_replaced(self.path, Spec.read(self.path / SPEC), self.id)
        published = _published(self.path, self.spec)
        left = [number for number in range(self.shards) if number not in published]
        if left and files.exists(self.path / MANIFEST):  # a shard was removed, so it is no longer true
            with changing(self.path / MANIFEST), contextlib.suppress(FileNotFoundError):
                files.remove(self.path / MANIFEST)
        return left

    def sink(self, number: int) -> RangeSink:
        """Return what takes the rows of a shard."""
        assert self.spec is not None
        further = {DEVIATION: repr(self.deviation)} if self.deviation else {}
        rows = self.range(number)
        return RangeSink(
            self.path, self.spec, self.encoding, Range(rows.start, rows.stop), self.sample_keys, further,
            self._tolerance,
        )  # fmt: skip

    def publish(self, number: int, sink: RangeSink) -> Receipt:
        """Publish a shard whose rows are all there, and return its receipt; the first one to do so wins.

        Raises:
            AlignmentError: The dataset gave fewer rows.
            StoreError: The disk failed, or somebody has published other rows.
        """
        assert self.spec is not None
        entry = sink.publish()
        if entry is None:
            refuse_replaced(self.path, Spec.read(self.path / SPEC), self.id)
            there = read_shard(self.path, self.spec, sink.rows, self.encoding)
            compare(self.path / SHARDS / sink.rows.file_name, self.spec, self.encoding, there, sink.computed())
            entry = entry_of(self.path, sink.rows)
        return Receipt(number, sink.rows.stop - sink.rows.start, [*entry, self.id])

    def _share(self) -> None:
        if self._lock is None and isinstance(self.path, Path):  # object stores know none
            self._lock = Lock(self.path / LOCK, shared=True)

    def __enter__(self) -> Self:
        if isinstance(self.path, Path):
            check_folder(self.path)
        if files.exists(self.path / SPEC):
            self._read_spec()
            with contextlib.suppress(OSError) if files.exists(self.path / MANIFEST) else changing(self.path / LOCK):
                self._share()  # a complete store may well be one that nobody may write to
            with changing(self.path / SHARDS):
                files.make_directories(self.path / SHARDS)  # somebody may have removed it, to have all rows made anew
        elif files.exists(self.path / SHARDS):
            check_new(self.path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            self._lock.release()


def number_of_shards(spec: Spec) -> int:
    """Return how many shards a shared store has when it is complete."""
    return -(-(spec.rows or 0) // (spec.shard_rows or 1))


def refuse_replaced(path: Place, spec: Spec, begun: str) -> None:
    """Refuse a store in whose place there was another one when a worker was admitted.

    Raises:
        StoreError: Its id is another one.
    """
    if spec.id != begun:
        message = (
            f"{path}: has been replaced by another store since this run was admitted to it, or this machine sees "
            "another one there than its workers; the rows of this run are not in it. Let only one run have a path, "
            "which leads to the same place on all machines, and generate them again at another one"
        )
        raise StoreError(message)


def refuse_unshared(path: Place, spec: Spec) -> None:
    """Refuse a store whose shards end anywhere.

    Raises:
        StoreError: It is one.
    """
    if spec.shard_rows is None:
        message = (
            f"{path}: was begun by a run that shares it with nobody; continue it without workers, share, engine and "
            "shard_rows, or choose another path"
        )
        raise StoreError(message)


def _published(path: Place, spec: Spec | None) -> set[int]:
    """Return which shards are published, by number."""
    assert spec is not None
    published = set()
    for rows in list_shards(path):
        number, off = divmod(rows.start, spec.shard_rows or 1)
        wanted = range_of(number, spec.rows or 0, spec.shard_rows or 1)
        if off or rows.stop != wanted.stop:
            message = f"{path / SHARDS / rows.file_name}: is not on the grid of the store; remove it"
            raise StoreError(message)
        published.add(number)
    return published
