"""Reading the files that human votes come in: annotations of DCIC, ChaosNLI, and plain CSV."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from probly.data_generator.errors import StoreError
from probly_data_generator_evaluation.human_votes import HumanVotes

NATURAL_LANGUAGE_INFERENCE = ("e", "n", "c")
ABDUCTIVE = ("1", "2")


def read_dcic(path: str | Path, class_names: Sequence[str] | None = None) -> HumanVotes:
    """Read the ``annotations.json`` of a dataset of DCIC: a list of annotators' work, each with annotations.

    Source: Schmarje et al. 2022, Is one annotation enough?, https://arxiv.org/abs/2207.06214. An annotation has an
    ``image_path``, which becomes the key of the sample, and a ``class_label``: one vote.

    Args:
        path: The file.
        class_names: The order of the columns; by default that of the alphabet.

    Raises:
        StoreError: The file holds something else; the message says where.
        ValueError: A vote is for a class that is none of the names.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "annotations.json"
        ...     votes = [{"image_path": "a.png", "class_label": label} for label in ("cat", "cat", "dog")]
        ...     _ = path.write_text(json.dumps([{"name": "one annotator's work", "annotations": votes}]))
        ...     found = read_dcic(path)
        >>> found.counts.tolist(), found.class_names
        ([[2, 1]], ['cat', 'dog'])
    """
    place = Path(path)
    content = _json(place, place.read_text(encoding="utf-8"))
    votes = []
    for number, entry in enumerate(content if isinstance(content, list) else [content]):
        found = entry.get("annotations") if isinstance(entry, dict) else None
        if not isinstance(found, list):
            message = f"{place}: entry {number}: expected an object with a list of annotations, got {_short(entry)}"
            raise StoreError(message)
        for annotation in found:
            if not isinstance(annotation, dict) or not {"image_path", "class_label"} <= annotation.keys():
                message = (
                    f"{place}: entry {number}: expected annotations with image_path and class_label, got "
                    f"{_short(annotation)}"
                )
                raise StoreError(message)
            votes.append((str(annotation["image_path"]), str(annotation["class_label"])))
    return _tallied(place, votes, class_names)


def read_chaos_nli(path: str | Path, class_names: Sequence[str] | None = None) -> HumanVotes:
    """Read a file of ChaosNLI: JSON lines with ``uid``, which becomes the key, and ``label_counter``, the votes.

    Source: Nie, Zhou and Bansal 2020, https://arxiv.org/abs/2010.03532.

    Args:
        path: The file.
        class_names: The order of the columns; by default e, n, c (entailment, neutral, contradiction), or 1, 2 of the
            abductive part, as in the files' own ``label_count``.

    Raises:
        StoreError: A line holds something else, or its ``label_count`` contradicts; the message names the line.
        ValueError: A vote is for a class that is none of the names.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "chaosNLI_snli.jsonl"
        ...     _ = path.write_text('{"uid": "46359n", "label_counter": {"e": 76, "n": 20, "c": 4}}')
        ...     found = read_chaos_nli(path)
        >>> found.counts.tolist(), found.keys.tolist()
        ([[76, 20, 4]], ['46359n'])
    """
    place = Path(path)
    keys, counters = [], []
    with place.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            entry = _json(place, line, f"line {number}: ")
            counter = entry.get("label_counter") if isinstance(entry, dict) else None
            if not isinstance(counter, dict) or "uid" not in entry:
                message = f"{place}: line {number}: expected an object with uid and label_counter, got {_short(entry)}"
                raise StoreError(message)
            listed = entry.get("label_count")
            if listed is not None and sorted(filter(None, listed)) != sorted(filter(None, counter.values())):
                message = f"{place}: line {number}: label_counter {counter} and label_count {listed} contradict"
                raise StoreError(message)
            keys.append(str(entry["uid"]))
            counters.append({str(name): votes for name, votes in counter.items()})
    said = {name for counter in counters for name in counter}
    names = class_names
    if names is None:
        known = [one for one in (NATURAL_LANGUAGE_INFERENCE, ABDUCTIVE) if said <= set(one)]
        names = known[0] if known else sorted(said)
    return HumanVotes(_matrix(place, counters, names), keys=keys, class_names=names)


def read_csv(
    path: str | Path,
    sample: str,
    label: str | None = None,
    class_names: Sequence[str] | None = None,
    where: Mapping[str, str] | None = None,
) -> HumanVotes:
    r"""Read votes from CSV with a header: one vote per line, or one sample per line with a count per class.

    Args:
        path: The file.
        sample: The column that says which sample: whole numbers are dataset indices, anything else is keys.
        label: The column that says what was voted for. Without one, every other column is a class, and holds counts.
        class_names: The classes in the order of the columns; by default those of the header, or the alphabet's order.
        where: Columns and what they must hold for a line to count, such as ``{"is_attn_check": "0"}`` for the raw
            file of CIFAR-10H, whose columns are ``cifar10_test_test_idx`` and ``chosen_label``.

    Raises:
        StoreError: A column is missing, or a count is none; the message names the line.
        ValueError: A vote is for a class that is none of the names.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "votes.csv"
        ...     _ = path.write_text("image,who,said\na.png,1,cat\na.png,2,dog\nb.png,1,cat\n")
        ...     votes = read_csv(path, sample="image", label="said")
        >>> votes.counts.tolist(), votes.class_names, votes.keys.tolist()
        ([[1, 1], [1, 0]], ['cat', 'dog'], ['a.png', 'b.png'])
    """
    place = Path(path)
    with place.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.DictReader(file)
        columns = list(lines.fieldnames or [])
        _check_columns(place, columns, [sample, *([] if label is None else [label]), *(where or {})])
        chosen = (where or {}).items()
        kept = [(lines.line_num, line) for line in lines if all(line[name] == value for name, value in chosen)]
    for number, line in kept:
        if not line[sample] or (label is not None and not line[label]):
            message = (
                f"{place}: line {number}: expected a value for {sample}{f' and {label}' if label else ''}, got {line}"
            )
            raise StoreError(message)
    if label is not None:
        return _tallied(place, [(line[sample], line[label]) for _, line in kept], class_names, numbered=True)
    classes = class_names or [name for name in columns if name != sample and name not in (where or {})]
    _check_columns(place, columns, classes)
    counters = []
    for number, line in kept:
        try:
            counters.append({name: float(line[name]) for name in classes})
        except (TypeError, ValueError) as error:
            message = f"{place}: line {number}: expected a count for each of {', '.join(classes)}, got {line}"
            raise StoreError(message) from error
    return HumanVotes(
        _matrix(place, counters, classes), **_named([line[sample] for _, line in kept]), class_names=classes
    )


def _check_columns(place: Path, columns: list[str], wanted: Iterable[str]) -> None:
    missing = [name for name in wanted if name not in columns]
    if missing:
        message = f"{place}: expected a column {missing[0]!r}, got {', '.join(columns) or 'none'}"
        raise StoreError(message)


def _tallied(
    place: Path, votes: list[tuple[str, str]], class_names: Sequence[str] | None, *, numbered: bool = False
) -> HumanVotes:
    """Return single votes counted, samples in the order in which they come first."""
    counters: dict[str, dict[str, float]] = {}
    for key, name in votes:
        counter = counters.setdefault(key, {})
        counter[name] = counter.get(name, 0) + 1
    names = class_names or sorted({name for _, name in votes})
    keys = list(counters)
    given = _named(keys) if numbered else {"keys": keys}
    return HumanVotes(_matrix(place, list(counters.values()), names), **given, class_names=names)


def _named(samples: list[str]) -> dict[str, Any]:
    if all(text.isascii() and text.isdigit() for text in samples):
        return {"indices": [int(text) for text in samples]}
    return {"keys": samples}


def _matrix(place: Path, counters: list[dict[str, float]], names: Sequence[str]) -> Any:
    columns = {name: column for column, name in enumerate(names)}
    counts = np.zeros((len(counters), len(names)))
    for row, counter in enumerate(counters):
        for name, votes in counter.items():
            if name not in columns:
                message = f"{place}: a vote for {name!r}: expected one of the classes {', '.join(map(str, names))}"
                raise ValueError(message)
            counts[row, columns[name]] = votes
    whole = counts.astype(np.int64)
    return whole if (whole == counts).all() else counts


def _json(place: Path, text: str, where: str = "") -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        message = f"{place}: {where}no JSON: {error}"
        raise StoreError(message) from error


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
