"""From a batch to the outputs of a session: which of them, in how many parts, and of which type."""

import ctypes
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from probly.data_generator.toolkit.feeds import Feeds, feeds_of, run_in_parts
from probly.data_generator.toolkit.outputs import Kept
from probly_data_generator_onnx.arrays import BFLOAT16, BFLOAT16_TYPE
from probly_data_generator_onnx.classes import map_columns

if TYPE_CHECKING:
    from probly_data_generator_onnx.models import OnnxModel

MAPS = "seq(map("
SCORES = ("tensor(float", "tensor(double", BFLOAT16_TYPE, MAPS)
BFLOAT16_CODE = 16
"""Its number in ``onnx.TensorProto``."""


def outputs_of(model: "OnnxModel", inputs: Any, batch_size: int | None) -> Any:
    """Return the scores of a batch, or for an ``output_transform`` the outputs: one alone, several as a dict by name.

    Beside them, where some were asked for, the hidden layers.

    Args:
        model: The model.
        inputs: The inputs of a batch.
        batch_size: See the hook; devices that compile always get as many rows. None asks for all outputs.

    Raises:
        ValueError: The model has several outputs, and which one holds the scores is not known.
        TypeError: The output holds class labels.
    """
    names = _wanted(model, batch_size)
    fetched = list(dict.fromkeys([*names, *model.layers]))
    run = functools.partial(run_session, model.session, fetched, bfloat16=model.bfloat16)
    arrays = feeds_of(inputs, model.inputs)
    size = model.rows or (batch_size if model.on.compiles else None)
    found = dict(zip(fetched, run(arrays) if size is None else run_in_parts(run, arrays, size), strict=True))
    outputs = _outputs(model, {name: found[name] for name in names}, batch_size)
    return Kept(outputs, {layer: found[layer] for layer in model.layers}) if model.layers else outputs


def _wanted(model: "OnnxModel", batch_size: int | None) -> list[str]:
    """Return the names of the outputs that hold scores, or of all of them."""
    columns = model.columns or []
    if model.output is not None:
        if model.output in columns and batch_size is not None:
            message = (
                f"the output {model.output!r} is the column of one class; leave output out, and all of them, "
                f"{', '.join(columns)}, become the columns of a row"
            )
            raise ValueError(message)
        return [model.output]
    if batch_size is None:
        return [output.name for output in model.outputs]
    return columns or [scores_output(model.outputs)]


def _outputs(model: "OnnxModel", answers: Mapping[str, Any], batch_size: int | None) -> Any:
    """Return the scores among the answers of a session, or what an ``output_transform`` gets."""
    if batch_size is None:
        return next(iter(answers.values())) if len(answers) == 1 else answers
    if len(answers) > 1:
        return np.stack([answer.reshape(len(answer), -1)[:, 0] for answer in answers.values()], axis=1)
    (scores,) = answers.values()
    if isinstance(scores, list):
        return map_columns(scores, model.labels)
    if scores.dtype.kind not in "fiubV":  # V is what bfloat16 has
        message = f"Model must return scores, got {scores.dtype}, which looks like class labels; choose another output"
        raise TypeError(message)
    return scores


def scores_output(outputs: Sequence[Any]) -> str:
    """Return the name of the output that holds the scores: the only one, or the one whose name says so.

    Names with "logits" count; where there is none, names with "prob", and maps from class to probability, which only
    classifiers return. Logits come first because a softmax makes rows of them in any output mode that fits, whereas
    probabilities would be taken for logits where the user says that the model has some.

    Args:
        outputs: What the session says of them.

    Raises:
        ValueError: It is not known; the message lists all outputs.
    """
    if len(outputs) == 1:
        return str(outputs[0].name)
    scores = [output for output in outputs if output.type.startswith(SCORES)]
    logits = [output.name for output in scores if "logits" in output.name.lower()]
    found = logits or [
        output.name for output in scores if "prob" in output.name.lower() or output.type.startswith(MAPS)
    ]
    if len(found) == 1:
        return str(found[0])
    shown = ", ".join(f"{output.name!r} ({output.type})" for output in outputs)
    message = (
        f"the model has several outputs, {shown}, and none alone is called logits or probabilities; choose one with "
        f"options={{'output': {(scores or outputs)[0].name!r}}}, or set output_transform, which gets a dict by name"
    )
    raise ValueError(message)


def run_session(session: Any, names: Sequence[str], feeds: Feeds, *, bfloat16: bool) -> list[Any]:
    """Return the outputs of these names as NumPy arrays or, for other types, as ONNX Runtime gives them.

    Args:
        session: An InferenceSession.
        names: Which outputs.
        feeds: An array for each input.
        bfloat16: Whether an input or output is of that type, which its plain interface does not know.
    """
    if not bfloat16:
        return list(session.run(names, feeds))
    values = {name: _ort_value(array) for name, array in feeds.items()}
    return [_array(value) for value in session.run_with_ort_values(names, values)]


def _ort_value(array: npt.NDArray[Any]) -> Any:
    if array.dtype != BFLOAT16:
        return onnxruntime.OrtValue.ortvalue_from_numpy(array)
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(array.view(np.uint16), BFLOAT16_CODE)


def _array(value: Any) -> Any:
    if value.data_type() != BFLOAT16_TYPE:
        return value.numpy()
    words = np.empty(value.shape(), np.uint16)
    ctypes.memmove(words.ctypes.data, value.data_ptr(), words.nbytes)
    return words.view(BFLOAT16)
