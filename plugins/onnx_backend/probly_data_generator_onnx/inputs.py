"""What a session says of its inputs."""

from typing import Any

from probly.data_generator.toolkit.feeds import Input
from probly_data_generator_onnx.arrays import DTYPES


def inputs_of(session: Any) -> list[Input]:
    """Return the inputs of a session that have no default, with ONNX Runtime's names of their types."""
    return [
        Input(value.name, value.type, DTYPES.get(value.type), tuple(value.shape or ()))
        for value in session.get_inputs()
    ]
