"""From a batch to the booster's scores: class probabilities, or logits where it has none."""

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse
import xgboost

from probly_data_generator_xgboost.inputs import matrix_of

if TYPE_CHECKING:
    from probly_data_generator_xgboost.models import XgboostModel


def scores_of(model: "XgboostModel", inputs: Any, batch_size: int | None) -> Any:
    """Return what ``Booster.predict`` says of a batch.

    Args:
        model: The model.
        inputs: See ``inputs.matrix_of``.
        batch_size: See the hook; None says that an ``output_transform`` makes rows of the outputs.

    Returns:
        float32, shape ``(N, classes)``, or ``(N,)`` for the second of two classes; where ``model.margins``, logits.

    Raises:
        ValueError: The outputs are no distribution over classes, or the inputs are not the booster's.
    """
    if batch_size is not None:
        _check_objective(model)
    booster = model.booster
    matrix = matrix_of(inputs, model)
    try:
        data = xgboost.DMatrix(matrix, feature_names=booster.feature_names)
    except xgboost.core.XGBoostError as error:
        message = _too_large(matrix, booster.feature_names)
        if message is None:
            raise
        raise ValueError(message) from error
    return booster.predict(data, output_margin=model.margins, iteration_range=(0, model.used))


def _too_large(matrix: Any, names: list[str] | None) -> str | None:
    """Say where the first number is that XGBoost refuses because it is infinite as float32."""
    with np.errstate(over="ignore"):
        cells = scipy.sparse.coo_array(matrix.astype(np.float32))
    infinite = np.flatnonzero(np.isinf(cells.data))
    if not len(infinite):
        return None
    row, place = (axis[infinite[0]] for axis in cells.coords)
    return (
        f"row {row} of the batch has {matrix[row, place]} in column {place if names is None else repr(names[place])}: "
        "expected numbers that are finite as float32, or NaN where one is missing; replace it, or leave the row out"
    )


def _check_objective(model: "XgboostModel") -> None:
    about = model.about
    if about.targets > 1:
        message = (
            f"the booster has {about.targets} targets ({about.objective}), which are no classes of one distribution; "
            "take one of them in a run of its own, output_transform=lambda outputs: "
            "np.stack([1 - outputs[:, 0], outputs[:, 0]], axis=1)"
        )
        raise ValueError(message)
    if model.output_mode is None:
        message = (
            f"the booster's objective is {about.objective!r}, whose outputs are no class probabilities; if its raw "
            "margins are logits, as those of an objective of your own may be, options={'scores': 'raw'} takes their "
            "softmax, of a single one the sigmoid; or make rows of its outputs in output_transform"
        )
        raise ValueError(message)
