"""The shards of an open store: each is verified when it is first read, and mapped while it is in use."""

import errno
import weakref
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.errors import StoreError
from probly.data_generator.label_values import join_labels
from probly.data_generator.rows import FloatRows
from probly.data_generator.toolkit.places import Place
from probly.data_generator.toolkit.samples import Indices
from probly_data_generator_store import kept
from probly_data_generator_store.encodings import NUMBERS_AT_ONCE, encoding_of
from probly_data_generator_store.shards import Range, Shard, read_shard
from probly_data_generator_store.spec import SHARDS, SPEC, Spec

MAPPED_AT_ONCE = 256
"""A map keeps its file open, and a process may have about a thousand open files; where it may have fewer, a quarter."""
REMEDY = "remove that shard, and the same call, or `first-order generate`, makes it again"
_OPEN: "weakref.WeakSet[MappedShards]" = weakref.WeakSet()


def _most_maps() -> int:
    try:
        import resource  # there is none on Windows
    except ImportError:
        return MAPPED_AT_ONCE
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MAPPED_AT_ONCE if allowed < 0 else max(1, min(MAPPED_AT_ONCE, allowed // 4))


def _out_of_descriptors(error: StoreError) -> bool:
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE)


def _parts(rows: int, width: int) -> list[slice]:
    step = max(1, NUMBERS_AT_ONCE // max(width, 1))
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


class MappedShards:
    """Shards by number; the one that was mapped first gives way to the next.

    Args:
        path: The store.
        spec: Its spec.
        shards: The ranges, ascending, with the checksums that the manifest lists.

    Attributes:
        ranges: The ranges.
        encoding: How rows are kept.
        views: The rows of mapped shards that need no decoding: what makes a single row cheap.

    Raises:
        StoreError: The spec names an unknown encoding.
    """

    def __init__(self, path: Place, spec: Spec, shards: dict[Range, str | None]) -> None:
        self.path, self.spec = path, spec
        try:
            self.encoding = encoding_of(spec.encoding)
        except ValueError as error:
            message = f"{path / SPEC}: {error}"
            raise StoreError(message) from error
        self.ranges, self._checksums = list(shards), list(shards.values())
        self.views: list[FloatRows | None] = [None] * len(self.ranges)
        self._mapped: dict[int, Shard] = {}
        self._verified: set[int] = set()
        _OPEN.add(self)

    def __len__(self) -> int:
        """Return the number of shards."""
        return len(self.ranges)

    def first(self, rows: int) -> dict[Range, str | None]:
        """Return the shards that hold the first rows, with their checksums."""
        found: dict[Range, str | None] = {}
        for part, checksum in zip(self.ranges, self._checksums, strict=True):
            if rows <= 0:
                break
            found[part] = checksum
            rows -= part.stop - part.start
        return found

    def shard(self, number: int) -> Shard:
        """Return a shard, verified if it has not been before.

        Raises:
            StoreError: It is damaged, missing, or not the one that the manifest lists.
        """
        shard = self._mapped.get(number)
        if shard is None:
            shard = self._map(number)
        return shard

    def _map(self, number: int) -> Shard:
        # Without a lock, which a forked loader worker might inherit held: two threads may map a shard twice, no more.
        self._give_back(len(self._mapped) - _most_maps() + 1)
        checked = number not in self._verified
        try:
            shard = self.read(number, checked=checked)
        except StoreError as error:
            if not _out_of_descriptors(error):
                raise
            for store in list(_OPEN):
                store._give_back(len(store._mapped))  # noqa: SLF001  # its own class
            shard = self._read_again(number, checked)
        self._verified.add(number)
        self._mapped[number] = shard
        if self.encoding.exact:
            self.views[number] = shard.tensors["probs"]
        return shard

    def _give_back(self, count: int) -> None:
        for oldest in list(self._mapped)[: max(0, count)]:
            self.views[oldest] = None
            self._mapped.pop(oldest, None)

    def _read_again(self, number: int, checked: bool) -> Shard:
        try:
            return self.read(number, checked=checked)
        except StoreError as error:
            if _out_of_descriptors(error):
                message = (
                    f"{error}; rows of other shards that are still in use keep their files open: copy those rows, "
                    "with gather or np.array, or allow more open files (ulimit -n)"
                )
                raise StoreError(message) from error
            raise

    def read(self, number: int, *, checked: bool = True, writable: bool = False) -> Shard:
        """Map a shard for the caller alone; see ``read_shard``."""
        rows = self.ranges[number]
        shard = read_shard(self.path, self.spec, rows, self.encoding, checked=checked, writable=writable)
        if self._checksums[number] not in (None, shard.metadata["data_checksum"]):
            message = f"{self.path / SHARDS / rows.file_name}: is not the one that the manifest lists"
            raise StoreError(message)
        return shard

    def writable(self, number: int) -> Shard:
        """Map a shard so that its arrays may be written to, which never changes the file."""
        return self.read(number, checked=number not in self._verified, writable=True)

    def rows(self, number: int, rows: Any) -> FloatRows:
        """Return some rows of a shard, decoded to float32 if need be."""
        view = self.views[number]
        if view is None and self.encoding.exact:
            view = self.shard(number).tensors["probs"]
        if view is not None:
            part: FloatRows = view[rows]
            return part
        return self.encoding.decode(self.shard(number).tensors, rows, self.spec.classes)

    def take(self, number: int, positions: Indices, out: FloatRows) -> None:
        """Write the rows at ascending positions of a shard to ``out``; what must be decoded, in small pieces."""
        tensors = self.shard(number).tensors
        if self.encoding.exact:  # the other mode buffers; all positions are valid
            tensors["probs"].take(positions, axis=0, out=out, mode="clip")
            return
        for part in _parts(len(positions), self.spec.classes):
            out[part] = self.encoding.decode(tensors, positions[part], self.spec.classes)

    def parts(self, number: int) -> list[slice]:
        """Return the pieces that a shard is read in: one, or what little memory holds when it is decoded."""
        count = self.ranges[number].stop - self.ranges[number].start
        return [slice(0, count)] if self.encoding.exact else _parts(count, self.spec.classes)

    def problems(self) -> list[str]:
        """Return what is wrong with each shard, after a look at all of its bytes and rows."""
        return [problem for number in range(len(self.ranges)) if (problem := self._problem(number))]

    def _problem(self, number: int) -> str | None:
        rows = self.ranges[number]
        try:
            shard = self.read(number)
        except StoreError as error:
            # What cannot be read, for lack of a right or because the disk fails, may be as it was written.
            unread = isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, FileNotFoundError)
            return str(error) if unread else f"{error}; {REMEDY}"
        width = sum(max(count, 1) for _, count in self.encoding.columns(self.spec.classes).values())
        for part in _parts(rows.stop - rows.start, width):
            bad = self.encoding.bad_row(shard.tensors, part)
            if bad:
                return f"{rows.file_name}: row {rows.start + part.start + bad.position}: {bad.reason}; {REMEDY}"
        found = kept.bad_member(self.spec.columns, shard.tensors, self.encoding, rows.stop - rows.start)
        return found and f"{rows.file_name}: {found}; {REMEDY}"

    def kept(self, name: str, positions: Indices) -> npt.NDArray[Any]:
        """Return what is kept under a name at ascending positions of rows, counted without gaps.

        Raises:
            StoreError: A shard is damaged.
        """
        what = self.spec.columns[name]
        found = np.empty((len(positions), *what.shape), what.dtype)
        lengths = [rows.stop - rows.start for rows in self.ranges]
        edges = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        cuts = np.searchsorted(positions, edges)
        for number, (first, last) in enumerate(pairwise(cuts.tolist())):
            for part in kept.pieces(last - first, what):
                chosen = positions[first + part.start : first + part.stop] - edges[number]
                tensors = self.shard(number).tensors
                found[first + part.start : first + part.stop] = kept.decode(name, what, tensors, chosen, self.encoding)
        return found

    def column(self, name: str) -> npt.NDArray[Any] | None:
        """Return what stands beside the rows under a name, as a copy; None if not every shard has it.

        Of labels, a shard that has none holds rows without one.
        """
        parts: list[npt.NDArray[Any] | int] = []
        for number, rows in enumerate(self.ranges):
            part = self.shard(number).column(name)
            if part is None and name != "labels":
                return None
            parts.append(rows.stop - rows.start if part is None else part.copy())
        joined = join_labels(parts)
        if joined is not None:
            joined.flags.writeable = False
        return joined
