"""From a batch to the outputs of a compiled model: which of them, in how many parts, and of which type."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from probly.data_generator.toolkit.feeds import Feeds, feeds_of, run_in_parts
from probly_data_generator_openvino.inputs import BFLOAT16, DTYPES, name_of, type_of

if TYPE_CHECKING:
    from probly_data_generator_openvino.models import OpenvinoModel

LOGITS = "logits"


def outputs_of(model: "OpenvinoModel", inputs: Any, batch_size: int | None) -> Any:
    """Return the scores of a batch, or for an ``output_transform`` the outputs: one alone, several as a dict by name.

    Args:
        model: The model.
        inputs: The inputs of a batch.
        batch_size: See the hook. None asks for all outputs.

    Raises:
        ValueError: The model has several outputs, and which one holds the scores is not known.
    """
    ports = _wanted(model, batch_size)
    arrays = feeds_of(inputs, model.inputs)

    def run(feeds: Feeds) -> list[Any]:
        return _infer(model.request, feeds, ports)

    rows, (least, most) = len(next(iter(arrays.values()))), model.rows
    fits = rows >= least and (most is None or rows <= most)
    found = run(arrays) if fits else run_in_parts(run, arrays, most or least, least)
    return found[0] if len(ports) == 1 else {name_of(port): output for port, output in zip(ports, found, strict=True)}


def _wanted(model: "OpenvinoModel", batch_size: int | None) -> list[Any]:
    """Return the output that holds the scores, or all."""
    outputs = list(model.compiled.outputs)
    if model.output is not None:
        return [port for port in outputs if model.output in port.get_names()][:1]
    if batch_size is None or len(outputs) == 1:
        return outputs
    # As everywhere, outputs of which one is called logits need no choice.
    found = [port for port in outputs if LOGITS in port.get_names()]
    if len(found) == 1:
        return found
    shown = ", ".join(f"{name_of(port)!r} ({type_of(port)} {port.get_partial_shape()})" for port in outputs)
    message = (
        f"the model has several outputs, {shown}, and none is called {LOGITS!r}; choose one with "
        f"options={{'output': {name_of(outputs[0])!r}}}, or set output_transform, which gets a dict by name"
    )
    raise ValueError(message)


def _infer(request: Any, feeds: Feeds, ports: Sequence[Any]) -> list[Any]:
    """Return outputs in memory of their own. State, where a model has some, does not pass from one call to the next."""
    request.reset_state()
    given = {name: array.astype(str) if array.dtype.kind == "O" else array for name, array in feeds.items()}
    # Shared, because OpenVINO's own copies take the bits of bfloat16 for those of float16.
    results = request.infer(given, share_inputs=True)
    return [_array(results[port], type_of(port)) for port in ports]


def _array(array: Any, kind: str) -> Any:
    """Return an output as what it is: OpenVINO gives the bits of bfloat16 as float16, and packed numbers as bytes."""
    if kind not in DTYPES:
        message = f"Model must return scores, got {kind}; choose another output, or convert it to f32 in the model"
        raise TypeError(message)
    return array.view(DTYPES[BFLOAT16]) if kind == BFLOAT16 else array
