"""SIGTERM, by which schedulers end a run: it stops like one that Ctrl-C stops, and what is there is published."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def terminating() -> Iterator[None]:
    """Turn SIGTERM, where nobody else handles it, into an exit that leaves its blocks as any other error does."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    owner, told = os.getpid(), []

    def leave(number: int, frame: Any) -> None:  # noqa: ARG001  # as signal calls it
        if os.getpid() != owner:  # a forked loader worker has nothing to publish
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        told.append(number)
        signal.signal(number, signal.SIG_IGN)  # one is enough: others would end what publishes the rows
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    except SystemExit as error:
        if told:  # libraries that wait in code of their own make another exit of it: Ray says 1
            raise SystemExit(128 + told[0]) from error
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
