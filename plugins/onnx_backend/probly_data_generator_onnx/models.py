"""From any source to a session that runs, with all that is known of its inputs and outputs."""

import os
import re
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
import onnxruntime

from probly.data_generator.label_values import class_name
from probly.data_generator.toolkit.feeds import Input, channels_of, columns_of, fixed_rows
from probly.data_generator.toolkit.importing import import_model, is_import_path
from probly.data_generator.toolkit.options import checked_options
from probly_data_generator_onnx.arrays import BFLOAT16_TYPE
from probly_data_generator_onnx.classes import class_labels, column_outputs, metadata_names
from probly_data_generator_onnx.devices import (
    Device,
    best_devices,
    first_that_works,
    resolve_device,
    short_name,
    unavailable,
)
from probly_data_generator_onnx.files import Stored, stored
from probly_data_generator_onnx.forward import MAPS
from probly_data_generator_onnx.inputs import inputs_of
from probly_data_generator_onnx.options import THREADS

QUIET = 4  # errors are raised; printing them as well would only show them twice

# The phrases of onnxruntime's model_load_utils.h, model.cc and graph.cc; where they change, its own text remains.
OPSET = re.compile(
    r"Opset (\d+) is under development.*official support for domain (\S+) is till opset (\d+)", re.DOTALL
)
IR_VERSION = re.compile(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)")
OPERATOR = re.compile(r"(\S+) is not a registered function/op")


@dataclass
class OnnxModel:
    """What ``load_model`` returns.

    Attributes:
        session: The InferenceSession.
        on: Where it runs.
        stored: The model as it can be read again, if the session says where it is from.
        labels: The class of each column, as the model has it, where it is known.
        output: The name of the output to take, if the user chose one.
        live: The ModelProto or the bytes that were copied into the session, which their owner may change.
        layers: The further outputs of the session that are hidden layers.
    """

    session: Any
    on: Device
    stored: Stored | None
    labels: list[Any] | None
    output: str | None = None
    live: Any = None
    layers: Sequence[str] = ()
    inputs: list[Input] = field(init=False)
    rows: int | None = field(init=False)

    def __post_init__(self) -> None:
        """Read what the session says of its inputs."""
        self.inputs = inputs_of(self.session)
        self.rows = fixed_rows(self.inputs)
        self.outputs = self.session.get_outputs()
        self.bfloat16 = any(value.type == BFLOAT16_TYPE for value in (*self.inputs, *self.outputs))
        numbers = [value.name for value in self.outputs if value.type in ("tensor(float)", "tensor(double)")]
        self.columns = column_outputs(numbers, self.labels)
        # Maps from class to probability are sorted by class where the model's own order is not known.
        in_order = self.labels is not None or not any(value.type.startswith(MAPS) for value in self.outputs)
        self.names = metadata_names(self.session.get_modelmeta().custom_metadata_map) if in_order else None

    def is_current(self) -> bool:
        """Return whether the session still has what is in the live model."""
        return self.live is None or (self.stored is not None and _content(self.live) == self.stored.content)

    @property
    def device(self) -> str:
        """The name of the device, for the metadata."""
        return self.on.name

    @property
    def class_names(self) -> list[str] | None:
        """The name of each column, where the model has it."""
        return self.names if self.classes is None else [class_name(label) for label in self.classes]

    @property
    def classes(self) -> list[Any] | None:
        """What the labels of each column are, where the graph has it; the places of names are no more than places."""
        return None if self.names and self.labels == list(range(len(self.names))) else self.labels

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
        return {} if self.output is None else {"output": self.output}


def load(source: Any, device: str | None, options: Mapping[str, Any]) -> OnnxModel:
    """Return the model of any source on a device.

    Args:
        source: The path or the bytes of an ``.onnx`` file, a ModelProto, an InferenceSession, or
            ``"module:attribute"`` of one of these.
        device: The name of a device or of an execution provider; None for the best one.
        options: ``output``, the name of the output to take, and ``threads``, for the operators of the CPU.

    Raises:
        TypeError: ``source`` is no model.
        ValueError: A file is damaged, too new for ONNX Runtime, or names files outside its folder; or the device is
            not available.
        FileNotFoundError: There is no such file.
    """
    if isinstance(source, str) and is_import_path(source):
        source = import_model(source)
    others = {name: value for name, value in options.items() if name != "output"}
    threads = checked_options(others, THREADS, "onnx")["threads"]
    if isinstance(source, onnxruntime.InferenceSession):
        model = _live(source, device)
        if "threads" in options:
            message = "threads: a live session has its own; set SessionOptions.intra_op_num_threads when it is made"
            raise ValueError(message)
    else:
        model = _stored(source, device, threads)
    outputs = (None, *(output.name for output in model.outputs))
    model.output = checked_options({"output": options.get("output")}, {"output": outputs}, "onnx")["output"]
    return model


def _stored(source: Any, device: str | None, threads: int) -> OnnxModel:
    model, proto = stored(_content(source))
    labels = class_labels(proto.graph)

    def start(place: Device) -> Any:
        return _session(model, proto, place, threads)

    session, on = first_that_works(best_devices(), start) if device is None else start(resolve_device(device))
    live = source if isinstance(source, bytearray | memoryview | onnx.ModelProto) else None
    return OnnxModel(session, on, model, labels, live=live)


def _content(source: Any) -> Path | bytes:
    if isinstance(source, str | os.PathLike):
        return Path(os.fspath(source))
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, onnx.ModelProto):
        return bytes(source.SerializeToString())
    kind = "a function" if callable(source) else type(source).__qualname__
    message = (
        "expected the path or the bytes of an .onnx file, an onnx.ModelProto or an onnxruntime.InferenceSession as "
        f"model, got {kind}; export a model of another framework first, or use that framework's backend"
    )
    raise TypeError(message)


def _session(model: Stored, proto: Any, device: Device, threads: int) -> tuple[Any, Device]:
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = QUIET
    settings.intra_op_num_threads = threads
    content = str(model.content) if isinstance(model.content, Path) else model.content
    return start_session(content, settings, device, model.where, proto), device


def start_session(content: str | bytes, settings: Any, device: Device, where: str, proto: Any) -> Any:
    """Return the session of a model on a device.

    Args:
        content: The path of a file, or bytes.
        settings: The SessionOptions.
        device: Where it is to run.
        where: The model's name in messages.
        proto: Its ModelProto.

    Raises:
        ValueError: ONNX Runtime cannot load it, or its execution provider did not start.
    """
    try:
        # Without fallback: it would continue with the CPU on its own, and print that.
        session = onnxruntime.InferenceSession(content, settings, providers=device.providers(), enable_fallback=0)
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(_explain(error, where, proto)) from error
    if session.get_providers()[0] != device.provider:
        message = f"{unavailable(device.name)}; {device.provider} did not start: look for its driver and libraries"
        raise ValueError(message)
    return session


def _explain(error: Exception, where: str, proto: Any) -> str:
    """Return what is wrong with a model that a session could not be made of.

    Args:
        error: What ONNX Runtime raised.
        where: The model's name in messages.
        proto: Its ModelProto.
    """
    runtime = f"onnxruntime {onnxruntime.__version__}"
    text = str(error)
    if found := OPSET.search(text):
        version, domain, newest = found.groups()
        return (
            f"{where}: it needs opset {version} of {domain}, {runtime} knows {newest} and older; install a newer "
            f"onnxruntime, export with opset_version={newest}, or use onnx.version_converter"
        )
    if found := IR_VERSION.search(text):
        version, newest = found.groups()
        return (
            f"{where}: it has the IR version {version}, {runtime} reads {newest} and older; install a newer "
            "onnxruntime, or export with an older onnx"
        )
    if found := OPERATOR.search(text):
        return (
            f"{where}: {runtime} does not know its operator {found[1]}; if a library of custom operators has it, pass "
            "an InferenceSession made with SessionOptions.register_custom_ops_library"
        )
    versions = ", ".join(f"{imported.domain or 'ai.onnx'} {imported.version}" for imported in proto.opset_import)
    return f"{where}: {runtime} cannot load it (IR version {proto.ir_version}, opset {versions or 'unknown'}): {text}"


_SOURCES: weakref.WeakKeyDictionary[Any, tuple[Stored | None, list[Any] | None]] = weakref.WeakKeyDictionary()


def _live(session: Any, device: str | None) -> OnnxModel:
    provider = session.get_providers()[0]
    number = session.get_provider_options().get(provider, {}).get("device_id")
    short = short_name(provider)
    on = Device(f"{short}:{number}" if number not in (None, "0") else short, provider, int(number or 0))
    if device is not None:
        wanted = resolve_device(device)
        if (wanted.provider, wanted.number or 0) != (on.provider, on.number or 0):
            message = (
                f"the session runs on {on.name!r}, not on {device!r}; set device={on.name!r} or None, make it with "
                f"providers={[wanted.provider]!r}, or pass the path of its file"
            )
            raise ValueError(message)
    if session not in _SOURCES:  # the file may change, the session does not
        _SOURCES[session] = _source_of(session)
    model, labels = _SOURCES[session]
    return OnnxModel(session, on, model, labels)


def _source_of(session: Any) -> tuple[Stored | None, list[Any] | None]:
    """Return what a session was made of, as far as it says so: it has no public name for it."""
    path: Any = getattr(session, "_model_path", None)
    content: Any = getattr(session, "_model_bytes", None)
    if not path and not content:
        return None, None
    try:
        model, proto = stored(Path(path) if path else bytes(content))
    except (OSError, ValueError):  # gone, in ORT format, or with files elsewhere
        return None, None
    return model, class_labels(proto.graph)
