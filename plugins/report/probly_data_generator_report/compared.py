"""The section that compares two sets of distributions."""
# ruff: noqa: RUF001  # a page has real minus signs and dashes

from collections.abc import Mapping
from typing import Any

from probly_data_generator_report.markup import Html, element, table, written
from probly_data_generator_report.plots import titles
from probly_data_generator_report.sources import SCORES
from probly_data_generator_report.summary import Summary

CLASSES_SHOWN = 10


def comparison_section(first: Summary, second: Summary, found: Mapping[str, Any]) -> Html:
    """Return the section.

    Args:
        first: The first set.
        second: The second set.
        found: What ``comparison.compare`` returns of them.
    """
    names = titles([first, second])
    return element(
        "section",
        element("h2", "Comparison"),
        element("p", _rows_sentence(found["rows"]), class_="lead"),
        element(
            "div",
            element("div", _scores(first, second, names), class_="box scroll"),
            element("div", _measures(found, first), class_="box scroll"),
            class_="figures",
        ),
        _classes(found["per_class"], names),
        id="comparison",
    )


def _rows_sentence(rows: Mapping[str, int]) -> str:
    return (
        f"{rows['both']:,} rows have the same dataset index and are compared; {rows['only_first']:,} are only in the "
        f"first, {rows['only_second']:,} only in the second. Below, p is a row of the first and q that of the second."
    )


def _scores(first: Summary, second: Summary, names: list[str]) -> Html:
    ours, theirs = first.scores, second.scores
    rows: list[list[Any]] = [
        [shown, written(ours[name]), written(theirs[name])]
        for name, (shown, _) in SCORES.items()
        if ours[name] is not None or theirs[name] is not None
    ]
    return table(
        ["over all rows of each", *names],
        [["samples", f"{first.samples:,}", f"{second.samples:,}"], *rows],
        class_="numbers",
    )


def _measures(found: Mapping[str, Any], first: Summary) -> Html:
    difference, place = found["difference"], found["difference"]["class"]
    where = "–" if difference["index"] is None else f"{_named(first, difference['index'])}, class {place}"
    rows: list[list[Any]] = [
        ["difference |p − q| of a probability", written(difference["mean"]), written(difference["largest"]), where]
    ]
    for key, name in (("total_variation", "total variation"), ("kl_divergence", "KL divergence of p from q (nats)")):
        value = found[key]
        index = "–" if value["index"] is None else _named(first, value["index"])
        rows.append([name, written(value["mean"]), written(value["largest"]), index])
    agreement = found["top1_agreement"]
    share = "–" if agreement is None else f"{agreement:.4%}"
    rows.append(["rows with the same largest class", share, "", ""])
    if found["coverage"] is not None:
        rows.append(["rows q within the intervals of p's members", f"{found['coverage']:.4%}", "", ""])
    return table(["between the two", "mean", "largest", "at index"], rows, class_="numbers")


def _named(first: Summary, index: int) -> str:
    """Return an index with the key of its sample, such as a file's name, where there is one."""
    key = first.keys_of([index]).get(index)
    return str(index) if key is None else f"{index}, {key}"


def _classes(classes: list[Mapping[str, Any]], names: list[str]) -> Html:
    chosen = sorted(classes, key=lambda one: -one["mean_difference"])[:CLASSES_SHOWN]
    if not chosen:
        return Html("")
    rows: list[list[Any]] = [
        [
            one["class"] if one["name"] is None else one["name"],
            written(one["mean_difference"]),
            written(one["largest_difference"]),
            written(one["mean_first"]),
            written(one["mean_second"]),
            "–" if one["top1_agreement"] is None else f"{one['top1_agreement']:.2%}",
        ]
        for one in chosen
    ]
    head = ["class", "mean difference", "largest", f"mean p, {names[0]}", f"mean p, {names[1]}", "same top-1"]
    which = "All" if len(rows) == len(classes) else f"The {len(rows)} most different of"
    text = f"{which} {len(classes)} classes, by their mean difference"
    return element(
        "details", element("summary", text), element("div", table(head, rows, class_="numbers"), class_="scroll")
    )
