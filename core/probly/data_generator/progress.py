"""The progress bar, quiet where nobody watches."""

import contextlib
import sys
from typing import Any


class _Silent:
    def update(self, rows: int) -> None:
        """Do nothing."""


def progress_bar(total: int | None, wanted: bool) -> contextlib.AbstractContextManager[Any]:
    """Return a context with ``update(rows)``: a bar on standard error if it is wanted and a terminal."""
    if not (wanted and sys.stderr is not None and sys.stderr.isatty()):
        return contextlib.nullcontext(_Silent())
    import tqdm  # noqa: PLC0415  # a fifth of the package's import time, needed on terminals only

    bar: contextlib.AbstractContextManager[Any] = tqdm.tqdm(total=total, unit="rows", unit_scale=True)
    return bar
