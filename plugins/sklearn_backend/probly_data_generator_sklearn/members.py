"""The members of an ensemble as samples of the class distribution."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.errors import InvalidOutputError
from probly.data_generator.label_values import plain_classes
from probly.data_generator.rows import find_bad_row


def member_distributions(estimator: Any, inputs: Any) -> npt.NDArray[np.float32]:
    """Return the class distribution of every member of an ensemble for every input.

    The members are taken where the ensemble averages their distributions: ``RandomForestClassifier``,
    ``ExtraTreesClassifier``, ``BaggingClassifier``, ``VotingClassifier`` and ``CalibratedClassifierCV``, also as the
    last step of a pipeline or the best estimator of a search. Their mean (for a vote its mean with the weights) is
    what the ensemble's ``predict_proba`` returns.

    Args:
        estimator: A fitted one.
        inputs: What its ``predict_proba`` takes, ``N`` rows.

    Returns:
        Shape ``(N, members, classes)``; the columns are the classes in the order of the ensemble's ``classes_``. A
        class that a member has not seen has probability 0.

    Raises:
        ValueError: The estimator is no such ensemble, or a member has no ``predict_proba``.
        InvalidOutputError: A member's row is no distribution.

    Examples:
        >>> from sklearn.ensemble import RandomForestClassifier
        >>> forest = RandomForestClassifier(5, random_state=0).fit([[0.0], [1.0], [2.0]], ["a", "b", "b"])
        >>> member_distributions(forest, [[0.0], [2.0]]).shape
        (2, 5, 2)
    """
    ensemble, before = _last(estimator)
    _check_averages(ensemble)
    for steps in before:
        inputs = steps.transform(inputs)
    classes = len(plain_classes(ensemble.classes_) or [])
    distributions: list[npt.NDArray[np.float32]] = []
    for number, (member, part, columns) in enumerate(_members(ensemble, inputs)):
        scores = np.asarray(member.predict_proba(part))
        rows = np.zeros((len(scores), classes), np.float32)
        rows[:, columns] = scores
        bad = find_bad_row(rows)
        if bad:
            message = f"member {number} of the ensemble, row {bad.position}: no distribution, {bad.reason}"
            raise InvalidOutputError(message)
        distributions.append(rows)
    return np.stack(distributions, axis=1)


def check_members(estimator: Any) -> None:
    """Refuse an estimator whose ``predict_proba`` is not the plain mean of what its members say.

    Raises:
        ValueError: It is no such ensemble, a member has no ``predict_proba``, or its votes have weights.
    """
    ensemble, _ = _last(estimator)
    _check_averages(ensemble)
    weights = getattr(ensemble, "weights", None)
    if weights is not None and len(set(weights)) > 1:
        message = (
            f"the votes of {type(ensemble).__name__} have the weights {list(weights)}, but a row is the plain mean of "
            "its members; fit it with weights=None, or leave the option members out"
        )
        raise ValueError(message)


def _last(estimator: Any) -> tuple[Any, list[Any]]:
    """Return the estimator at the end of searches and pipelines, and what transforms the inputs before it."""
    before = []
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif hasattr(estimator, "steps"):
            before += [estimator[:-1]] if len(estimator.steps) > 1 else []
            estimator = estimator[-1]
        else:
            return estimator, before


def _check_averages(ensemble: Any) -> None:
    from sklearn import ensemble as kinds
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.utils.validation import check_is_fitted

    forests = (kinds.RandomForestClassifier, kinds.ExtraTreesClassifier)
    averages = (*forests, kinds.BaggingClassifier, kinds.VotingClassifier, CalibratedClassifierCV)
    if not isinstance(ensemble, averages):
        names = ", ".join(kind.__name__ for kind in averages)
        message = f"expected an ensemble that averages its members ({names}), got {type(ensemble).__name__}"
        raise ValueError(message)  # noqa: TRY004  # an option asks for members, and this model has none
    check_is_fitted(ensemble)
    if plain_classes(ensemble.classes_) is None:
        message = f"{type(ensemble).__name__} has several outputs; expected one"
        raise ValueError(message)
    for number, member in enumerate(_estimators(ensemble)):
        if not hasattr(member, "predict_proba"):
            message = f"member {number} of the ensemble, {type(member).__name__}, has no predict_proba"
            raise ValueError(message)


def _estimators(ensemble: Any) -> Any:
    return getattr(ensemble, "calibrated_classifiers_", None) or ensemble.estimators_


def _members(ensemble: Any, inputs: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield each member with its inputs and the columns of its classes in the ensemble's."""
    if hasattr(ensemble, "calibrated_classifiers_"):
        yield from ((member, inputs, slice(None)) for member in ensemble.calibrated_classifiers_)
    elif hasattr(ensemble, "voting"):
        yield from ((member, inputs, member.classes_) for member in ensemble.estimators_)
    else:
        yield from _of_arrays(ensemble, inputs)


def _of_arrays(ensemble: Any, inputs: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield the members that were fitted with arrays without names, and on labels that are positions in classes_."""
    from sklearn.utils.validation import validate_data

    array = validate_data(ensemble, inputs, reset=False, accept_sparse="csr", dtype=None, ensure_all_finite=False)
    features = getattr(ensemble, "estimators_features_", [None] * len(ensemble.estimators_))
    for member, chosen in zip(ensemble.estimators_, features, strict=True):
        # A base classifier's labels are positions; a tree stores them as floats.
        yield member, array if chosen is None else array[:, chosen], np.asarray(member.classes_).astype(np.intp)
