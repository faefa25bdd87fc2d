"""Which comparisons there are: framework/model/data/batch/sink."""

import fnmatch
import itertools
from typing import NamedTuple

FRAMEWORKS = ("torch", "jax", "tensorflow", "numpy")
MODELS = {
    "torch": ("linear", "cnn", "resnet"),
    "jax": ("linear", "cnn", "resnet"),
    "tensorflow": ("linear", "cnn", "resnet"),
    "numpy": ("linear", "sklearn"),
}
DATA = ("arrays", "images", "loader")
BATCHES = (64, 256)
SINKS = ("memory", "store", "first")
LIMITS = {"cnn": 1.05, "resnet": 1.05, "sklearn": 1.05}
MICROSECONDS = 60
"""What a run may add to each batch of a model that takes next to no time itself."""


class Row(NamedTuple):
    """One comparison.

    Attributes:
        framework: The name of the backend; each runs in a process of its own.
        model: ``linear``, ``cnn``, ``resnet`` (ResNet-18-sized), or ``sklearn``.
        data: ``arrays`` in memory; ``images``, a dataset that decodes a PNG per item; ``loader``, the framework's
            loader of these images, with workers where it has some.
        batch: Rows per forward pass.
        sink: ``memory``; ``store``, a ``.fod`` folder; ``first``, in memory, with everything that a first run
            compiles on the clock.
    """

    framework: str
    model: str
    data: str
    batch: int
    sink: str

    @property
    def name(self):
        """The text that ``--only`` takes."""
        return "/".join(map(str, self))

    @property
    def shape(self):
        """Height, width and channels of a sample."""
        return (32, 32, 3) if self.model == "resnet" else (28, 28, 1)

    @property
    def limit(self):
        """What our ratio to the base should not exceed, or None where no target was set."""
        if self.sink == "first":
            return None
        if self.sink == "store":
            return 1.1 if self.model == "cnn" and self.data == "arrays" else None
        if self.data == "arrays":
            return LIMITS.get(self.model)
        return None if self.framework == "numpy" else 1.0

    @property
    def limit_microseconds(self):
        """What we should not add to a batch beyond the base, or None where the ratio is what matters."""
        return MICROSECONDS if (self.model, self.data, self.sink) == ("linear", "arrays", "memory") else None

    def base(self, medians):
        """Return who the others are divided by: our own run into memory, the loop by hand, or the best loader loop.

        Args:
            medians: Seconds of each contestant by name.
        """
        if self.sink == "store":
            return "ours in memory"
        if self.data == "arrays" or self.sink == "first":
            return "hand"
        return min((name for name in medians if name.startswith("loader")), key=medians.get)


def every_row():
    """Return all rows that ``--only`` can name."""
    return [
        Row(framework, model, data, batch, sink)
        for framework in FRAMEWORKS
        for model, data, batch, sink in itertools.product(MODELS[framework], DATA, BATCHES, SINKS)
    ]


def is_usual(row):
    """Return whether a row is run when none is named: those that tell something new."""
    if row.sink == "store":
        return row.data == "arrays" and (row.model == "cnn" or (row.model, row.batch) == ("linear", 64))
    if row.sink == "first":
        return row.model == "cnn" and row.data == "arrays" and row.batch == 64
    return row.data == "arrays" or row.model in ("cnn", "sklearn")


def is_quick(row):
    """Return whether a row is among those of ``--quick``."""
    return is_usual(row) and row.batch == 64 and row.model != "resnet" and row.sink != "first"


def chosen_rows(patterns, *, quick=False):
    """Return the rows whose name fits one of the patterns; without a pattern the usual ones, or the quick ones.

    Raises:
        SystemExit: A pattern fits none.
    """
    if not patterns:
        return [row for row in every_row() if (is_quick(row) if quick else is_usual(row))]
    for pattern in patterns:
        if not any(fnmatch.fnmatch(row.name, pattern) for row in every_row()):
            raise SystemExit(f"no row fits {pattern!r}; rows are called framework/model/data/batch/sink:\n{domain()}")
    return [row for row in every_row() if any(fnmatch.fnmatch(row.name, pattern) for pattern in patterns)]


def domain():
    """Return what each part of a name can be."""
    models = dict.fromkeys(itertools.chain(*MODELS.values()))
    return "\n".join("  " + ", ".join(map(str, part)) for part in (FRAMEWORKS, models, DATA, BATCHES, SINKS))
