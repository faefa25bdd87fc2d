"""The digest of a live openvino.Model: of the graph and the weights that it would be saved with."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import openvino

from probly.data_generator.toolkit.digest import digest

NAMES = {"name", "output_names"}
"""Of layers; OpenVINO numbers those that have none, differently in each process."""
NUMBERED = re.compile(r"(Parameter|Result)_\d+")
"""The names of tensors that have none, likewise; others count, as those of inputs and outputs tell them apart."""
COMPUTES = "runtime_options"
"""The part of a model's ``rt_info`` that its compilation reads; the rest is about its history."""


def digest_model(model: Any) -> str:
    """Return the SHA-256 of a Model's graph and weights, the same in every process.

    Args:
        model: An openvino.Model, which is saved to a temporary folder and read from there.
    """
    with tempfile.TemporaryDirectory() as folder:
        graph, weights = Path(folder) / "model.xml", Path(folder) / "model.bin"
        openvino.serialize(model, str(graph), str(weights))
        mapped = np.memmap(weights, np.uint8, mode="r") if weights.stat().st_size else np.empty(0, np.uint8)
        # Written by OpenVINO a moment ago, so nothing in it is a stranger's.
        return digest([("\n".join(_lines(ET.parse(graph).getroot())), mapped)])  # noqa: S314


def _lines(element: Any, depth: int = 0) -> Iterator[str]:
    """Return an element and what is in it, without what says nothing of the computation."""
    layer = element.tag in ("layer", "net")
    attributes = {key: value for key, value in element.attrib.items() if not (layer and key in NAMES)}
    if NUMBERED.fullmatch(attributes.get("names", "")):
        del attributes["names"]
    yield f"{depth} {element.tag} {sorted(attributes.items())} {(element.text or '').strip()}"
    for part in element:
        history = element.tag == "net" and part.tag == "rt_info"
        if part.get("name") == "fused_names":  # the names of layers again
            continue
        for inner in (one for one in part if one.tag == COMPUTES) if history else (part,):
            yield from _lines(inner, depth + 1)
