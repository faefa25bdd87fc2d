"""From a batch to the booster's scores: class probabilities, or logits where it has none."""

from typing import TYPE_CHECKING, Any

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
    data = xgboost.DMatrix(matrix_of(inputs, model), feature_names=booster.feature_names)
    return booster.predict(data, output_margin=model.margins, iteration_range=(0, model.about.used))


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
