"""The dataset card of a file: the ``README.md`` of a folder that goes to a hub, made from the metadata alone."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from probly.data_generator.distributions import NORMALISED_ROWS, Distributions

OPENED = {".parquet": "read_parquet({})", ".csv": "read_csv({}, skiprows=1)"}
"""How pandas opens the files that ``datasets`` opens, too, by their suffix."""
SPLIT = re.compile(r"\w+(\.\w+)*")
MARKUP = re.compile(r"([\\`*_\[\]|<>~&])")
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
LARGER = "10M<n<100M"
SHOWN_NAMES = 100
LONGEST = 200
ELSEWHERE = ("class_names", "classes", "num_classes", NORMALISED_ROWS)
"""What the card says in words."""


def dataset_card(distributions: Distributions, file: str) -> str:
    """Return a dataset card in Markdown, with what a hub reads of it in front: sizes, tags, and which file is there.

    It says what the columns are, how to open them, what the classes are called, and where the rows come from: all of
    the metadata, which a card makes public. No license is chosen: add one.

    Args:
        distributions: What the file holds.
        file: The name of the file beside the card, ending in ``.parquet`` or ``.csv``. The split is called as the file.

    Raises:
        ValueError: The file is of another kind, or cannot be the name of a split.

    Examples:
        >>> card = dataset_card(Distributions([[0.25, 0.75]], meta={"model_name": "mlp"}), "test.parquet")
        >>> 'split: "test"' in card, "| mlp |" in card
        (True, True)
    """
    path = PurePath(file)
    if path.suffix not in OPENED or path.name != file or not SPLIT.fullmatch(path.stem) or path.stem == "all":
        message = (
            f"{file}: a dataset card is for a file beside it that ends in {' or '.join(OPENED)}, whose name, of "
            "letters, digits and _, is that of the split, as test.parquet; `all` would be every split at once"
        )
        raise ValueError(message)
    parts = [
        _front(distributions, path),
        f"# {_escaped(str(distributions.meta.get('model_name', path.stem)))}: class distributions",
        _summary(distributions),
        "## Columns\n\n" + _table([("column", "type", "what it is"), *_columns(distributions, path.suffix)]),
        "## How to open it\n\n" + _code(path),
        *_classes(distributions),
        "## Where the rows come from\n\n" + _table([("", "what was recorded"), *_facts(distributions)]),
    ]
    return "\n\n".join(parts) + "\n"


def _front(distributions: Distributions, path: PurePath) -> str:
    """Return what hubs read: YAML, of which JSON's texts are a part."""
    size = next((name for most, name in SIZES if len(distributions) < most), LARGER)
    lines = [
        "---",
        "tags:\n- first-order-data\n- soft-labels",
        f"size_categories:\n- {size}",
        "configs:\n- config_name: default\n  data_files:",
        f"  - split: {json.dumps(path.stem)}\n    path: {json.dumps(path.name)}",
        *(["  skiprows: 1"] if path.suffix == ".csv" else []),
        "---",
    ]
    return "\n".join(lines)


def _summary(distributions: Distributions) -> str:
    text = (
        f"First-order data: for each of {len(distributions):,} samples, the distribution over "
        f"{distributions.num_classes:,} classes that a model predicts. Every row is float32, has no negative entry and "
        "sums to 1 within 0.0001."
    )
    divided = distributions.meta.get(NORMALISED_ROWS)
    return f"{text} {divided:,} rows were divided by their sum." if isinstance(divided, int) and divided else text


def _columns(distributions: Distributions, suffix: str) -> Iterator[tuple[str, str, str]]:
    yield "index", "int64", "the place of the sample in its dataset"
    if distributions.sample_keys is not None:
        kind = "text" if distributions.sample_keys.dtype.kind in "UO" else "int64"
        yield "sample_key", kind, "what the sample is called"
    if suffix == ".csv":
        yield "one per class", "number", "its probability"
    else:
        yield "probabilities", f"list of {distributions.num_classes} float32", "one per class, in the order below"
    if distributions.labels is not None:
        kind = "text" if distributions.labels.dtype.kind in "UO" else distributions.labels.dtype.name
        yield "label", kind, "the label of the dataset; nothing or -1 where there is none"
    for name, column in distributions.columns.items():
        shape = " x ".join(map(str, column.shape[1:]))
        yield _escaped(name), f"{column.dtype} {shape}".strip(), "kept beside the rows"


def _code(path: PurePath) -> str:
    loaded = OPENED[path.suffix].format(f'"{path.name}"')
    lines = [
        "```python",
        "import datasets",
        "",
        f'rows = datasets.load_dataset("OWNER/NAME", split="{path.stem}")  # of a hub, or the full path of this folder',
        "",
        "import pandas",
        "",
        f"frame = pandas.{loaded}",
        "",
        "from probly.data_generator import Distributions",
        "",
        f'distributions = Distributions.load("{path.name}")  # checked, by index, with class names and metadata',
        "```",
    ]
    return "\n".join(lines)


def _classes(distributions: Distributions) -> list[str]:
    names = distributions.class_names
    if names is None:
        return []
    shown = ", ".join(f"{place} {_escaped(name)}" for place, name in enumerate(names[:SHOWN_NAMES]))
    more = f", and {len(names) - SHOWN_NAMES:,} more, which the file has" if len(names) > SHOWN_NAMES else ""
    return [f"## Classes\n\n{shown}{more}"]


def _facts(distributions: Distributions) -> Iterator[tuple[str, str]]:
    known = {name: value for name, value in distributions.meta.items() if name not in ELSEWHERE}
    yield from (_flat(known) if known else [("nothing", "")])


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None:
            text = str(value)
            yield _escaped(f"{prefix}{name}"), _escaped(text if len(text) <= LONGEST else f"{text[:LONGEST]}…")


def _table(lines: list[tuple[str, ...]]) -> str:
    head, *rest = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([head, f"|{'---|' * len(lines[0])}", *rest])


def _escaped(text: str) -> str:
    """Return text as Markdown shows it: in one line, and none of it as markup."""
    shown = (letter if letter.isprintable() else " " for letter in text)
    return MARKUP.sub(r"\\\1", "".join(shown))
