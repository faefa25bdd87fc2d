"""From any source to a model that runs, and from its scores to rows."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from probly.data_generator.rows import as_probabilities
from probly.data_generator.toolkit.arrays import OPERATIONS
from probly.data_generator.toolkit.importing import import_model, is_import_path
from probly.data_generator.toolkit.options import checked_options
from probly.data_generator.toolkit.outputs import describe, pick_scores
from probly_data_generator_sklearn.files import open_file

PROBABILITIES, DECISIONS = "predict_proba", "decision_function"


class SklearnModel(NamedTuple):
    """What ``load_model`` returns.

    Attributes:
        call: What is called with the inputs of a batch.
        source: The estimator or function behind it.
        scores: The name of the estimator's method, or None for a function.
        class_names: The name of each column in the order of ``classes_``, if there is one.
    """

    call: Callable[[Any], Any]
    source: Any
    scores: str | None = None
    class_names: list[str] | None = None
    device: str = "cpu"

    @property
    def options(self) -> dict[str, Any]:
        """The options that change the rows."""
        return {"scores": DECISIONS} if self.scores == DECISIONS else {}

    def rows(self, inputs: Any, output_mode: Any) -> npt.NDArray[np.float32]:
        """Return the probabilities of a batch, float32, shape ``(N, classes)``.

        Raises:
            ValueError: The method's scores are no logits, or no probabilities; or there is not one per class.
            TypeError: The model returned no array of numbers.
        """
        self._check_mode(output_mode)
        scores = _array(self.call(inputs))
        self._check_columns(scores)
        if self.class_names is not None and len(self.class_names) == 1:  # a column of ones, and no second class
            return scores.astype(np.float32)
        rows: npt.NDArray[np.float32] = as_probabilities(scores, output_mode, OPERATIONS).astype(np.float32)
        return rows

    def _check_mode(self, output_mode: str) -> None:
        if self.scores == PROBABILITIES and output_mode == "logits":
            message = (
                f"{_kind(self.source)}.predict_proba returns probabilities, not logits"
                ' (output_mode="auto" takes them for logits only if a row of the first batch is no distribution);'
                ' set output_mode="probs"'
            )
            raise ValueError(message)
        if self.scores == DECISIONS and output_mode == "probs":
            message = f'{_kind(self.source)}.decision_function returns no probabilities; set output_mode="logits"'
            raise ValueError(message)

    def _check_columns(self, scores: npt.NDArray[Any]) -> None:
        if self.class_names is None or scores.ndim != 2 or scores.shape[1] in (1, len(self.class_names)):
            return
        message = (
            f"{_kind(self.source)}.{self.scores}: expected {len(self.class_names)} columns, one per class, "
            f"got {scores.shape[1]}; "
        )
        message += 'set decision_function_shape="ovr"' if self.scores == DECISIONS else "set output_transform"
        raise ValueError(message)


def _kind(source: Any) -> str:
    return type(source).__name__


def _array(answers: Any) -> npt.NDArray[Any]:
    """Return what a model answered as one array of numbers."""
    if isinstance(answers, list) and answers and np.ndim(answers[0]) == 2:
        message = (
            f"Model must return one array; got a list of {len(answers)}, one per output of a multi-output classifier; "
            "take one of them with output_transform=lambda outputs: outputs[0], in a run of its own"
        )
        raise TypeError(message)
    scores = np.asarray(answers) if hasattr(answers, "__array__") else np.asarray(pick_scores(answers))
    if scores.dtype.kind not in "fiub":
        message = (
            f"Model must return numbers, got {describe(answers)} of {scores.dtype}; "
            "use predict_proba, not predict, or set output_transform"
        )
        raise TypeError(message)
    return scores


def load(source: Any, options: Mapping[str, Any]) -> SklearnModel:
    """Return the model of any source; a live estimator is used as it is.

    Args:
        source: A fitted estimator, pipeline or search, a function of a batch, a ``.skops`` file, or
            ``"module:attribute"``.
        options: ``scores``: the method that is called, ``"predict_proba"`` or ``"decision_function"``.

    Raises:
        TypeError: ``source`` is no classifier.
        ValueError: It is not fitted, or has no such scores; or a file would run code.
    """
    chosen = checked_options(options, {"scores": (PROBABILITIES, DECISIONS)}, "sklearn")["scores"]
    if isinstance(source, str | Path):
        is_path = isinstance(source, str) and is_import_path(source)
        source = import_model(str(source)) if is_path else open_file(Path(source))
    if inspect.isclass(source):
        message = f"expected a fitted classifier as model, got the class {source.__name__}; make one of it and fit it"
        raise TypeError(message)
    if isinstance(source, BaseEstimator) or hasattr(source, PROBABILITIES):
        return _load_estimator(source, chosen)
    if not callable(source):
        message = f"expected a classifier with predict_proba, or a function of a batch, as model, got {_kind(source)}"
        raise TypeError(message)
    if "scores" in options:
        message = "option 'scores' chooses the method of an estimator; the model is a function"
        raise ValueError(message)
    return SklearnModel(source, source)


def _load_estimator(source: Any, chosen: str) -> SklearnModel:
    if isinstance(source, BaseEstimator) and is_regressor(source):
        message = f"expected a classifier as model, got the regressor {_kind(source)}; its predictions have no classes"
        raise TypeError(message)
    if hasattr(source, "fit"):
        try:
            check_is_fitted(source)
        except NotFittedError as error:
            message = f"{_kind(source)} is not fitted; call fit on it, or pass a fitted one"
            raise NotFittedError(message) from error
    names = class_names(source)
    return SklearnModel(_method(source, chosen, names), source, chosen, names)


def _method(source: Any, chosen: str, names: list[str] | None) -> Callable[[Any], Any]:
    """Return the method that gives the scores.

    Raises:
        ValueError: There is none; the message lists the choices.
    """
    try:
        method: Callable[[Any], Any] = getattr(source, chosen)
    except AttributeError as error:
        remedy = "it has no decision_function either"
        if hasattr(source, DECISIONS):
            remedy = (
                "fit sklearn.calibration.CalibratedClassifierCV around it, or set "
                'options={"scores": "decision_function"} and output_mode="logits" for the softmax (with two classes '
                "the sigmoid) of its decision_function"
            )
        reason = error.__cause__ or error  # scikit-learn says there why a method is missing
        message = f"{_kind(source)} has no {chosen} ({reason}); {remedy if chosen == PROBABILITIES else 'leave it out'}"
        raise ValueError(message) from error
    if chosen == DECISIONS and names is None:
        message = f"{_kind(source)} has a decision_function, but no classes_; expected a classifier of one output"
        raise ValueError(message)
    return method


def class_names(source: Any) -> list[str] | None:
    """Return the name of each column of ``predict_proba``, or None where there are no classes or several outputs.

    A class that is a whole number has the same name as an int and as a float, as labels in tables often are.

    Examples:
        >>> from types import SimpleNamespace
        >>> class_names(SimpleNamespace(classes_=np.array([3.0, 7.0])))
        ['3', '7']
    """
    classes = getattr(source, "classes_", None)
    if classes is None or any(np.ndim(part) for part in classes):
        return None
    return [_class_name(label) for label in np.asarray(classes).tolist()]


def _class_name(label: Any) -> str:
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)
