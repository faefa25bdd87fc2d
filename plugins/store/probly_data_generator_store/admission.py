"""Whether a further writer may share a store: its first rows are compared with those of whoever began it.

The identity of a run says what can be seen of a model and its data. The rows of the first batch say the rest: hidden
state, preprocessing, code, and the kernels of the processor or the library that computes.
"""

import base64

import numpy as np

from probly.data_generator.errors import StoreError
from probly.data_generator.rows import FloatRows
from probly.data_generator.toolkit.places import Place
from probly_data_generator_store.spec import SPEC, Spec

MOST_NUMBERS = 2**14
"""What a spec keeps of the first batch, though never less than a row."""
OF_KERNELS = 1e-5
"""What other kernels may change; more comes from another model or other data."""
HALF_TOLERANCE = 0.03
"""What half precision may change where batches are halved because the memory is full."""


def packed_rows(rows: FloatRows) -> str:
    """Return the first rows as text.

    Examples:
        >>> packed_rows(np.array([[0.25, 0.75]], np.float32))
        'AACAPgAAQD8='
    """
    count = max(1, MOST_NUMBERS // max(rows.shape[1], 1))
    return base64.b64encode(np.ascontiguousarray(rows[:count], "<f4").tobytes()).decode()


def deviation(path: Place, spec: Spec, rows: FloatRows, tolerance: float) -> float:
    """Return how far a writer's first rows are from those that the store was begun with.

    Args:
        path: The store.
        spec: Its spec.
        rows: The rows of the writer's first batch.
        tolerance: What is admitted; 0 wants the same bits.

    Raises:
        StoreError: They are further away; the message says what that tells.
    """
    known = _unpacked(path, spec)
    found = rows[: len(known)]
    if found.shape != known.shape:
        message = (
            f"{path}: its first batch has the rows {list(known.shape)}, this run's {list(found.shape)}; pass the data "
            "and the batch size that the store was begun with"
        )
        raise StoreError(message)
    if found.tobytes() == known.tobytes():
        return 0.0
    away = np.abs(found.astype(np.float64) - known)
    largest = float(away.max())
    if largest <= tolerance:  # false for NaN
        return largest
    row, column = (int(place) for place in np.unravel_index(int(away.argmax()), away.shape))
    seen = f"row {row} has {known[row, column]:.9g} for class {column} in the store, and {found[row, column]:.9g} here"
    if largest <= OF_KERNELS:
        message = (
            f"{path}: this worker computes with other kernels than the one that began the store: {seen}, which another "
            "processor, device, precision or version of a library explains; use the same for all workers, or admit "
            f"them with tolerance={_rounded_up(largest):.0e}, which the store then records"
        )
        raise StoreError(message)
    message = (
        f"{path}: the model, its preprocessing or its mode has changed since the store was begun: {seen}. Undo the "
        "change, or choose another path"
    )
    raise StoreError(message)


def refuse_other_rows(path: Place, spec: Spec, rows: FloatRows, tolerance: float) -> None:
    """Refuse the first rows of a dataset where they are not those that its first batch had a moment ago.

    Whoever begins a store is compared with nobody: this shows a model that returns other rows each time, and a dataset
    that has another order each time, of which each shard would get an order of its own.

    Args:
        path: The store.
        spec: Its spec.
        rows: The first rows, computed again.
        tolerance: What is admitted; as much as half precision may change is always.

    Raises:
        StoreError: They are others.
    """
    known = _unpacked(path, spec)[: len(rows)]
    away = np.abs(rows[: len(known)].astype(np.float64) - known)
    if away.size and not float(away.max()) <= max(tolerance, HALF_TOLERANCE):
        message = (
            f"{path}: the first rows are others each time that they are computed, by up to {float(away.max()):.3g}: "
            "the dataset has another order or random samples, or the model is random. Let the dataset have len() and "
            "[index] and nothing random, and the model be in inference mode; for random passes or views, set passes "
            "and seed, and augment"
        )
        raise StoreError(message)


def _unpacked(path: Place, spec: Spec) -> FloatRows:
    try:
        values = np.frombuffer(base64.b64decode(spec.probe or "", validate=True), "<f4")
        return values.reshape(-1, spec.classes) if spec.classes else values.reshape(0, 0)
    except ValueError as error:
        message = f"{path / SPEC}: entry 'probe': expected rows of {spec.classes} classes: {error}"
        raise StoreError(message) from error


def _rounded_up(value: float) -> float:
    """Return the next number with a single digit."""
    digit = 10.0 ** np.floor(np.log10(value))
    return float(np.ceil(value / digit) * digit)
