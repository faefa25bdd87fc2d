"""From a batch to the outputs of a compiled model: which of them, in how many parts, and of which type."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from probly.data_generator.toolkit.feeds import Feeds, feeds_of, run_in_parts
from probly_data_generator_openvino.inputs import BFLOAT16, DTYPES, type_of

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
    places = _wanted(model, batch_size)
    arrays = feeds_of(inputs, model.inputs)

    def run(feeds: Feeds) -> list[Any]:
        return _infer(model, feeds, places)

    rows, (least, most) = len(next(iter(arrays.values()))), model.rows
    fits = rows >= least and (most is None or rows <= most)
    found = run(arrays) if fits else run_in_parts(run, arrays, most or least, least)
    if len(places) == 1:
        return found[0]
    return {model.outputs[place][0]: output for place, output in zip(places, found, strict=True)}


def _wanted(model: "OpenvinoModel", batch_size: int | None) -> list[int]:
    """Return the place of the output that holds the scores, or of all."""
    if model.output is not None:
        return [place for place, names in model.outputs.items() if model.output in names][:1]
    if batch_size is None or len(model.outputs) == 1:
        return list(model.outputs)
    # As everywhere, outputs of which one is called logits need no choice.
    found = [place for place, names in model.outputs.items() if LOGITS in names]
    if len(found) == 1:
        return found
    ports = model.compiled.outputs
    shown = ", ".join(
        f"{names[0]!r} ({type_of(ports[place])} {ports[place].get_partial_shape()})"
        for place, names in model.outputs.items()
    )
    message = (
        f"the model has several outputs, {shown}, and none is called {LOGITS!r}; choose one with "
        f"options={{'output': {model.outputs[0][0]!r}}}, or set output_transform, which gets a dict by name"
    )
    raise ValueError(message)


def _infer(model: "OpenvinoModel", feeds: Feeds, places: Sequence[int]) -> list[Any]:
    """Return outputs in memory of their own. State, where a model has some, does not pass from one call to the next."""
    arrays = [feeds[wanted.name] for wanted in model.inputs]
    model.request.reset_state()
    given = {place: array.astype(str) if array.dtype.kind == "O" else array for place, array in enumerate(arrays)}
    # Shared, because OpenVINO's own copies take the bits of bfloat16 for those of float16.
    results = model.request.infer(given, share_inputs=True)
    return [_array(results[place], type_of(model.compiled.outputs[place])) for place in places]


def _array(array: Any, kind: str) -> Any:
    """Return an output as what it is: OpenVINO gives the bits of bfloat16 as float16, and packed numbers as bytes."""
    if kind not in DTYPES:
        message = f"Model must return scores, got {kind}; choose another output, or convert it to f32 in the model"
        raise TypeError(message)
    return array.view(DTYPES[BFLOAT16]) if kind == BFLOAT16 else array
