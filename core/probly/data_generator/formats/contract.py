"""What a file format is: an object with ``read`` and ``write``, and ``open_sink`` where rows can be streamed to it.

It is named by an entry point of the group ``probly.data_generator.formats``, whose name is the suffix in lower case
and without its dot; a module with these functions will do. Nobody needs to ask us.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from probly.data_generator.distributions import Distributions
from probly.data_generator.run.ranges import Ranges, Receipt
from probly.data_generator.run.sinks import Sink


class Format(Protocol):
    """Reads and writes files of distributions.

    It may have ``CHECKED``, a tuple of texts: what reading a file compares with what was written, such as ``"the CRC-32
    of every array"``, which ``first-order verify`` says; ``formats.digest`` has a digest for those that lack checksums.
    It has ``KEEPS_COLUMNS = True`` if it writes and reads ``Distributions.columns``, and ``KEEPS_SAMPLE_KEYS = True``
    if it does so with ``Distributions.sample_keys``; what it does not keep is refused when it is to be written.
    """

    def read(self, path: Path) -> Distributions:
        """Return what a file holds, checked, with its metadata as ``meta``.

        Called by ``load_distributions`` and by every command that opens a file.

        Raises:
            FileNotFoundError: There is none.
            StoreError: It is damaged or holds something else.
        """

    def write(self, path: Path, distributions: Distributions, meta: Mapping[str, Any]) -> None:
        """Write a file whole or not at all; ``formats.atomic.replacing`` does the second half of that.

        Called by ``save_distributions`` and ``convert``.

        Args:
            path: Where.
            distributions: The rows; those of a store are read block by block with ``distributions.row_blocks``.
            meta: JSON-serialisable metadata.

        Raises:
            TypeError: The metadata or the labels cannot be written.
        """


class StreamingFormat(Format, Protocol):
    """A format that takes the rows of a run as they come."""

    def open_sink(
        self, path: Path, identity: Mapping[str, Any], options: Mapping[str, Any]
    ) -> AbstractContextManager[Sink | Distributions]:
        """Give the sink of a run, or the distributions of an earlier one that is complete.

        Called by ``generate_distributions(..., out=path)``. What the sink has from an earlier run is asked for first
        (``first_stored``, ``stored``), as are the rows of complete distributions, and compared with what the model
        computes for one batch; distributions that round their rows have these two as well. The block may end in any
        way; what was written stays.

        Args:
            path: Where.
            identity: What every run on this file must have in common, as JSON: model, dataset, settings.
            options: ``encoding`` (how a row is kept), ``shard_megabytes``, ``shard_seconds``, ``shard_rows`` and
                ``keys`` (an array with one entry per sample, or None), as ``generate_distributions`` got them.

        Raises:
            StoreError: It was begun by another run; the message names what differs.
        """

    def lacks_keys(self, path: Path) -> bool:
        """Return whether there is a file that a run began without keys (optional).

        Then ``generate_distributions`` does not add those that a dataset has by itself.
        """


class SharedFormat(StreamingFormat, Protocol):
    """A format that several workers can fill at once, on one machine or on many."""

    def is_shared(self, path: Path) -> bool:
        """Return whether there is a file that several workers share; called by ``generate_distributions``."""

    def open_ranges(
        self, path: Path, identity: Mapping[str, Any], options: Mapping[str, Any]
    ) -> AbstractContextManager[Ranges]:
        """Give a worker its view of a file; called once in each worker, with the arguments of ``open_sink``."""

    def finish(self, path: Path, receipts: Sequence[Receipt]) -> Distributions:
        """Complete a file whose shards are all published, and open it; that of a complete one changes nothing.

        Called by every driver and by every worker without one, when no shard is missing.

        Args:
            path: Where.
            receipts: What this run has seen published; other shards may be there, too.

        Raises:
            StoreError: Shards are missing; the message says which.
        """
