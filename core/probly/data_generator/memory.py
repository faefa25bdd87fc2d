"""What is freed after a batch stays with the process, for the next batch."""

import contextlib
import functools

import numpy as np

LARGEST_KEPT = (32 << 20) - (1 << 16)
"""glibc keeps no blocks of more than 32 MiB, its own few bytes included."""


@functools.cache
def keep_freed_memory() -> None:
    """Tell the C library once, by example, that large blocks come and go.

    glibc gives the memory of large arrays back to the system when they are freed, and takes it again page by page for
    the next batch: for a small convolutional network on a CPU, that can take as long as the network itself. It learns
    to keep blocks of a size once it has seen one of that size freed (mallopt(3), M_MMAP_THRESHOLD and
    M_TRIM_THRESHOLD); about 64 MiB more may then stay with the process. Other C libraries do not notice.
    """
    with contextlib.suppress(MemoryError):  # a process with a tight limit goes on as before
        np.empty(LARGEST_KEPT, np.uint8)  # its pages are never touched, so it costs microseconds
