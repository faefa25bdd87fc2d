"""From a batch to the booster's scores: class probabilities, or logits where it has none."""

from typing import TYPE_CHECKING, Any

from probly_data_generator_lightgbm.inputs import matrix_of

if TYPE_CHECKING:
    from probly_data_generator_lightgbm.models import About, LightgbmModel


def scores_of(model: "LightgbmModel", inputs: Any, batch_size: int | None) -> Any:
    """Return what ``Booster.predict`` says of a batch.

    Args:
        model: The model.
        inputs: See ``inputs.matrix_of``.
        batch_size: See the hook; None says that an ``output_transform`` makes rows of the outputs.

    Returns:
        float64, shape ``(N, classes)``, or ``(N,)`` for the second of two classes; with the option ``scores``, logits.

    Raises:
        ValueError: The outputs are no distribution over classes, or the inputs are not the booster's.
    """
    if batch_size is not None and model.output_mode is None:
        raise ValueError(_no_distribution(model.about))
    scores = model.booster.predict(matrix_of(inputs, model), raw_score=model.raw)
    return scores / model.about.divisor * model.about.sigmoid if model.raw else scores


def _no_distribution(about: "About") -> str:
    if about.objective == "multiclassova":
        return (
            "the booster's objective is 'multiclassova', whose outputs are probabilities of each class against the "
            "others, without the sum 1; output_transform=lambda outputs: outputs / outputs.sum(axis=1, keepdims=True) "
            "makes shares of them"
        )
    what = "your own" if about.objective == "none" else repr(about.objective)
    return (
        f"the booster's objective is {what}, whose outputs are no class probabilities; if its raw scores are logits, "
        "options={'scores': 'raw'} takes their softmax, of a single one the sigmoid; or make rows of its outputs in "
        "output_transform"
    )
