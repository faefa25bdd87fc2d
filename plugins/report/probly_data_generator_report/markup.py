"""HTML that cannot be made from unescaped text."""
# ruff: noqa: RUF001, RUF002  # a page has real minus signs and dashes

import html
from typing import Any


class Html(str):
    """Text that is HTML already; everything else is escaped by ``element``."""

    __slots__ = ()


def element(name: str, /, *children: Any, **attributes: Any) -> Html:
    """Return an HTML element.

    Args:
        name: Of the element.
        children: ``Html`` stands as it is, None and False vanish, all else is escaped as text.
        attributes: Escaped, too; a trailing underscore is dropped (``class_``), others become hyphens, and None or
            False leaves the attribute out.

    Examples:
        >>> element("td", "<b>", class_="name")
        '<td class="name">&lt;b&gt;</td>'
        >>> element("p", element("br"), 1)
        '<p><br>1</p>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(printable(value))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in ("br", "img", "meta"):
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: Any) -> Html:
    """Return children one after the other, escaped where they are not HTML."""
    return Html(
        "".join(
            child if isinstance(child, Html) else html.escape(printable(child), quote=False)
            for child in children
            if child is not None and child is not False
        )
    )


def printable(value: Any) -> str:
    r"""Return text without control characters and without halves of surrogate pairs, which no file can hold.

    Examples:
        >>> printable("a\x00b\nc")
        'a�b\nc'
    """
    return "".join(
        character if character.isprintable() or character in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for character in str(value)
    )


def table(head: list[Any], rows: list[list[Any]], **attributes: Any) -> Html:
    """Return a table; the first cell of each row is its heading.

    Args:
        head: The headings of the columns; none if empty.
        rows: The cells.
        attributes: Of the table.
    """
    heading = element("thead", element("tr", *(element("th", cell, scope="col") for cell in head))) if head else ""
    body = [
        element("tr", element("th", row[0], scope="row"), *(element("td", cell) for cell in row[1:])) for row in rows
    ]
    return element("table", heading, element("tbody", *body), **attributes)


def written(value: float | None) -> str:
    """Return a number with four significant digits, or a dash for none.

    Examples:
        >>> written(0.123456), written(0.0), written(None)
        ('0.1235', '0', '–')
    """
    return "–" if value is None else f"{value:.4g}"
