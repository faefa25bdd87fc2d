"""The hooks; LiteRT takes NumPy arrays and returns them, so the core reads the data and moves them.

ai_edge_litert is imported inside hook bodies only, so that listing backends does not import it.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probly.data_generator.hookspecs import hookimpl
from probly.data_generator.toolkit.recognition import class_from

if TYPE_CHECKING:
    from probly_data_generator_litert.models import LitertModel


@hookimpl
def load_model(source: Any, device: str | None, options: Mapping[str, Any]) -> "LitertModel":
    """Accept a ``.tflite`` file, its bytes, an Interpreter, or ``"module:attribute"``."""
    from probly_data_generator_litert.models import load

    return load(source, device, options)


@hookimpl
def forward(model: "LitertModel", inputs: Any, batch_size: int | None) -> Any:
    """Invoke the interpreter on a batch; real numbers go in and come out, whatever integers they are inside."""
    from probly_data_generator_litert.forward import outputs_of

    return outputs_of(model, inputs, batch_size)


@hookimpl
def weight_digest(model: "LitertModel") -> str:
    """Return the digest of a model's bytes, or that an Interpreter made of a path does not show them."""
    from probly_data_generator_litert.digest import digest_model

    return digest_model(model.content)


@hookimpl
def recognizes(source: Any) -> Any:
    """Claim interpreters of LiteRT and ``.tflite`` files."""
    if isinstance(source, Path):
        return source.suffix.lower() == ".tflite"
    return class_from(source, "ai_edge_litert") or False


@hookimpl
def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the host's memory did not suffice."""
    return isinstance(error, MemoryError)


@hookimpl
def available_devices() -> list[str]:
    """Return the one device that there is without a delegate."""
    import ai_edge_litert.interpreter  # noqa: F401  # an installation that does not work is found out

    return ["cpu"]


@hookimpl
def choices() -> dict[str, Collection[Any]]:
    """Return the one device that there is without a delegate, and what options take."""
    from probly_data_generator_litert.options import KNOWN

    return {"device": ("cpu",), **KNOWN}
