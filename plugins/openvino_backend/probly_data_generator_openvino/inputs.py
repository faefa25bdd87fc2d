"""What a CompiledModel says of its inputs and outputs."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from probly.data_generator.toolkit.feeds import Input, fixed_rows

BFLOAT16 = "bf16"
DTYPES: Mapping[str, np.dtype[Any]] = {
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    "f16": np.dtype(np.float16),
    BFLOAT16: np.dtype(ml_dtypes.bfloat16),
    **{
        f"{letter}{bits}": np.dtype(f"{kind}{bits}")
        for letter, kind in (("i", "int"), ("u", "uint"))
        for bits in (8, 16, 32, 64)
    },
    "boolean": np.dtype(np.bool_),
    "string": np.dtype(object),
}
"""The dtype in NumPy of OpenVINO's types; of the others, such as u4, several numbers share a byte."""


NUMBERED = re.compile(r"Result_\d+")
"""The names that OpenVINO gives to outputs without any: those of its next process are others."""


class Rows(NamedTuple):
    """How many rows a model takes at once: at least so many, and at most, where there is a limit."""

    least: int
    most: int | None


def inputs_of(compiled: Any) -> list[Input]:
    """Return the inputs of a CompiledModel, with OpenVINO's names of their types."""
    return [
        Input(name, type_of(port), DTYPES.get(type_of(port)), _shape(port))
        for port, name in zip(compiled.inputs, names_of(compiled.inputs, "input"), strict=True)
    ]


def type_of(port: Any) -> str:
    """Return OpenVINO's name of the type of an input or output."""
    return str(port.get_element_type().get_type_name())


def names_of(ports: Sequence[Any], kind: str) -> list[str]:
    """Return the names of inputs or outputs: of several names the first in the alphabet; without one, by its place.

    Args:
        ports: The inputs or outputs of a CompiledModel.
        kind: What those without a name are called before their place, as in ``"output 0"``.
    """
    named = ([name for name in port.get_names() if not NUMBERED.fullmatch(name)] for port in ports)
    return [min(names, default=f"{kind} {place}") for place, names in enumerate(named)]


def _shape(port: Any) -> tuple[int | str | None, ...]:
    shape = port.get_partial_shape()
    if shape.rank.is_dynamic:
        return ()
    return tuple(axis.get_length() if axis.is_static else _bounds(axis) for axis in shape)


def _bounds(axis: Any) -> str | None:
    return str(axis) if axis.get_max_length() > 0 else None  # such as 1..8


def rows_of(compiled: Any, inputs: Sequence[Input]) -> Rows:
    """Return how many rows a model takes at once.

    Raises:
        ValueError: Its inputs take different fixed numbers of them, or none that all take.
    """
    fixed = fixed_rows(inputs)
    firsts = [shape[0] for port in compiled.inputs if (shape := port.get_partial_shape()).rank.is_static and len(shape)]
    least = max((axis.get_min_length() for axis in firsts), default=1)
    limits = [axis.get_max_length() for axis in firsts if axis.get_max_length() > 0]
    most = min(limits, default=None)
    if most is not None and least > most:
        message = (
            f"the inputs of the model take {fixed or least} and {most} rows, which no batch has; reshape the model"
        )
        raise ValueError(message)
    return Rows(max(least, 1), most)
