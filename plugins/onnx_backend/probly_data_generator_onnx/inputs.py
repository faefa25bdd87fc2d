"""From the inputs of a batch to what a session wants: an array of the right dtype and shape for each name."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from probly.data_generator.toolkit.parts import LABEL_KEYS
from probly.data_generator.toolkit.tables import column_names, column_of, is_table
from probly_data_generator_onnx.arrays import DTYPES, cast

GETTER = "input_getter"


class Input(NamedTuple):
    """An input of a model.

    Attributes:
        name: Its name.
        type: ONNX Runtime's name of its type, such as ``"tensor(float)"``.
        shape: Its axes: a number where it is fixed, else a name or None; empty where it is not known.
    """

    name: str
    type: str
    shape: tuple[int | str | None, ...]

    def fits(self, shape: Sequence[int]) -> bool:
        """Return whether an array of this shape may go in; the number of rows aside, which is seen to elsewhere."""
        if not self.shape:
            return True
        return len(shape) == len(self.shape) and all(
            not isinstance(wanted, int) or wanted == got for wanted, got in zip(self.shape[1:], shape[1:], strict=True)
        )

    @property
    def axes(self) -> str:
        """The shape for messages."""
        named = [str(axis) if axis is not None else "?" for axis in self.shape[1:]]
        return f"({', '.join(['N', *named])}{',' if not named else ''})"


def inputs_of(session: Any) -> list[Input]:
    """Return the inputs of a session that have no default."""
    return [Input(value.name, value.type, tuple(value.shape or ())) for value in session.get_inputs()]


def fixed_rows(inputs: Sequence[Input]) -> int | None:
    """Return the number of rows that a model was exported with, or None if it takes any.

    Raises:
        ValueError: Its inputs have different ones.
    """
    sizes = {value.shape[0] for value in inputs if value.shape and isinstance(value.shape[0], int)}
    if len(sizes) > 1:
        shown = ", ".join(f"{value.name!r}: {value.shape}" for value in inputs)
        message = (
            f"the inputs of the model have different fixed numbers of rows ({shown}), so its batches are not known; "
            "export it with a dynamic first axis"
        )
        raise ValueError(message)
    return next(iter(sizes), None)


def feeds(inputs: Any, wanted: Sequence[Input]) -> dict[str, npt.NDArray[Any]]:
    """Return the array of each input of a model, checked.

    Args:
        inputs: A mapping by name, whose labels are left out unless the model wants them, a tuple in the model's order,
            a table with a column per input, or one array.
        wanted: The inputs of the model.

    Raises:
        ValueError: A name is missing or unknown, or an array has the wrong dtype or shape.
        TypeError: It is none of these.
    """
    if len(wanted) == 1 and type(inputs) is np.ndarray:
        return {wanted[0].name: checked(inputs, wanted[0])}
    names = {value.name for value in wanted}
    given = by_name(inputs, wanted)
    named = {name: part for name, part in given.items() if name in names or name not in LABEL_KEYS}
    if named.keys() != names:
        raise ValueError(_names_differ(named, names, wanted))
    return {value.name: checked(named[value.name], value) for value in wanted}


def _names_differ(named: Mapping[Any, Any], names: set[str], wanted: Sequence[Input]) -> str:
    missing, unknown = sorted(names - named.keys()), sorted(map(str, named.keys() - names))
    found = [("missing", missing), ("unknown", unknown)]
    problems = "; ".join(f"{kind} {', '.join(map(repr, some))}" for kind, some in found if some)
    return f"the model's inputs are {_names(wanted)}; {problems}: return a dict of them by name from {GETTER}"


def by_name(inputs: Any, wanted: Sequence[Input]) -> Mapping[Any, Any]:
    """Return inputs as a mapping from the model's names.

    Raises:
        ValueError: They have no names, and another number than the model's.
    """
    if isinstance(inputs, Mapping):
        return inputs
    if is_table(inputs) and len(wanted) > 1 and column_names(inputs):
        # Exporters of pipelines make each column an input of shape (N, 1).
        return {name: np.asarray(column_of(inputs, place))[:, None] for place, name in enumerate(column_names(inputs))}
    if hasattr(inputs, "_asdict") and {value.name for value in wanted} == set(inputs._fields):
        return dict(inputs._asdict())
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    if len(given) != len(wanted):
        message = (
            f"the model has {len(wanted)} inputs, {_names(wanted)}, but a batch has {len(given)}; return a dict by "
            f"name from {GETTER}"
        )
        raise ValueError(message)
    return {value.name: part for value, part in zip(wanted, given, strict=True)}


def _names(wanted: Sequence[Input]) -> str:
    return ", ".join(
        f"{value.name!r} ({value.type} {value.axes if value.shape else ''})".replace(" )", ")") for value in wanted
    )


def checked(given: Any, wanted: Input) -> npt.NDArray[Any]:
    """Return the array for an input in its dtype.

    Raises:
        TypeError: It is no array, or the model wants none.
        ValueError: Its dtype or shape is not the model's.
    """
    if wanted.type not in DTYPES:
        message = f"input {wanted.name!r}: expected a model with plain tensors as inputs, got one with {wanted.type}"
        raise TypeError(message)
    array = _texts(given) if isinstance(given, list) else np.asarray(given)
    if array is None:
        message = (
            f"input {wanted.name!r}: expected one array per batch, got {len(given)} samples that do not stack; "
            f"bring them to one shape in {GETTER}"
        )
        raise TypeError(message)
    if not wanted.fits(array.shape):
        message = (
            f"input {wanted.name!r}: the model wants {wanted.axes}, got {array.shape}{shape_hint(array.shape, wanted)}"
        )
        raise ValueError(message)
    return cast(array, DTYPES[wanted.type], wanted.name)


def _texts(samples: list[Any]) -> npt.NDArray[Any] | None:
    """Return texts, or lists of equally many, as one array of objects, or None where they are none."""
    try:
        array = np.array(samples, object)
    except ValueError:  # other shapes
        return None
    return array if array.size and all(isinstance(one, str | bytes) for one in array.flat) else None


def shape_hint(shape: tuple[int, ...], wanted: Input) -> str:
    """Say what turns an array into the wanted shape, where one simple step does; the order of axes is never guessed."""
    rest = range(1, len(shape) - 1)
    moves = {"NHWC": (0, len(shape) - 1, *rest), "NCHW": (0, *(axis + 1 for axis in rest), 1)} if rest else {}
    for layout, axes in moves.items():
        if wanted.fits([shape[axis] for axis in axes]):
            other = {"NHWC": "NCHW", "NCHW": "NHWC"}[layout]
            kinds = (
                f"the data is {layout}, the model wants {other}" if len(shape) == 4 else "the axes have another order"
            )
            return (
                f": {kinds}. Transpose the array, batch.transpose{axes}, or each sample, "
                f"{GETTER}=lambda sample: sample[0].transpose{tuple(axis - 1 for axis in axes[1:])}"
            )
    if len(shape) + 1 == len(wanted.shape):
        for index, code in ((1, "[:, None]"), (len(shape), "[..., None]")):
            if wanted.fits([*shape[:index], 1, *shape[index:]]):
                return f": an axis is missing; add it, batch{code}"
    return f"; bring each sample to that shape, for example in {GETTER}"
