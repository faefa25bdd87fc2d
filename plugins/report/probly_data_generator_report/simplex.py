"""Three-class rows as points of an equilateral triangle."""

import numpy as np
import numpy.typing as npt

from probly.data_generator.labels import ClassIndices
from probly.data_generator.rows import FloatRows
from probly_data_generator_report.scores import Counts, Numbers

STEPS = 30
POINTS_AT_MOST = 1000
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])


class TriangleCounts:
    """Rows counted in the ``STEPS ** 2`` equal triangles of the simplex; the first 1000 are kept as points too.

    With ``s`` steps, the cell of ``p`` is ``floor(s p)`` in the first two entries, and whether it stands upright: there
    the three floors add up to ``s - 1``, in a triangle on its head to ``s - 2``.

    Attributes:
        counts: Shape ``(STEPS, STEPS, 2)``: by the floors, and upright (0) or on its head (1).
        points: The first rows, shape ``(N, 3)``.
        classes: Their labels, or the columns of their largest entries.
    """

    def __init__(self) -> None:
        self.counts: Counts = np.zeros((STEPS, STEPS, 2), np.int64)
        self.points = np.zeros((0, 3))
        self.classes: ClassIndices = np.zeros(0, np.int64)

    def add(self, rows: FloatRows, classes: ClassIndices) -> None:
        """Count more rows, shape ``(N, 3)``."""
        room = POINTS_AT_MOST - len(self.points)
        self.points = np.concatenate([self.points, rows[:room]])
        self.classes = np.concatenate([self.classes, classes[:room]])
        # The third entry is what the other two leave, so that rounding cannot put a row between two cells.
        scaled = np.clip(rows[:, :2].astype(np.float64) * STEPS, 0, STEPS)
        first = np.minimum(np.floor(scaled[:, 0]), STEPS - 1)
        second = np.maximum(np.minimum(np.floor(scaled[:, 1]), STEPS - 1 - first), 0)
        on_its_head = ((scaled[:, 0] - first) + (scaled[:, 1] - second) > 1) & (first + second < STEPS - 1)
        np.add.at(self.counts, (first.astype(int), second.astype(int), on_its_head.astype(int)), 1)

    def polygons(self) -> tuple[Numbers, Counts]:
        """Return the corners of the cells that hold rows, shape ``(cells, 3, 2)``, and their counts."""
        first, second, headed = np.nonzero(self.counts)
        cells = np.stack([first, second], axis=1)[:, None, :]
        upright, head = np.array([[0, 0], [1, 0], [0, 1]]), np.array([[1, 1], [1, 0], [0, 1]])
        pairs = (cells + np.where(headed[:, None, None] == 0, upright, head)) / STEPS
        rows = np.concatenate([pairs, 1.0 - pairs.sum(axis=2, keepdims=True)], axis=2)
        return rows @ CORNERS, self.counts[first, second, headed]


def positions(rows: npt.ArrayLike) -> Numbers:
    """Return the points of rows with three entries in the triangle with the corners (0, 0), (1, 0) and (1/2, 0.866).

    Examples:
        >>> positions([[1, 0, 0], [0, 0.5, 0.5]]).round(3)
        array([[0.   , 0.   ],
               [0.75 , 0.433]])
    """
    points: Numbers = np.asarray(rows, np.float64) @ CORNERS
    return points
