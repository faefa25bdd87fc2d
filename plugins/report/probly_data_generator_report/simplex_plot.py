"""The plot of three-class rows on the simplex."""

from typing import Any

import numpy as np
import numpy.typing as npt

from probly_data_generator_report.simplex import CORNERS, POINTS_AT_MOST, STEPS, TriangleCounts, positions
from probly_data_generator_report.style import (
    COLOUR_MAP,
    FIRST,
    GRID,
    INK,
    MUTED,
    SECOND,
    matplotlib,
    new_axes,
    plain,
    styled,
)
from probly_data_generator_report.summary import Source, summarise

MARKERS = ((FIRST, "o"), (SECOND, "s"), (INK, "^"))


def plot_simplex(distributions: Source, labels: npt.ArrayLike | None = None, *, ax: Any = None) -> Any:
    """Draw rows with three classes on the simplex: as points, or above 1000 rows as counts in small triangles.

    A corner is a row that is sure of its class, the middle is (1/3, 1/3, 1/3), and the lines are at 0.25, 0.5 and 0.75
    of each probability.

    Args:
        distributions: A Distributions, any mapping from index to row, or a Summary of them; three classes.
        labels: One per row in the order of the indices; they choose the markers of points. Without labels the largest
            entry does.
        ax: Matplotlib axes to draw on; a new figure by default.

    Returns:
        The axes.

    Raises:
        ValueError: There is another number of classes.

    Examples:
        >>> len(plot_simplex({0: [0.5, 0.25, 0.25]}).collections)
        1
    """
    summary = summarise(distributions, labels)
    if summary.triangle is None:
        message = f"a simplex can be drawn of 3 classes, got {summary.classes}"
        raise ValueError(message)
    ax = new_axes(ax, height=4.0)
    names = [plain(name) for name in summary.names()]
    with styled():
        _draw_frame(ax, names)
        if summary.samples > POINTS_AT_MOST:
            _draw_counts(ax, summary.triangle)
        else:
            _draw_points(ax, summary.triangle, names, "largest: " if summary.labels is None else "")
    return ax


def _draw_frame(ax: Any, names: list[str]) -> None:
    for share in (0.25, 0.5, 0.75):
        for turn in range(3):
            ends = positions(np.roll([[share, 1 - share, 0], [share, 0, 1 - share]], turn, axis=1))
            ax.plot(*ends.T, color=GRID, linewidth=0.7, zorder=0)
    ax.fill(*CORNERS.T, facecolor="none", edgecolor=MUTED, linewidth=1)
    for corner, name, side in zip(CORNERS, names, ("top", "top", "bottom"), strict=True):
        offset = (0, -4 if side == "top" else 4)
        ax.annotate(name, corner, xytext=offset, textcoords="offset points", ha="center", va=side)
    ax.set(aspect="equal", xlim=(-0.12, 1.12), ylim=(-0.1, 0.98))
    ax.set_axis_off()


def _draw_points(ax: Any, triangle: TriangleCounts, names: list[str], prefix: str) -> None:
    points = positions(triangle.points)
    for column, (colour, marker) in enumerate(MARKERS):
        chosen = points[triangle.classes == column]
        if len(chosen):
            ax.scatter(
                *chosen.T, s=14, c=colour, marker=marker, alpha=0.6, linewidths=0, label=f"{prefix}{names[column]}"
            )
    if len(points):
        ax.legend(loc="upper left")


def _draw_counts(ax: Any, triangle: TriangleCounts) -> None:
    polygons, counts = triangle.polygons()
    norm = matplotlib("colors").LogNorm(1, max(int(counts.max()), 2))
    cells = matplotlib("collections").PolyCollection(
        polygons, array=counts, norm=norm, cmap=COLOUR_MAP, linewidths=0.3, edgecolors="face"
    )
    ax.add_collection(cells)
    label = f"samples per triangle of side 1/{STEPS} (log scale)"
    ax.figure.colorbar(cells, ax=ax, orientation="horizontal", shrink=0.8, label=label)
