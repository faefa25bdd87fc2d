"""Colours, names and empty figures for the plots, without the global state of pyplot."""

import functools
from collections.abc import Sequence
from typing import Any

from probly.data_generator.formats.shared import optional_library

# Blue and orange are those of Okabe and Ito, "Color Universal Design" (2008), https://jfly.uni-koeln.de/color/:
# readers with any colour vision tell them apart. The second colour is for dark pages, see page.css and svg.py.
INK, MUTED, GRID = "#1b1f24", "#5b6470", "#d5dae0"
FIRST, SECOND = "#0072b2", "#d55e00"
THEME = {"ink": (INK, "#e8ebef"), "muted": (MUTED, "#a8b1bc"), "grid": (GRID, "#3d454f")} | {
    "first": (FIRST, "#56b4e9"),
    "second": (SECOND, "#f0a030"),
}
COLOUR_MAP = "cividis"
LONGEST_NAME = 18

STYLE: dict[str, Any] = {
    "font.family": ["sans-serif"],
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.fonttype": "none",
    "svg.hashsalt": "probly",
}


def matplotlib(module: str = "") -> Any:
    """Return Matplotlib, or one of its modules.

    Raises:
        ImportError: It is not installed; the message names the extra that installs it.
    """
    return optional_library(f"matplotlib.{module}" if module else "matplotlib", "report")


def styled() -> Any:
    """Return a context in which figures are drawn and written in the style of the report."""
    return matplotlib().rc_context(STYLE)


@functools.cache
def figure_class() -> Any:
    """Return a figure that notebooks show although pyplot does not know it."""

    class ShownFigure(matplotlib("figure").Figure):  # type: ignore[misc]  # a class that is imported late
        def _repr_png_(self) -> bytes:
            from io import BytesIO  # only notebooks need it

            content = BytesIO()
            self.savefig(content, format="png", dpi=144, facecolor="white")
            return content.getvalue()

    return ShownFigure


def new_axes(ax: Any, width: float = 4.4, height: float = 2.9) -> Any:
    """Return the given axes, or those of a new figure, which belongs to nobody but its axes.

    Args:
        ax: Matplotlib axes, or None.
        width: Of a new figure, in inches.
        height: Likewise.
    """
    if ax is not None:
        return ax
    with styled():
        return figure_class()(figsize=(width, height), layout="constrained").add_subplot()


def short_names(names: Sequence[str], longest: int = 12) -> list[str]:
    """Return names for axes; one that must be cut begins with its number, so that no two look the same.

    Examples:
        >>> short_names(["cat", "electric locomotive", "electric guitar"])
        ['cat', '1 electric…', '2 electric…']
    """
    return [
        plain(name, longest) if len(name) <= longest else plain(f"{number} {name}", longest)
        for number, name in enumerate(names)
    ]


def plain(name: Any, longest: int = LONGEST_NAME) -> str:
    r"""Return text from a file as Matplotlib can draw it: on one line, not too long, and never read as a formula.

    Examples:
        >>> plain("price in $")
        'price in \\$'
        >>> plain("a name of many words", 10)
        'a name of…'
    """
    text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in str(name))
    text = text if len(text) <= longest else text[: longest - 1].rstrip() + "…"
    return text.replace("$", r"\$")
