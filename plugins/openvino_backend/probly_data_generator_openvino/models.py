"""From any source to a compiled model that runs, with all that is known of its inputs and outputs."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openvino

from probly.data_generator.toolkit.digest import NOT_SEEN
from probly.data_generator.toolkit.feeds import Input, channels_of, columns_of
from probly.data_generator.toolkit.importing import import_model, is_import_path
from probly.data_generator.toolkit.options import checked_options
from probly_data_generator_openvino.classes import class_names
from probly_data_generator_openvino.devices import compile_on, precision_of, resolve_device, running_on
from probly_data_generator_openvino.digest import digest_model
from probly_data_generator_openvino.files import read
from probly_data_generator_openvino.inputs import Rows, inputs_of, names_of, rows_of
from probly_data_generator_openvino.options import COMPILED, PRECISIONS


@dataclass
class OpenvinoModel:
    """What ``load_model`` returns.

    Attributes:
        compiled: The CompiledModel.
        device: The name of its device.
        digest: Returns the digest of what was compiled.
        class_names: The name of each column, where the Model has it.
        precision: What it computes in, where that is known.
        output: The name of the output to take, if the user chose one.
        live: The Model that was compiled, which its owner may change.
    """

    compiled: Any
    device: str
    digest: Callable[[], str]
    class_names: list[str] | None = None
    precision: str | None = None
    output: str | None = None
    live: Any = None
    inputs: list[Input] = field(init=False)
    rows: Rows = field(init=False)
    outputs: dict[int, tuple[str, ...]] = field(init=False)  # the names of each, by its place

    def __post_init__(self) -> None:
        """Read what the CompiledModel says of its inputs, and make a request beside those of its owner."""
        self.inputs = inputs_of(self.compiled)
        self.rows = rows_of(self.compiled, self.inputs)
        ports = list(self.compiled.outputs)
        self.outputs = {
            place: (name, *sorted(ports[place].get_names() - {name}))
            for place, name in enumerate(names_of(ports, "output"))
        }
        self.request = self.compiled.create_infer_request()

    def is_current(self) -> bool:
        """Return whether the live Model still is what was compiled."""
        return self.live is None or digest_model(self.live) == self.digest()

    @property
    def channels(self) -> str | None:
        """The order of a picture's axes, for the command line, where the input's shape tells."""
        return channels_of(self.inputs)

    @property
    def feature_names(self) -> list[str] | None:
        """The columns of a table that the model knows by name, where it has an input for each."""
        return columns_of(self.inputs)

    @property
    def options(self) -> dict[str, Any]:
        """The options that change the rows."""
        chosen = {"output": self.output, "precision": None if self.precision == PRECISIONS[0] else self.precision}
        return {name: value for name, value in chosen.items() if value is not None}


def load(source: Any, device: str | None, options: Mapping[str, Any]) -> OpenvinoModel:
    """Return the model of any source on a device.

    Args:
        source: The path of an IR's ``.xml``, an openvino.Model, an openvino.CompiledModel, or ``"module:attribute"``
            of one of these.
        device: The name of a device; None for the best one.
        options: ``output``, the name of the output to take; ``precision``, see ``options.PRECISIONS``; ``threads``, of
            the CPU.

    Raises:
        TypeError: ``source`` is no model.
        ValueError: A file is damaged, or the device is not available or computes in another precision.
        FileNotFoundError: There is no such file.
    """
    if isinstance(source, str) and is_import_path(source):
        source = import_model(source)
    others = {name: value for name, value in options.items() if name != "output"}
    chosen = checked_options(others, COMPILED, "openvino")
    if isinstance(source, openvino.CompiledModel):
        model = _live(source, device, others)
    else:
        model = _compiled(source, device, chosen["precision"], chosen["threads"])
    names = [name for known in model.outputs.values() for name in known]
    model.output = checked_options({"output": options.get("output")}, {"output": (None, *names)}, "openvino")["output"]
    return model


def _compiled(source: Any, device: str | None, precision: str, threads: int) -> OpenvinoModel:
    if isinstance(source, openvino.Model):
        found = digest_model(source)
        where, model, live = f"the model {source.get_friendly_name()!r}", source, source
        digest: Callable[[], str] = lambda: found  # noqa: E731
    elif isinstance(source, str | os.PathLike):
        files, model = read(Path(os.fspath(source)))
        where, live, digest = str(files.path), None, files.digest
    else:
        kind = "a function" if callable(source) else type(source).__qualname__
        message = (
            "expected the path of an IR's .xml, an openvino.Model or an openvino.CompiledModel as model, got "
            f"{kind}; convert a model of another framework with openvino.convert_model, or use that framework's backend"
        )
        raise TypeError(message)
    compiled, on = compile_on(model, device, precision, threads, where)
    computes = precision_of(compiled) or precision
    return OpenvinoModel(compiled, on, digest, class_names(model), computes, live=live)


def _live(compiled: Any, device: str | None, options: Mapping[str, Any]) -> OpenvinoModel:
    """Use a CompiledModel as it is: it shows neither its weights nor the names of its classes."""
    settings = {"precision": "INFERENCE_PRECISION_HINT", "threads": "INFERENCE_NUM_THREADS"}
    for name in options:
        message = f"{name}: a CompiledModel has its own; set {settings[name]} when it is compiled, or pass the Model"
        raise ValueError(message)
    on = running_on(compiled)
    if device is not None and resolve_device(device) != on:
        message = (
            f"the CompiledModel runs on {on!r}, not on {device!r}; set device={on!r} or None, or pass the Model, which "
            "is then compiled for that device"
        )
        raise ValueError(message)
    unseen = f"{NOT_SEEN}: a CompiledModel does not show its weights; pass the Model or the .xml that it is from"
    return OpenvinoModel(compiled, on, lambda: unseen, precision=precision_of(compiled))
