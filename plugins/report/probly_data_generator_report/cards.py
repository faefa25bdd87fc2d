"""The lists of single samples on the page."""
# ruff: noqa: RUF001  # a page has real minus signs and dashes

from collections.abc import Mapping

from probly_data_generator_report.counting import Sample
from probly_data_generator_report.markup import Html, element, join
from probly_data_generator_report.pictures import Picture, data_uri
from probly_data_generator_report.sample_plots import shown_classes
from probly_data_generator_report.summary import Summary

BARS = 5


def sample_cards(summary: Summary, pictures: Mapping[int, Picture]) -> Html:
    """Return the most uncertain samples, those that members dispute, and those whose labels are least expected."""
    lists = [("The most uncertain samples", "Those with the largest entropies.", "entropy", summary.uncertain)]
    if summary.members is not None:
        hint = "Those whose members contradict each other most: where another label would teach the model most."
        lists.append(("What the members dispute", hint, "mutual information", summary.members.disputed))
    if summary.unexpected:
        hint = "Those whose labels get the least probability: wrong or ambiguous labels, or what the model cannot do."
        lists.append(("The least expected labels", hint, "−log p(label)", summary.unexpected))
    return join(*(_list(summary, pictures, *one) for one in lists if one[-1]))


def _list(
    summary: Summary, pictures: Mapping[int, Picture], title: str, hint: str, score: str, samples: list[Sample]
) -> Html:
    return element(
        "section",
        element("h2", title),
        element("p", hint, _marking(summary), class_="lead"),
        element("div", *(_card(summary, sample, score, pictures) for sample in samples), class_="cards"),
    )


def _marking(summary: Summary) -> str:
    shown = "" if summary.classes <= BARS else f" The {BARS} largest probabilities of each"
    if summary.labels is None:
        return f"{shown}." if shown else ""
    return f"{shown}, and that of the label, in bold." if shown else " The label is in bold."


def _card(summary: Summary, sample: Sample, score: str, pictures: Mapping[int, Picture]) -> Html:
    names = summary.names()
    label = None if sample.label is None else element("span", "label ", element("b", names[sample.label]), " · ")
    picture, key = pictures.get(sample.dataset_index), summary.keys.get(sample.dataset_index)
    return element(
        "article",
        None
        if picture is None
        else element("img", src=data_uri(picture), alt=f"the sample with the index {sample.dataset_index}"),
        element("p", label, f"index {sample.dataset_index}"),
        None if key is None else element("p", key, class_="hint"),
        element("p", f"{score} {sample.score:.4g} nats", class_="hint"),
        _bars(names, sample),
        class_="card",
    )


def _bars(names: list[str], sample: Sample) -> Html:
    columns = sorted(shown_classes(sample.row, sample.label, BARS), key=lambda column: -sample.row[column])
    cells = []
    for column in columns:
        share = float(sample.row[column])
        bar = element("i", style=f"width:{100 * min(share, 1.0):.1f}%")
        is_label = "label" if column == sample.label else None
        cells += [
            element("dt", names[column], class_=is_label, title=names[column]),
            element("dd", bar, class_="bar", aria_hidden="true"),
            element("dd", f"{share:.4f}", class_="value"),
        ]
    return element("dl", *cells, class_="bars")
