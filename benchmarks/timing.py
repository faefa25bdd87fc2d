"""Taking turns: every contestant once per round, in one process, so that all of them meet the same machine."""

import gc
import itertools
import math
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

LEAST_ROUNDS = 7
MOST_ROUNDS = 41


def timed(contestant, folder):
    """Return the seconds of one run and its rows; its empty folder is made before the clock."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    gc.collect()
    begin = time.perf_counter()
    rows = contestant(folder)
    return time.perf_counter() - begin, rows


def check_same_rows(rows, names):
    """Refuse to compare contestants that did not do the same work."""
    for name, theirs in rows.items():
        np.testing.assert_allclose(theirs, rows[names[0]], rtol=0, atol=1e-5, err_msg=f"{name} against {names[0]}")


def interleaved(contestants, rounds=None, seconds=10.0, finalists=None):
    """Return the seconds of each contestant in each round.

    Args:
        contestants: Functions by name; each gets an empty folder and returns something that np.asarray makes rows of.
        rounds: How many; by default at least seven, and more where they are short.
        seconds: How long to go on beyond the seventh round.
        finalists: Called after the seventh round with the seconds so far; returns the names of those that go on.
    """
    names = list(contestants)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        check_same_rows({name: np.asarray(timed(contestants[name], folder)[1]) for name in names}, names)
        # What the imports left behind is not for the contestants to clean up.
        gc.collect()
        gc.freeze()
        taken = {name: [] for name in names}
        for _ in range(rounds or LEAST_ROUNDS):
            _round(contestants, names, taken, folder)
        if rounds is None:
            names = finalists(taken) if finalists else names
            begin = time.perf_counter()
            while len(taken[names[0]]) < MOST_ROUNDS and time.perf_counter() - begin < seconds:
                _round(contestants, names, taken, folder)
        gc.unfreeze()
    return taken


def _round(contestants, names, taken, folder):
    """Let each have its turn."""
    turn = len(taken[names[0]])
    os.sync()
    # Nobody always runs first or after the same one: the order is reversed every other round, and rotated in between.
    first = turn // 2 % len(names)
    order = names[first:] + names[:first]
    for name in order if turn % 2 else order[::-1]:
        taken[name].append(timed(contestants[name], folder)[0])


def ratio(times, base):
    """Return the median of the ratios of each round that both were in, and the 95 % confidence interval of it."""
    ratios = [mine / theirs for mine, theirs in zip(times, base, strict=False)]
    low, high = interval(ratios)
    return {"median": statistics.median(ratios), "low": low, "high": high}


def interval(values, confidence=0.95):
    """Return between which of the values the true median lies, whatever their distribution is.

    Each value is below the true median as often as a coin shows heads, so how many are is binomial. With fewer than six
    values no interval is that sure, and it is all of them.
    """
    ordered, number = sorted(values), len(values)
    below = itertools.accumulate(math.comb(number, heads) / 2**number for heads in range(number // 2))
    left_out = max((heads for heads, chance in enumerate(below) if 2 * chance <= 1 - confidence), default=0)
    return ordered[left_out], ordered[-1 - left_out]
