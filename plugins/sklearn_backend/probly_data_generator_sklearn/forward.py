"""From a batch to the model's scores: one array of numbers with a column per class."""

from typing import TYPE_CHECKING, Any

import numpy as np

from probly.data_generator.toolkit.calling import call_with
from probly.data_generator.toolkit.outputs import describe, pick_scores
from probly.data_generator.toolkit.tables import column_names, is_table
from probly.data_generator.toolkit.tabular import select_columns

if TYPE_CHECKING:
    from probly_data_generator_sklearn.models import SklearnModel


def scores_of(model: "SklearnModel", inputs: Any, batch_size: int | None) -> Any:
    """Return the scores of a batch, or for an ``output_transform`` whatever the model returned.

    Args:
        model: The model.
        inputs: What it takes, ``N`` rows.
        batch_size: See the hook; None asks for what the model returned.

    Raises:
        ValueError: There is not one column per class.
        TypeError: The model returned no array of numbers.
    """
    answers = call_with(model.call, _in_order(inputs, model))
    if batch_size is None:
        return answers
    if isinstance(answers, list) and answers and np.ndim(answers[0]) == 2:
        message = (
            f"Model must return one array; got a list of {len(answers)}, one per output of a multi-output classifier; "
            "take one of them with output_transform=lambda outputs: outputs[0], in a run of its own"
        )
        raise TypeError(message)
    scores = np.asarray(answers) if hasattr(answers, "__array__") else pick_scores(answers)
    if np.dtype(scores.dtype).kind not in "fiub":
        message = (
            f"Model must return numbers, got {describe(answers)} of {scores.dtype}; "
            "use predict_proba, not predict, or set output_transform"
        )
        raise TypeError(message)
    names = model.class_names
    if names is not None and len(scores.shape) == 2 and scores.shape[1] not in (1, len(names)):
        remedy = "output_transform" if model.output_mode == "probs" else 'decision_function_shape="ovr"'
        message = (
            f"{type(model.source).__name__}.{model.scores}: expected {len(names)} columns, one per class, got "
            f"{scores.shape[1]}; set {remedy}"
        )
        raise ValueError(message)
    return scores


def _in_order(inputs: Any, model: "SklearnModel") -> Any:
    """Return a table with its columns in the order that an estimator was fitted with: not every library looks at it.

    One with other columns is left to the estimator: a step of a pipeline may pick some of more.
    """
    names = model.feature_names if model.scores is not None and is_table(inputs) else None
    if names is None or sorted(map(str, column_names(inputs))) != sorted(names):
        return inputs
    return select_columns(inputs, names)
