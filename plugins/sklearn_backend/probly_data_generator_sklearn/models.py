"""From any source to a model that runs: which method gives its scores, and how its columns are called."""

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sklearn.base import BaseEstimator, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from probly.data_generator.hookspecs import HOST
from probly.data_generator.label_values import class_name, plain_classes
from probly.data_generator.toolkit.importing import import_model, is_import_path
from probly.data_generator.toolkit.options import checked_options
from probly.data_generator.toolkit.tables import declared_columns
from probly_data_generator_sklearn.files import open_file
from probly_data_generator_sklearn.members import check_members, member_distributions
from probly_data_generator_sklearn.options import DECISIONS, KNOWN, PROBABILITIES


class SklearnModel(NamedTuple):
    """What ``load_model`` returns.

    Attributes:
        call: What is called with the inputs of a batch.
        source: The estimator or function behind it.
        scores: The name of the estimator's method, or None for a function.
        class_names: The name of each column in the order of ``classes_``, if there is one.
        members: Whether ``call`` returns the distributions of an ensemble's members and not their mean.
    """

    call: Callable[[Any], Any]
    source: Any
    scores: str | None = None
    class_names: list[str] | None = None
    device: str = "cpu"
    members: bool = False

    def is_current(self) -> bool:
        """Return whether the columns are called as when they were read: an estimator may be fitted anew."""
        return self.scores is None or self.class_names == class_names(self.source)

    @property
    def classes(self) -> list[Any] | None:
        """What the labels of each column are."""
        return None if self.scores is None else plain_classes(getattr(self.source, "classes_", None))

    @property
    def options(self) -> dict[str, Any]:
        """The options that change the rows."""
        decisions = {"scores": DECISIONS} if self.scores == DECISIONS else {}
        return {**decisions, **({"members": True} if self.members else {})}

    @property
    def output_mode(self) -> str | None:
        """What the scores are, whatever their values: those of a small batch may look like the other."""
        return {PROBABILITIES: "probs", DECISIONS: "logits"}.get(self.scores or "")

    @property
    def feature_names(self) -> list[str] | None:
        """The columns of a table that the model knows by name, for the command line."""
        return declared_columns(self.source)


def _kind(source: Any) -> str:
    return type(source).__name__


def load(source: Any, device: str | None, options: Mapping[str, Any]) -> SklearnModel:
    """Return the model of any source; a live estimator is used as it is.

    Args:
        source: A fitted estimator, pipeline or search, a function of a batch, a ``.skops`` file or a
            pickle, or ``"module:attribute"``.
        device: The host's processor; there is no other.
        options: ``scores``: the method that is called, ``"predict_proba"`` or ``"decision_function"``; ``members``:
            whether the members of an ensemble are kept, of which ``predict_proba`` returns the mean; ``trust``: whether
            code from a file may run.

    Raises:
        TypeError: ``source`` is no classifier.
        ValueError: It is not fitted, or has no such scores or members; or a file would run code; or it is another
            device.
    """
    if device not in (None, "cpu", HOST):
        message = f"device {device!r} is not available to backend 'sklearn'; available: 'cpu'"
        raise ValueError(message)
    known = checked_options(options, KNOWN, "sklearn")
    if isinstance(source, str | Path):
        is_path = isinstance(source, str) and is_import_path(source)
        source = import_model(str(source)) if is_path else open_file(Path(source), trust=known["trust"])
    if inspect.isclass(source):
        message = f"expected a fitted classifier as model, got the class {source.__name__}; make one of it and fit it"
        raise TypeError(message)
    if isinstance(source, BaseEstimator) or hasattr(source, PROBABILITIES):
        return _load_estimator(source, known["scores"], members=known["members"])
    if not callable(source):
        message = f"expected a classifier with predict_proba, or a function of a batch, as model, got {_kind(source)}"
        raise TypeError(message)
    if "scores" in options:
        message = "option 'scores' chooses the method of an estimator; the model is a function"
        raise ValueError(message)
    if known["members"]:
        message = (
            "option 'members' takes the members of an ensemble of scikit-learn; the model is a function: let it return "
            "them, shape (rows, members, classes), and set members=True of the generator"
        )
        raise ValueError(message)
    return SklearnModel(source, source)


def _load_estimator(source: Any, chosen: str, *, members: bool) -> SklearnModel:
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
    method = _method(source, chosen, names)
    if not members:
        return SklearnModel(method, source, chosen, names)
    if chosen == DECISIONS:
        message = f"option 'members': the members of an ensemble are distributions, not a {DECISIONS}; leave scores out"
        raise ValueError(message)
    check_members(source)
    return SklearnModel(functools.partial(member_distributions, source), source, chosen, names, members=True)


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
        >>> import numpy as np
        >>> class_names(SimpleNamespace(classes_=np.array([3.0, 7.0])))
        ['3', '7']
    """
    classes = plain_classes(getattr(source, "classes_", None))
    return None if classes is None else [class_name(one) for one in classes]
