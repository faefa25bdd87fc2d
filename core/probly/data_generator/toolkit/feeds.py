"""From the inputs of a batch to what a runtime of stored graphs wants: an array for each name, in as many parts as fit.

For frameworks whose models have inputs with names, dtypes and shapes, some of them with a fixed number of rows.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from probly.data_generator.toolkit.outputs import cut_rows
from probly.data_generator.toolkit.parts import LABEL_KEYS
from probly.data_generator.toolkit.tables import column_names, column_of, is_table

GETTER = "input_getter"
UNSCALED = (
    "whether to scale it is not guessed: for the numbers as they are, set input_dtype='float32', which casts all "
    "inputs, or cast this one in input_getter; for pixels in [0, 1], divide them by 255 there"
)
"""What to do with integers where floats are wanted."""
Feeds = Mapping[str, Any]


class Input(NamedTuple):
    """An input of a model.

    Attributes:
        name: Its name.
        type: The framework's word for its type, for messages.
        dtype: The dtype of its arrays, object for text; None where it takes no plain arrays.
        shape: Its axes: a number where it is fixed, else a name or None; empty where it is not known.
    """

    name: str
    type: str
    dtype: np.dtype[Any] | None
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


def channels_of(inputs: Sequence[Input]) -> str | None:
    """Return the order of a picture's axes, ``"first"`` or ``"last"``, where the shape of the only input tells.

    Examples:
        >>> channels_of([Input("x", "f32", np.dtype(np.float32), (None, 224, 224, 3))])
        'last'
    """
    shape = inputs[0].shape if len(inputs) == 1 else ()
    axes = [axis for axis in (1, 3) if len(shape) == 4 and shape[axis] in (1, 3)]
    return {1: "first", 3: "last"}[axes[0]] if len(axes) == 1 else None


def columns_of(inputs: Sequence[Input]) -> list[str] | None:
    """Return the columns of a table that a model knows by name: exporters of pipelines make each an input (N, 1)."""
    columns = [value.name for value in inputs if len(value.shape) == 2 and value.shape[1] == 1]
    return columns if len(columns) == len(inputs) > 1 else None


def cast(array: npt.NDArray[Any], wanted: Input) -> npt.NDArray[Any]:
    """Return an array in the dtype of an input, where that keeps its meaning.

    Floats are cast to floats, as every framework's default of float32 wants it from NumPy's float64, and integers to
    integers that hold every value. Nothing else is guessed: integers as floats may need a scale.

    Args:
        array: The array; text has the dtype object, or one of NumPy's for text.
        wanted: The input, whose dtype is known.

    Raises:
        ValueError: The dtype does not fit.

    Examples:
        >>> cast(np.array([3, 4], dtype=np.int32), Input("input_ids", "i64", np.dtype(np.int64), (None,)))
        array([3, 4])
    """
    dtype = np.dtype(wanted.dtype)
    if array.dtype == dtype and dtype.kind != "O":
        return array  # a dtype with the other byte order compares as different, and gets cast below
    if _is_float(array.dtype) and _is_float(dtype):
        return array.astype(dtype)
    if array.dtype.kind in "iu" and dtype.kind in "iu" and _holds(dtype, array):
        return array.astype(dtype)
    if dtype.kind == "O" and (array.dtype.kind in "UT" or all(isinstance(text, str) for text in array.flat)):
        return array.astype(dtype)
    kind = "text" if dtype.kind == "O" else str(dtype)
    message = f"input {wanted.name!r}: the model wants {kind}, got {array.dtype}; {_dtype_hint(array, dtype)}"
    raise ValueError(message)


def _is_float(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "f" or dtype.name == "bfloat16"  # which NumPy does not know as a float


def _holds(dtype: np.dtype[Any], array: npt.NDArray[Any]) -> bool:
    limits = np.iinfo(dtype)
    return array.size == 0 or bool(int(array.min()) >= limits.min and int(array.max()) <= limits.max)


def _dtype_hint(array: npt.NDArray[Any], dtype: np.dtype[Any]) -> str:
    if array.dtype.kind in "iu" and _is_float(dtype):
        return UNSCALED
    if array.dtype.kind in "iu" and dtype.kind in "iu":
        return f"its values from {array.min()} to {array.max()} do not fit"
    if array.dtype.kind == dtype.kind == "O":
        strange = next(place for place, text in enumerate(array.flat) if not isinstance(text, str))
        row = strange * len(array) // array.size
        return f"row {row} of the batch has {array.flat[strange]!r}; fill in what stands for a missing text, such as ''"
    return "convert it in input_getter"


def feeds_of(
    inputs: Any, wanted: Sequence[Input], convert: Callable[[npt.NDArray[Any], Input], npt.NDArray[Any]] = cast
) -> dict[str, npt.NDArray[Any]]:
    """Return the array of each input of a model, checked.

    Args:
        inputs: A mapping by name, whose labels are left out unless the model wants them, a tuple in the model's order,
            a table with a column per input, or one array.
        wanted: The inputs of the model.
        convert: Brings an array of the right shape to an input's dtype.

    Raises:
        ValueError: A name is missing or unknown, or an array has the wrong dtype or shape.
        TypeError: It is none of these.
    """
    if len(wanted) == 1 and type(inputs) is np.ndarray:
        return {wanted[0].name: _checked(inputs, wanted[0], convert)}
    names = {value.name for value in wanted}
    given = _by_name(inputs, wanted)
    named = {name: part for name, part in given.items() if name in names or name not in LABEL_KEYS}
    if named.keys() != names:
        raise ValueError(_names_differ(named, names, wanted))
    return {value.name: _checked(named[value.name], value, convert) for value in wanted}


def _names_differ(named: Mapping[Any, Any], names: set[str], wanted: Sequence[Input]) -> str:
    missing, unknown = sorted(names - named.keys()), sorted(map(str, named.keys() - names))
    found = [("missing", missing), ("unknown", unknown)]
    problems = "; ".join(f"{kind} {', '.join(map(repr, some))}" for kind, some in found if some)
    return f"the model's inputs are {_names(wanted)}; {problems}: return a dict of them by name from {GETTER}"


def _by_name(inputs: Any, wanted: Sequence[Input]) -> Mapping[Any, Any]:
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


def _checked(given: Any, wanted: Input, convert: Callable[[npt.NDArray[Any], Input], Any]) -> npt.NDArray[Any]:
    if wanted.dtype is None:
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
            f"input {wanted.name!r}: the model wants {wanted.axes}, got {array.shape}{_shape_hint(array.shape, wanted)}"
        )
        raise ValueError(message)
    converted: npt.NDArray[Any] = convert(array, wanted)
    return converted


def _texts(samples: list[Any]) -> npt.NDArray[Any] | None:
    """Return texts, or lists of equally many, as one array of objects, or None where they are none."""
    try:
        array = np.array(samples, object)
    except ValueError:  # other shapes
        return None
    return array if array.size and all(isinstance(one, str | bytes) for one in array.flat) else None


def _shape_hint(shape: tuple[int, ...], wanted: Input) -> str:
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


def run_in_parts(run: Callable[[Feeds], list[Any]], feeds: Feeds, most: int, least: int | None = None) -> list[Any]:
    """Return the outputs of a model that takes so many rows at once; a last part of fewer is filled up and cut back.

    Args:
        run: Returns the outputs for these rows: arrays, or lists with an entry per row.
        feeds: Arrays with any number of rows.
        most: The largest number of rows that the model takes.
        least: The smallest; None for the same.

    Raises:
        InvalidOutputError: An output does not have one row per input.

    Examples:
        >>> (doubled,) = run_in_parts(lambda feeds: [2 * feeds["x"]], {"x": np.arange(5)}, most=3)
        >>> doubled
        array([0, 2, 4, 6, 8])
    """
    rows = len(next(iter(feeds.values())))
    least = most if least is None else least
    parts = []
    for start in range(0, rows, most):
        wanted = min(most, rows - start)
        size = max(wanted, least)
        part = {name: _filled(array[start : start + wanted], size) for name, array in feeds.items()}
        parts.append([_cut(output, size, wanted) for output in run(part)])
    return [_joined(outputs) for outputs in zip(*parts, strict=True)]


def _filled(array: Any, size: int) -> Any:
    """Repeat the last row, whose values the model surely takes."""
    return array if len(array) == size else np.concatenate([array, np.repeat(array[-1:], size - len(array), axis=0)])


def _cut(output: Any, size: int, wanted: int) -> Any:
    if isinstance(output, list):
        entries = np.empty(len(output), object)
        entries[:] = output
        return cut_rows(entries, size, wanted).tolist()
    return cut_rows(output, size, wanted)


def _joined(parts: tuple[Any, ...]) -> Any:
    if len(parts) == 1:
        return parts[0]
    return list(chain.from_iterable(parts)) if isinstance(parts[0], list) else np.concatenate(parts)
