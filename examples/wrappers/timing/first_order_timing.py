"""A wrapper that times and logs every hook call: ``FirstOrderDataGenerator(..., wrappers=["timing"])``.

Each call is one record of the logger ``first_order_timing``, level INFO, with the number of calls so far and the
seconds of all of them; so the last record of a hook is its summary. After a run, ``generator.backend.wrappers[0]`` is
the Timing, and ``print`` shows its table.

What is timed: the call, until it returns. Two hooks need more than that. ``iterate_batches`` returns an iterator at
once, so each of its steps is timed as "next batch". Frameworks with accelerators return from ``forward`` before the
device has finished: the generator waits for it when it fetches the scores, which is timed as "to_device host".
"""

import contextlib
import logging
import time
from collections import defaultdict

from probly.data_generator.hookspecs import DEFAULTED, HOST, OPTIONAL, REQUIRED, hookimpl
from probly.data_generator.toolkit.samples import Batches

logger = logging.getLogger(__name__)


class Timing:
    """Counts and times the calls of every hook.

    Args:
        hook: The generator's hooks, which are not needed here.

    Attributes:
        calls: The number of calls by name.
        seconds: The seconds of all calls by name.
    """

    def __init__(self, hook=None):
        self.calls = defaultdict(int)
        self.seconds = defaultdict(float)
        for name in {*REQUIRED, *DEFAULTED, *OPTIONAL} - {"iterate_batches", "to_device"}:
            setattr(self, name, self._around(name))

    def _around(self, name):
        @hookimpl(wrapper=True)
        def timed():
            with self.timed(name):
                return (yield)

        return timed

    @hookimpl(wrapper=True)
    def iterate_batches(self):
        with self.timed("iterate_batches"):
            batches = yield
        return _TimedBatches(batches, self)

    @hookimpl(wrapper=True)
    def to_device(self, device):
        with self.timed("to_device host" if device == HOST else "to_device"):
            return (yield)

    @contextlib.contextmanager
    def timed(self, name):
        """Add the time of a block, also if it fails."""
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            self.calls[name] += 1
            self.seconds[name] += seconds
            text = "%s: call %d took %.6f s, all together %.6f s"
            logger.info(text, name, self.calls[name], seconds, self.seconds[name])

    def __str__(self):
        """Return a table, the hook that took most first."""
        names = sorted(self.calls, key=lambda name: -self.seconds[name])
        return "\n".join(f"{name:<20} {self.calls[name]:>8} calls {self.seconds[name]:>12.6f} s" for name in names)


class _TimedBatches(Batches):
    """The same iterator, each step timed; the step that finds the end is one of them."""

    def __init__(self, batches, timing):
        super().__init__(batches, getattr(batches, "length", None))
        self.timing = timing

    def __next__(self):
        with self.timing.timed("next batch"):
            return super().__next__()
