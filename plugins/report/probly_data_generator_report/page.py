"""The page: one HTML document that needs nothing else, neither network nor JavaScript."""
# ruff: noqa: RUF001  # a page has real minus signs and dashes

import functools
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from probly_data_generator_report.cards import sample_cards
from probly_data_generator_report.compared import comparison_section
from probly_data_generator_report.figures import Drawn
from probly_data_generator_report.markup import Html, element, join, printable, table, written
from probly_data_generator_report.numbers import largest_confusions
from probly_data_generator_report.pictures import Picture
from probly_data_generator_report.provenance_table import facts, notes
from probly_data_generator_report.sources import SCORES, sources_section
from probly_data_generator_report.summary import Summary
from probly_data_generator_report.svg import inline_svg

# The browser itself refuses what the page must not do: load anything, or run anything.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(
    title: str,
    summary: Summary,
    drawn: Sequence[Drawn],
    pictures: Mapping[int, Picture],
    numbers: Mapping[str, Any],
    other: Summary | None = None,
    remarks: Sequence[str] = (),
) -> str:
    """Return the document.

    Args:
        title: Its heading.
        summary: What it shows.
        drawn: The figures, in order.
        pictures: Of the samples that are listed, by index.
        numbers: All numbers, written into the page as JSON.
        other: A second summary, compared with the first in ``numbers["comparison"]``.
        remarks: What the reader must be told at the top.
    """
    body = join(
        _header(title, summary, [*remarks, *_remarks(summary)]),
        _tiles(summary),
        None if other is None else comparison_section(summary, other, numbers["comparison"]),
        *(_figure_section(name, summary, drawn) for name in ("Uncertainty", "Members", "Calibration", "Classes")),
        sample_cards(summary, pictures),
        _provenance(summary, other),
        sources_section(compared=other is not None, members=summary.members is not None),
        element("script", _json(numbers), type="application/json", id="numbers"),
    )
    return printable(
        f"<!DOCTYPE html>\n{element('html', _head(title), element('body', element('main', body)), lang='en')}\n"
    )


@functools.cache
def _style() -> Html:
    return Html(resources.files(__package__).joinpath("page.css").read_text(encoding="utf-8"))


def _head(title: str) -> Html:
    return element(
        "head",
        element("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", _style()),
    )


def _json(numbers: Mapping[str, Any]) -> Html:
    """Return JSON that cannot end its script element."""
    text = json.dumps(numbers, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Html(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _header(title: str, summary: Summary, remarks: Sequence[str]) -> Html:
    meta = summary.distributions.meta
    parts = [f"{summary.samples:,} samples × {summary.classes:,} classes"]
    parts += [str(meta[key]) for key in ("model_name", "backend", "device", "timestamp") if meta.get(key)]
    return element(
        "header",
        element("h1", title),
        element("p", " · ".join(parts), class_="lead"),
        *(element("p", remark, class_="note") for remark in remarks),
    )


def _remarks(summary: Summary) -> list[str]:
    found = notes(summary.distributions)
    if summary.samples == 0:
        found.append("There are no rows, so there is nothing to draw.")
    elif summary.labels is None and summary.label_note:
        found.append(f"The labels were not used, so there are no scores. {summary.label_note}")
    elif summary.labels is None:
        found.append(
            "There are no labels: accuracy and calibration cannot be computed, classes are those of the largest entry."
        )
    else:
        if summary.labelled < summary.samples:
            found.append(f"Scores are over the {summary.labelled:,} rows that have a label, of {summary.samples:,}.")
        if summary.label_note:
            found.append(f"Not all labels were used: {summary.label_note}.")
    return found


def _tiles(summary: Summary) -> Html:
    found = summary.scores
    tiles = [
        element("div", element("dt", name), element("dd", written(found[key])), element("div", hint, class_="hint"))
        for key, (name, hint) in SCORES.items()
        if found[key] is not None
    ]
    return element("dl", *tiles, class_="tiles") if tiles else Html("")


def _figure_section(section: str, summary: Summary, drawn: Sequence[Drawn]) -> Html:
    chosen = [figure for figure in drawn if figure.section == section]
    if not chosen:
        return Html("")
    tables = {"Members": _members_table, "Calibration": _bins_table, "Classes": _confusions_table}
    beside = tables[section](summary) if section in tables else None
    return element("section", element("h2", section), element("div", *map(_figure, chosen), beside, class_="figures"))


def _figure(figure: Drawn) -> Html:
    return element(
        "figure",
        element("h3", figure.title),
        inline_svg(figure.ax, figure.name, figure.title),
        element("figcaption", figure.caption),
        id=figure.name,
    )


def _members_table(summary: Summary) -> Html:
    assert summary.members is not None
    hints = {
        "total": "entropy of the mean",
        "aleatoric": "of the data: mean entropy of the members",
        "epistemic": "of the model: mutual information of label and member",
    }
    means = summary.members.means
    rows: list[list[Any]] = [[name, hint, written(means[name])] for name, hint in hints.items()]
    heading = element("h3", f"{summary.members.count} members of each sample")
    return element(
        "div", heading, table(["uncertainty", "", "mean, nats"], rows, class_="numbers"), class_="box scroll"
    )


def _bins_table(summary: Summary) -> Html:
    bins = summary.reliability
    assert bins is not None
    rows: list[list[Any]] = [
        [f"{low:.3f}–{high:.3f}", f"{count:,}", written(float(accuracy)), written(float(confidence))]
        for low, high, count, accuracy, confidence in zip(
            bins.edges, bins.edges[1:], bins.counts, bins.accuracy, bins.confidence, strict=False
        )
        if count
    ]
    head = ["bin", "samples", "accuracy", "confidence"]
    heading = element("h3", f"The {len(rows)} of {len(bins.counts)} bins that hold samples")
    return element("div", heading, table(head, rows, class_="numbers"), class_="box scroll")


def _confusions_table(summary: Summary) -> Html:
    found = largest_confusions(summary)
    if not found:
        return Html("")
    rows: list[list[Any]] = [[source, target, written(value), f"{count:,}"] for source, target, value, count in found]
    head = [f"class ({summary.grouped_by})", "other class", "mean probability", "samples of the class"]
    heading = element("h3", f"The {len(rows)} largest confusions")
    return element("div", heading, table(head, rows, class_="numbers"), class_="box scroll")


def _provenance(summary: Summary, other: Summary | None) -> Html:
    parts = [_facts(one) for one in (summary, other) if one is not None]
    if other is not None:
        parts = [join(element("h3", one.title), part) for one, part in zip((summary, other), parts, strict=True)]
    return element(
        "section", element("h2", "What was run"), *(element("div", part, class_="box scroll") for part in parts)
    )


def _facts(summary: Summary) -> Html:
    rows: list[list[Any]] = [["samples", f"{summary.samples:,}"], ["classes", f"{summary.classes:,}"]]
    if summary.labels is not None and summary.labelled < summary.samples:
        rows.append(["rows with a label", f"{summary.labelled:,}"])
    path = getattr(summary.distributions, "path", None)
    rows = [["store", path.name], *rows] if path else rows
    rows += [[name, value] for name, value in facts(summary.distributions).items()]
    names = summary.distributions.class_names
    content = table([], rows, class_="facts")
    if names:
        listed = ", ".join(f"{column}: {name}" for column, name in enumerate(names))
        content = join(
            content, element("details", element("summary", f"{len(names)} class names"), element("p", listed))
        )
    return content
