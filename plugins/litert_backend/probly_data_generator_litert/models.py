"""From any source to an interpreter that runs, with all that is known of its inputs and outputs."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from probly.data_generator.toolkit.feeds import Input, channels_of, columns_of, fixed_rows
from probly.data_generator.toolkit.importing import import_model, is_import_path
from probly.data_generator.toolkit.options import checked_options
from probly_data_generator_litert.graph import Graph
from probly_data_generator_litert.options import THREADS
from probly_data_generator_litert.tensors import Tensor, tensor_of

IDENTIFIER = b"TFL3"
"""The four bytes at place 4 of every model."""
LFS_POINTER = b"version https://git-lfs"
LOGITS = "logits"
HELD = "reference to internal data"
"""What LiteRT says of an Interpreter while somebody holds a runner of it, or an array in its memory."""


class MainGraph:
    """The main graph of a model without signatures, called like a runner of a signature.

    Args:
        interpreter: The Interpreter.
    """

    def __init__(self, interpreter: Any) -> None:
        self.interpreter = interpreter

    def get_input_details(self) -> dict[str, Any]:
        """Return what is known of the inputs, by the names of their tensors."""
        return {details["name"]: details for details in self.interpreter.get_input_details()}

    def get_output_details(self) -> dict[str, Any]:
        """Return what is known of the outputs, by the names of their tensors."""
        return {details["name"]: details for details in self.interpreter.get_output_details()}

    def __call__(self, **arrays: Any) -> dict[str, Any]:
        """Return copies of all outputs by name."""
        inputs = self.get_input_details()
        for name, array in arrays.items():
            if tuple(inputs[name]["shape"]) != array.shape:
                self.interpreter.resize_tensor_input(inputs[name]["index"], array.shape)
        self.interpreter.allocate_tensors()
        for name, array in arrays.items():
            self.interpreter.set_tensor(inputs[name]["index"], array)
        self.interpreter.invoke()
        return {name: self.interpreter.get_tensor(one["index"]) for name, one in self.get_output_details().items()}


def runner(interpreter: Any, signature: str | None) -> Any:
    """Return what takes an array for each input and returns the outputs by name.

    It must not be kept: while there is a runner of a signature, LiteRT refuses its Interpreter to everybody else.
    """
    return MainGraph(interpreter) if signature is None else interpreter.get_signature_runner(signature)


@dataclass
class LitertModel:
    """What ``load_model`` returns.

    Attributes:
        interpreter: The Interpreter.
        signature: The name of the signature that is run, or None where there is none.
        inputs: The inputs in the model's order.
        outputs: The outputs.
        content: The bytes of the model, where they are known.
        class_names: The name of each column, where the metadata have them.
        divided: The outputs whose rows are divided by their sum: distributions that were rounded to integers.
        options: The options that change the rows.
        live: Whether the interpreter is the user's own.
    """

    interpreter: Any
    signature: str | None
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    content: bytes | None
    class_names: list[str] | None
    divided: frozenset[str]
    options: dict[str, Any]
    live: bool = False
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Make of the inputs what the core checks arrays by."""
        self.wanted: list[Input] = [tensor.input for tensor in self.inputs]
        self.rows = fixed_rows(self.wanted)

    def is_current(self) -> bool:
        """Return whether a live interpreter still has the shapes that were read from it."""
        now = _inputs(self.interpreter, self.signature, live=True) if self.live else self.inputs
        return [tensor.shape for tensor in now] == [tensor.shape for tensor in self.inputs]

    @property
    def output(self) -> str | None:
        """The output that holds the scores, where that is known."""
        return scores_output(self.options.get("output"), self.outputs)

    @property
    def output_mode(self) -> str | None:
        """What the scores are, where the graph tells."""
        return "probs" if self.output in self.divided else None

    @property
    def channels(self) -> str | None:
        """The order of a picture's axes, for the command line, where the input's shape tells."""
        return channels_of(self.wanted)

    @property
    def feature_names(self) -> list[str] | None:
        """The columns of a table that the model knows by name, where it has an input for each."""
        return columns_of(self.wanted)


def scores_output(chosen: str | None, outputs: Sequence[Tensor]) -> str | None:
    """Return the name of the output that holds the scores: the chosen, the only, or the one that is called logits."""
    names = [tensor.name for tensor in outputs]
    if chosen is not None or len(names) == 1:
        return chosen or names[0]
    return LOGITS if LOGITS in names else None


def load(source: Any, device: str | None, options: Mapping[str, Any]) -> LitertModel:
    """Return the model of any source.

    Args:
        source: The path or the bytes of a ``.tflite`` file, an Interpreter, or ``"module:attribute"`` of one of these.
        device: The host's processor; an Interpreter may have a delegate of its own.
        options: ``output``, the name of the output to take; ``signature``, which of several to run; ``threads``.

    Raises:
        TypeError: ``source`` is no model.
        ValueError: A file is damaged, needs operators that are not there, or it is another device.
        FileNotFoundError: There is no such file.
    """
    if device not in (None, "cpu"):
        message = (
            f"device {device!r} is not available to backend 'litert'; available: 'cpu'; for a delegate, pass an "
            "Interpreter that was made with it"
        )
        raise ValueError(message)
    if isinstance(source, str) and is_import_path(source):
        source = import_model(source)
    others = {name: value for name, value in options.items() if name not in ("output", "signature")}
    threads = checked_options(others, THREADS, "litert")["threads"]
    live = isinstance(source, Interpreter)
    if live:
        if "threads" in options:
            message = "threads: a live Interpreter has its own; set num_threads when it is made"
            raise ValueError(message)
        interpreter = source
        _allocate(interpreter)
        content = getattr(source, "_model_content", None)  # it has no public name
        content = None if content is None else bytes(content)
    else:
        content, where = _content(source)
        interpreter = _interpreter(content, threads or _processors(), where)
    return _model(interpreter, content, options, live=live)


def _content(source: Any) -> tuple[bytes, str]:
    """Return the bytes of a model, and its name in messages."""
    if isinstance(source, bytes):
        return _checked(source, "the bytes of the model"), "the bytes of the model"
    if isinstance(source, str | os.PathLike):
        path = Path(os.fspath(source))
        if not path.is_file():
            message = f"{path}: there is no such model file"
            raise FileNotFoundError(message)
        return _checked(path.read_bytes(), str(path)), str(path)
    kind = "a function" if callable(source) else type(source).__qualname__
    message = (
        "expected the path or the bytes of a .tflite file or an ai_edge_litert.interpreter.Interpreter as model, got "
        f"{kind}; convert a model of another framework first, or use that framework's backend"
    )
    raise TypeError(message)


def _checked(content: bytes, where: str) -> bytes:
    if content.startswith(LFS_POINTER):
        message = f"{where}: is a pointer of Git LFS, not the model itself; fetch it with: git lfs pull"
        raise ValueError(message)
    if content[4:8] != IDENTIFIER:
        message = f"{where}: expected a model of LiteRT, got {len(content)} bytes that are none; convert it again"
        raise ValueError(message)
    return content


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _interpreter(content: bytes, threads: int, where: str) -> Any:
    """Return an interpreter whose operators are all there."""
    try:
        made = Interpreter(model_content=content, num_threads=threads)
        made.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ValueError(_explain(error, where)) from error
    return made


def _allocate(interpreter: Any) -> None:
    """Allocate a live interpreter, without which its state cannot be reset; one that is allocated stays as it is."""
    try:
        interpreter.allocate_tensors()
    except RuntimeError as error:
        if HELD not in " ".join(str(error).split()):  # by a runner of its owner, which allocates when it is called
            raise ValueError(_explain(error, "the Interpreter")) from error


def _explain(error: Exception, where: str) -> str:
    said = " ".join(str(error).split())
    remedy = ""
    if "custom op" in said or "Select TensorFlow op" in said:
        remedy = (
            "; convert it with operators of LiteRT alone, or pass an Interpreter that knows them "
            "(InterpreterWithCustomOps)"
        )
    return f"{where}: LiteRT cannot run it: {said}{remedy}"


def _model(interpreter: Any, content: bytes | None, options: Mapping[str, Any], *, live: bool) -> LitertModel:
    signatures = sorted(interpreter.get_signature_list())
    signature = checked_options({"signature": options.get("signature")}, {"signature": (None, *signatures)}, "litert")[
        "signature"
    ]
    if signature is None and len(signatures) > 1:
        message = (
            f"the model has several signatures, {', '.join(map(repr, signatures))}; choose one with "
            f"options={{'signature': {signatures[0]!r}}}"
        )
        raise ValueError(message)
    key = signature or next(iter(signatures), None)
    details = runner(interpreter, key).get_output_details()
    outputs = [tensor_of(name, one, resizable=not live) for name, one in details.items()]
    names = (None, *(tensor.name for tensor in outputs))
    output = checked_options({"output": options.get("output")}, {"output": names}, "litert")["output"]
    graph = None if content is None else Graph(content, key)
    scores = next((tensor for tensor in outputs if tensor.name == scores_output(output, outputs)), None)
    chosen = {"output": output, "signature": signature}
    return LitertModel(
        interpreter,
        key,
        _inputs(interpreter, key, live=live),
        outputs,
        content,
        graph.class_names(scores.index) if graph and scores else None,
        frozenset(tensor.name for tensor in outputs if graph and graph.is_quantised_softmax(tensor.index)),
        {name: value for name, value in chosen.items() if value is not None},
        live=live,
    )


def _inputs(interpreter: Any, signature: str | None, *, live: bool) -> list[Tensor]:
    """Return the inputs in the order of the graph; a signature has them in that of the alphabet."""
    order = {int(one["index"]): place for place, one in enumerate(interpreter.get_input_details())}
    details = runner(interpreter, signature).get_input_details()
    found = [tensor_of(name, one, resizable=not live) for name, one in details.items()]
    return sorted(found, key=lambda tensor: order.get(tensor.index, np.inf))
