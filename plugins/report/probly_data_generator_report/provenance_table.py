"""What was run: the metadata of distributions and the spec of a store, as rows of a table."""

from collections.abc import Iterator, Mapping
from typing import Any

from probly.data_generator.distributions import Distributions

FIRST_ROWS = ("model_name", "backend", "framework", "device", "output_mode", "timestamp")
LEFT_OUT = ("class_names", "num_classes")
"""The page shows them elsewhere."""
LONGEST = 300


def facts(distributions: Distributions) -> dict[str, str]:
    """Return what is known about the origin of distributions, by name; nested names are joined by a point.

    Examples:
        >>> facts(Distributions([[1.0]], meta={"versions": {"numpy": "2.0"}, "model_name": "mlp"}))
        {'model_name': 'mlp', 'versions.numpy': '2.0'}
    """
    meta = distributions.meta
    ordered = {key: meta[key] for key in FIRST_ROWS if key in meta}
    found = dict(_flat({**ordered, **{key: value for key, value in meta.items() if key not in LEFT_OUT}}))
    spec = getattr(distributions, "spec", None)
    if spec is not None:
        found |= {"store.encoding": spec.encoding, "store.id": spec.id}
        found |= dict(_flat(spec.identity, "identity."))
    return found


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            text = str(value)
            yield f"{prefix}{key}", text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def notes(distributions: Distributions) -> list[str]:
    """Return what a reader must know before trusting the numbers of a store."""
    spec = getattr(distributions, "spec", None)
    if spec is None:
        return []
    found = []
    if not getattr(distributions, "complete", True):
        of = "" if spec.rows is None else f" of {spec.rows:,}"
        found.append(f"The store is incomplete: the report covers the {len(distributions):,}{of} rows that are there.")
    if spec.encoding.startswith("top-"):
        kept = spec.encoding.partition("-")[2]
        found.append(
            f"The store keeps the {kept} largest probabilities of each row; what is left is spread evenly over the "
            "other classes, so entropies are upper bounds."
        )
    return found
