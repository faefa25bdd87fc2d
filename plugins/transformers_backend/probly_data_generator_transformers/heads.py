"""Heads whose numbers are no scores of classes that exclude each other, and what to do about them."""

from typing import Any

MULTI_LABEL = (
    "says of each label whether it applies, so they do not exclude each other, and a row is no distribution over them; "
    "take one of them, which is a distribution over no and yes: output_transform=lambda outputs: "
    "torch.stack([-outputs.logits[:, 0], outputs.logits[:, 0]], 1).div(2).softmax(1)"
)
"""What is said of a head with a sigmoid per label; the softmax of -z/2 and z/2 is 1 - sigmoid(z) and sigmoid(z)."""
REGRESSION = (
    "predicts numbers, which are no scores of classes; pass a classifier, or make distributions of the numbers "
    "yourself with output_transform"
)


def problem_of(config: Any, function: Any = None) -> str | None:
    """Return what is wrong with a head, or None for one of classes.

    Args:
        config: The model's configuration, or None.
        function: What a pipeline applies to the scores, or None for what the model's configuration says.

    Examples:
        >>> from types import SimpleNamespace
        >>> problem_of(SimpleNamespace(problem_type="single_label_classification", num_labels=3)) is None
        True
        >>> problem_of(SimpleNamespace(problem_type="regression", num_labels=1)).partition(",")[0]
        "the model's head (problem_type 'regression') predicts numbers"
    """
    kind = getattr(config, "problem_type", None)
    if kind == "multi_label_classification":
        return f"the model's head (problem_type {kind!r}) {MULTI_LABEL}"
    if kind == "regression":
        return f"the model's head (problem_type {kind!r}) {REGRESSION}"
    name = str(getattr(function, "value", function))
    if name == "sigmoid" and getattr(config, "num_labels", 1) > 1:  # of one label it is what the rows are made by
        return f"the pipeline (function_to_apply {name!r}) {MULTI_LABEL}"
    return None
