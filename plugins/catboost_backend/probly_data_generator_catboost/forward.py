"""From a batch to the model's scores: class probabilities, logits, or those of its virtual ensembles."""

from typing import TYPE_CHECKING, Any

import catboost

from probly_data_generator_catboost.inputs import readable

if TYPE_CHECKING:
    from probly_data_generator_catboost.models import About, CatboostModel

SEVERAL_LABELS = ("MultiLogloss", "MultiCrossEntropy")


def scores_of(model: "CatboostModel", inputs: Any, batch_size: int | None) -> Any:
    """Return what the model says of a batch.

    Args:
        model: The model.
        inputs: See ``inputs.readable``.
        batch_size: See the hook; None says that an ``output_transform`` makes rows of the outputs.

    Returns:
        Probabilities, shape ``(N, classes)``; or logits, ``(N, classes)``, ``(N,)`` for the second of two classes, or
        ``(N, members, classes)`` and ``(N, members, 1)``.

    Raises:
        ValueError: The outputs are no distribution over classes, or CatBoost refuses the inputs.
    """
    about = model.about
    if batch_size is not None and (model.output_mode is None or about.objective in SEVERAL_LABELS):
        raise ValueError(_no_distribution(about))
    data = readable(inputs, model)
    try:
        if model.members:
            return model.source.virtual_ensembles_predict(
                data, prediction_type="VirtEnsembles", virtual_ensembles_count=model.ensembles
            )
        # CatBoost would call a number that a regression predicts a probability, too.
        kind = "RawFormulaVal" if model.raw or not about.classes else "Probability"
        return model.source.predict(data, prediction_type=kind)
    except catboost.CatBoostError as error:
        remedy = ""
        if "Not enough trees" in str(error):
            remedy = f"; it has {about.trees}: set fewer, options={{'members': True, 'virtual_ensembles': 2}}"
        message = f"CatBoost: {error}{remedy}"
        raise ValueError(message) from error


def _no_distribution(about: "About") -> str:
    if about.objective == "MultiClassOneVsAll":
        return (
            "the model's objective is 'MultiClassOneVsAll', whose outputs are probabilities of each class against the "
            "others, without the sum 1; output_transform=lambda outputs: outputs / outputs.sum(axis=1, keepdims=True) "
            "makes shares of them"
        )
    if about.objective in SEVERAL_LABELS:
        return (
            f"the model's objective is {about.objective!r}, with several labels that are no classes of one "
            "distribution; take one of them in a run of its own, output_transform=lambda outputs: "
            "np.stack([1 - outputs[:, 0], outputs[:, 0]], axis=1)"
        )
    return (
        f"the model's objective is {about.objective!r}, and it has no classes; if its raw values are logits, "
        "options={'scores': 'raw'} takes their softmax, of a single one the sigmoid; or make rows of its outputs in "
        "output_transform"
    )
