"""The figures as tables: one function per part of the benchmark, each returning a heading and its cells."""

FRAMEWORKS = {"torch": "PyTorch", "jax": "JAX", "tensorflow": "TensorFlow", "numpy": "Agnostic"}


def verdict(value, limit, low=None, high=None):
    """Return what a target is and whether it is met; a question mark where it is within the interval of the value."""
    if limit is None:
        return ""
    doubt = "?" if low is not None and low <= limit < high else ""
    return f"<= {limit:g} {'met' if value <= limit else 'MISSED'}{doubt}"


def rows_table(found):
    """Return the comparisons: ours, the target, and the others, all as ratios to the base."""
    heading = ("row", "base", "ms", "ours", "95 %", "us a batch", "target", "others, as ratios to the base")
    return heading, [_row_cells(row) for row in found]


def _row_cells(found):
    figures, base = found["contestants"], found["base"]
    ours = figures["ours"]["ratio"]
    others = [
        f"{name} {values['ratio']['median']:.2f}" for name, values in figures.items() if name not in ("ours", base)
    ]
    others += [f"{name}: {reason}" for name, reason in found["missing"].items()]
    return (
        found["row"],
        base,
        f"{figures[base]['median'] * 1e3:.1f}",
        f"{ours['median']:.2f}",
        f"{ours['low']:.2f}..{ours['high']:.2f}",
        f"{found['microseconds']:.0f}",
        verdict(round(found["microseconds"]), found["limit_microseconds"])
        or verdict(round(ours["median"], 2), found["limit"], round(ours["low"], 2), round(ours["high"], 2)),
        ", ".join(others),
    )


def guide_table(found):
    """Return the guide's own table with our figures beside it."""
    heading = ("framework", "model", "guide s", "first run s", "later s", "guide GB", "peak GB")
    return heading, [
        (
            FRAMEWORKS[row["framework"]],
            row["model"],
            f"{row['guide']['seconds']:.1f}",
            f"{row['first']:.2f}",
            f"{row['later']:.2f}",
            f"{row['guide']['gigabytes']:.1f}",
            f"{row['gigabytes']:.2f}",
        )
        for row in found
    ]


def scaling_table(found):
    """Return time and memory by the number of rows."""
    heading = ("rows", "seconds", "s per million", "peak anonymous MB", "over the start MB")
    return heading, [
        (
            f"{row['rows']:,}",
            f"{row['seconds']:.2f}",
            f"{row['seconds_per_million']:.2f}",
            f"{row['peak_anonymous_mb']:.0f}",
            f"{row['grown_mb']:.0f}",
        )
        for row in found
    ]


def startup_table(found):
    """Return milliseconds to start."""
    heading = ("start-up", "median ms", "least..most", "target")
    return heading, [
        (
            row["what"],
            f"{row['median']:.0f}",
            f"{min(row['milliseconds']):.0f}..{max(row['milliseconds']):.0f}",
            verdict(row["median"], row["limit"]),
        )
        if row["milliseconds"]
        else (row["what"], "not installed", "", "")
        for row in found
    ]


def formats_table(found):
    """Return rows per second of each format, and the ratio to code that only writes."""
    heading = ("format", "saved rows/s", "times plain code", "95 %", "loaded rows/s")
    return heading, [
        (
            row["format"],
            f"{row['rows'] / row['save']:,.0f}",
            f"{row['ratio']['median']:.2f}",
            f"{row['ratio']['low']:.2f}..{row['ratio']['high']:.2f}",
            f"{row['rows'] / row['load']:,.0f}",
        )
        for row in found
    ]


TABLES = {
    "rows": rows_table,
    "guide": guide_table,
    "scaling": scaling_table,
    "startup": startup_table,
    "formats": formats_table,
}


def as_text(heading, cells):
    """Return a table in columns for a terminal."""
    widths = [max(len(line[column]) for line in (heading, *cells)) for column in range(len(heading))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in (heading, *cells)
    )
    return "\n".join(line.rstrip() for line in lines)


def as_markdown(heading, cells):
    """Return a table in Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (heading, ["---"] * len(heading), *cells))
