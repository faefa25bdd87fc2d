"""What is left to do in a shared run: the only thing that its engine asks."""

from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence

from probly.data_generator.errors import WorkerError
from probly.data_generator.run.ranges import Receipt

MOST_LOSSES = 3
"""How many workers may die over one shard, or before they were admitted, until it is not for want of luck."""


class Driver:
    """Hands out the numbers of shards and takes the receipts; it holds no rows.

    Args:
        started: Called with the rows of the dataset and those that are there already, once that is known.
        received: Called with each receipt.

    Attributes:
        receipts: Those of the shards that this run has seen published.

    Examples:
        >>> driver = Driver(lambda rows, there: None, lambda receipt: None)
        >>> driver.admitted(rows=8, shard_rows=4, missing=[0, 1])
        >>> driver.next("a"), driver.next("b")
        (0, 1)
        >>> driver.received("b", Receipt(1, 4, []))
        >>> driver.next("b"), driver.done  # the last shard is handed out again: whoever has it may have died
        (0, False)
        >>> driver.received("b", Receipt(0, 4, []))
        >>> driver.next("a"), driver.done
        (None, True)
    """

    def __init__(self, started: Callable[[int, int], None], received: Callable[[Receipt], None]) -> None:
        self._started, self._received = started, received
        self.receipts: list[Receipt] = []
        self._waiting: deque[int] | None = None
        self._at_work: dict[Hashable, int] = {}
        self._published: set[int] = set()
        self._left = 0
        self._losses: Counter[int | None] = Counter()

    @property
    def done(self) -> bool:
        """Whether all shards are there; workers that are still busy compute what is there already."""
        return self._waiting is not None and not self._left

    def admitted(self, rows: int, shard_rows: int, missing: Sequence[int]) -> None:
        """Take what a worker found when it was admitted; the first one says what is to be done.

        Args:
            rows: The rows of the dataset.
            shard_rows: Those of every shard but the last.
            missing: The numbers of the shards that nobody has published.
        """
        self._losses[None] = 0
        if self._waiting is None:
            self._waiting, self._left = deque(missing), len(missing)
            last = (rows - 1) // shard_rows if rows else 0
            of_missing = len(missing) * shard_rows - (-rows % shard_rows if last in missing else 0)
            self._started(rows, rows - of_missing)

    def next(self, worker: Hashable) -> int | None:
        """Return the shard that a worker is to compute now, or None: nothing is left that it could do.

        Where all are handed out, one that another worker has for the longest time is handed out a second time.
        """
        if self.done or self._waiting is None:
            return None
        number = self._waiting.popleft() if self._waiting else self._second()
        if number is not None:
            self._at_work.pop(worker, None)
            self._at_work[worker] = number
        return number

    def _second(self) -> int | None:
        handed_out = Counter(self._at_work.values())
        return next((number for number in self._at_work.values() if handed_out[number] == 1), None)

    def received(self, worker: Hashable, receipt: Receipt) -> None:
        """Take the receipt of the shard that a worker had."""
        self._at_work.pop(worker, None)
        if receipt.number not in self._published:
            self._published.add(receipt.number)
            self._left -= 1
            self.receipts.append(receipt)
            self._received(receipt)

    def lost(self, worker: Hashable, reason: str) -> None:
        """Take note that a worker died; what it had is handed out again, and before all others.

        Args:
            worker: Which.
            reason: What is known of it, in words.

        Raises:
            WorkerError: It was one too many.
        """
        number = self._at_work.pop(worker, None)
        if number is not None and number in self._published:
            return
        self._losses[number] += 1
        if self._losses[number] >= MOST_LOSSES:
            what = "before they could begin" if number is None else f"while they computed shard {number}"
            message = (
                f"{MOST_LOSSES} workers died {what}; the last one {reason}. Look at what they printed, and at their "
                "memory; what was published is safe, and the same call goes on from there"
            )
            raise WorkerError(message)
        if number is not None and number not in self._at_work.values():
            assert self._waiting is not None
            self._waiting.appendleft(number)
