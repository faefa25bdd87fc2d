"""Figures as files, and as SVG that takes its colours from the page around it."""

import io
import re
import warnings
import xml.etree.ElementTree as ET
from typing import Any

from probly_data_generator_report.markup import Html, printable
from probly_data_generator_report.style import THEME, styled

HREF = "{http://www.w3.org/1999/xlink}href"
NO_METADATA = {"svg": dict.fromkeys(("Creator", "Date", "Format", "Type")), "png": {"Software": None}}
DROPPED = ("metadata", "style")
VARIABLES = {light: f"var(--{role})" for role, (light, _) in THEME.items()}


def render(ax: Any, form: str, *, dpi: int = 160, **options: Any) -> bytes:
    """Return the figure of some axes as a PNG or SVG file; the same figure gives the same bytes.

    Args:
        ax: Matplotlib axes.
        form: ``"png"`` or ``"svg"``.
        dpi: Pixels per inch; in SVG, those of the pictures in it.
        options: Of ``savefig``; the background is white by default.
    """
    content = io.BytesIO()
    with styled(), warnings.catch_warnings():
        # Names in a script that Matplotlib's font lacks: a browser has the font, and a box in a PNG is no accident.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support .* natively")
        ax.figure.savefig(
            content,
            format=form,
            dpi=dpi,
            metadata=NO_METADATA[form],
            bbox_inches="tight",
            **{"facecolor": "white", **options},
        )
    return content.getvalue()


def inline_svg(ax: Any, name: str, title: str) -> Html:
    """Return the figure of some axes as an ``svg`` element of a page.

    Its colours are the page's CSS variables, so that one figure serves light, dark and paper; its ids begin with the
    name, because they must be unique in the page; and it has the accessible name ``title``.
    """
    root = ET.fromstring(render(ax, "svg", facecolor="none"))  # noqa: S314  # written a line above
    for node in list(root.iter()):
        for child in [child for child in node if _tag(child) in DROPPED]:
            node.remove(child)
        node.tag = _tag(node)
        node.attrib = {_tag_name(key): _themed(key, value, name) for key, value in node.attrib.items()}
    heading = ET.Element("title", {"id": f"{name}-title"})
    heading.text = printable(title)
    root.insert(0, heading)
    for size in ("width", "height"):  # the page says how large it is
        del root.attrib[size]
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title"}
    return Html(ET.tostring(root, encoding="unicode"))


def _tag(node: Any) -> str:
    return _tag_name(node.tag)


def _tag_name(name: str) -> str:
    return name.rpartition("}")[2]


def _themed(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == HREF:
        return f"#{name}-{value[1:]}" if value.startswith("#") else value
    value = value.replace("url(#", f"url(#{name}-")
    return re.sub("#[0-9a-f]{6}", lambda match: VARIABLES.get(match[0], match[0]), value)
