"""What a run reports of itself while it runs: a bar, a line every 30 seconds, or calls of your own function."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol, Self

clock = time.monotonic
SECONDS_PER_LINE = 30.0
SECONDS_PER_FRAME = 0.1


@dataclass(frozen=True)
class Progress:
    """Where a run is.

    Attributes:
        rows: The rows that are done, those that a store had before included.
        total: The rows that the dataset announces, or None.
        safe_rows: The rows that a store has published, which no crash can take away; 0 for a run in memory.
        rate: Rows per second of this run after its first batch, whose time goes into compiling; 0 before a second one.
        remaining: The seconds that the rest will take at this rate, or None where that cannot be said.
    """

    rows: int
    total: int | None
    safe_rows: int
    rate: float
    remaining: float | None


Callback = Callable[[Progress], object]


class Display(Protocol):
    """What shows the progress of one run."""

    seconds: float
    """How long to wait between two calls of ``show``."""

    def show(self, progress: Progress, *, last: bool) -> None:
        """Show where the run is; ``last`` after all rows."""

    def close(self) -> None:
        """Let go of the screen; called once, however the run ends."""


class Tracker:
    """Counts rows and time; a context that shows its end if the block ends well.

    Args:
        total: See Progress.
        display: What shows it, or None.
        safe_rows: Returns the number of rows that are published.
    """

    def __init__(self, total: int | None, display: Display | None, safe_rows: Callable[[], int]) -> None:
        self.total, self.display, self.safe_rows = total, display, safe_rows
        self.rows = self._computed = 0
        self._shown = clock()
        self._first: float | None = None

    def skip(self, rows: int) -> None:
        """Count rows that a store had already; they cost no time and do not count for the rate."""
        self.rows += rows

    def update(self, rows: int) -> None:
        """Count rows that were computed, and show them if it is time."""
        if self.display is None:
            return
        now = clock()
        self.rows += rows
        if self._first is None:
            self._first = now
        else:
            self._computed += rows
        if now - self._shown >= self.display.seconds:
            self._shown = now
            self.display.show(self._progress(now), last=False)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Show that all rows are there, if they are, and let go of the screen."""
        if self.display is None:
            return
        try:
            if kind is None:
                self.display.show(self._progress(clock()), last=True)
        finally:
            self.display.close()

    def _progress(self, now: float) -> Progress:
        seconds = 0.0 if self._first is None else now - self._first
        rate = self._computed / seconds if seconds > 0 else 0.0
        remaining = None
        if self.total is not None and (rate or self.rows >= self.total):
            remaining = max(self.total - self.rows, 0) / rate if self.rows < self.total else 0.0
        return Progress(self.rows, self.total, self.safe_rows(), rate, remaining)


class Lines:
    """A line every 30 seconds, for logs; a run that is over before that leaves none."""

    seconds = SECONDS_PER_LINE

    def __init__(self) -> None:
        self._printed = False

    def show(self, progress: Progress, *, last: bool) -> None:
        """Print a line to standard error."""
        if not last or self._printed:
            self._printed = True
            print(describe(progress), file=sys.stderr, flush=True)  # noqa: T201  # this is what it is for

    def close(self) -> None:
        """Do nothing."""


class Bar:
    """A bar of tqdm's: on a terminal, or the notebook's own.

    Args:
        bar: An open bar.
    """

    seconds = SECONDS_PER_FRAME

    def __init__(self, bar: Any) -> None:
        self.bar = bar

    def show(self, progress: Progress, *, last: bool) -> None:  # noqa: ARG002  # a bar stays as it is
        """Draw the bar."""
        self.bar.n = progress.rows
        self.bar.set_postfix_str(_tail(progress))  # draws it

    def close(self) -> None:
        """Leave the bar as it is, and go to the next line."""
        self.bar.close()


class Calls:
    """Calls of a function, after every batch and once in the end.

    Args:
        callback: Gets a Progress.
    """

    seconds = 0.0

    def __init__(self, callback: Callback) -> None:
        self.callback = callback

    def show(self, progress: Progress, *, last: bool) -> None:  # noqa: ARG002  # rows == total says it
        """Call the function."""
        self.callback(progress)

    def close(self) -> None:
        """Do nothing."""


def describe(progress: Progress) -> str:
    """Say in one line where a run is.

    Examples:
        >>> describe(Progress(12_000, 50_000, 8_000, 400.0, 95.0))
        '12,000 of 50,000 rows (24 %), 400 rows/s, 1:35 left, 8,000 safe'
        >>> describe(Progress(5, None, 0, 0.0, None))
        '5 rows'
    """
    text = f"{progress.rows:,} rows"
    if progress.total:
        text = f"{progress.rows:,} of {progress.total:,} rows ({100 * progress.rows / progress.total:.0f} %)"
    return ", ".join(filter(None, (text, _tail(progress))))


def _tail(progress: Progress) -> str:
    rate = f"{progress.rate:,.0f}" if progress.rate >= 10 else f"{progress.rate:.2g}"
    return ", ".join(
        filter(
            None,
            (
                f"{rate} rows/s" if progress.rate else "",
                f"{duration(progress.remaining)} left" if progress.remaining else "",
                f"{progress.safe_rows:,} safe" if progress.safe_rows else "",
            ),
        )
    )


def duration(seconds: float) -> str:
    """Return a time as hours, minutes and seconds.

    Examples:
        >>> duration(3725.2), duration(59.7), duration(3 * 86_400)
        ('1:02:05', '1:00', '72:00:00')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def check_progress(progress: bool | Callback) -> None:
    """Refuse what is neither a yes or no nor a function.

    Raises:
        TypeError: It is something else.
    """
    if not isinstance(progress, bool) and not callable(progress):
        message = f"progress: expected True, False or a function of one Progress, got {progress!r}"
        raise TypeError(message)


def tracked(total: int | None, progress: bool | Callback, safe_rows: Callable[[], int]) -> Tracker:
    """Return a Tracker of one run.

    Args:
        total: The rows that the dataset announces, or None.
        progress: True for a bar on a terminal or in a notebook and lines elsewhere, False for silence, or a function.
        safe_rows: Returns the number of rows that are published.
    """
    return Tracker(total, _display(total, progress), safe_rows)


def _display(total: int | None, progress: bool | Callback) -> Display | None:
    if callable(progress):
        return Calls(progress)
    if not progress or sys.stderr is None:
        return None
    kind = _notebook_bar()
    if kind is None:
        if not sys.stderr.isatty():
            return Lines()
        import tqdm  # noqa: PLC0415  # a fifth of the package's import time, needed on terminals only

        kind = tqdm.tqdm
    # The rate, the time and the safe rows are ours, so that they are the same everywhere.
    form = "{l_bar}{bar}| {n:,} of {total:,} rows, {elapsed}{postfix}"
    if total is None:
        form = "{n:,} rows, {elapsed}{postfix}"
    return Bar(kind(total=total, bar_format=form))


def _notebook_bar() -> Any:
    """Return the notebook's bar, or None outside a notebook or without ipywidgets, which draws it."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None or not hasattr(shell, "kernel") or find_spec("ipywidgets") is None:
        return None
    import tqdm.notebook  # noqa: PLC0415  # see above

    return tqdm.notebook.tqdm
