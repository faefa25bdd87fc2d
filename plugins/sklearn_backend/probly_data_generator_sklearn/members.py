"""The members of an ensemble as samples of the class distribution."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.errors import InvalidOutputError
from probly.data_generator.rows import find_bad_row
from probly_data_generator_sklearn.models import class_names


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
        TypeError: The estimator is no such ensemble, or a member has no ``predict_proba``.
        InvalidOutputError: A member's row is no distribution.

    Examples:
        >>> from sklearn.ensemble import RandomForestClassifier
        >>> forest = RandomForestClassifier(5, random_state=0).fit([[0.0], [1.0], [2.0]], ["a", "b", "b"])
        >>> member_distributions(forest, [[0.0], [2.0]]).shape
        (2, 5, 2)
    """
    ensemble, inputs = _last(estimator, inputs)
    parts = list(_members(ensemble, inputs))
    classes = len(class_names(ensemble) or [])
    distributions: list[npt.NDArray[np.float32]] = []
    for number, (member, part, columns) in enumerate(parts):
        if not hasattr(member, "predict_proba"):
            message = f"member {number} of the ensemble, {type(member).__name__}, has no predict_proba"
            raise TypeError(message)
        scores = np.asarray(member.predict_proba(part))
        rows = np.zeros((len(scores), classes), np.float32)
        rows[:, columns] = scores
        bad = find_bad_row(rows)
        if bad:
            message = f"member {number} of the ensemble, row {bad.position}: no distribution, {bad.reason}"
            raise InvalidOutputError(message)
        distributions.append(rows)
    return np.stack(distributions, axis=1)


def _last(estimator: Any, inputs: Any) -> tuple[Any, Any]:
    """Return the estimator at the end of searches and pipelines, and what it gets for these inputs."""
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif hasattr(estimator, "steps"):
            inputs = estimator[:-1].transform(inputs) if len(estimator.steps) > 1 else inputs
            estimator = estimator[-1]
        else:
            return estimator, inputs


def _members(ensemble: Any, inputs: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield each member with its inputs and the columns of its classes in the ensemble's."""
    from sklearn import ensemble as kinds
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.utils.validation import check_is_fitted

    forests = (kinds.RandomForestClassifier, kinds.ExtraTreesClassifier)
    averages = (*forests, kinds.BaggingClassifier, kinds.VotingClassifier, CalibratedClassifierCV)
    if not isinstance(ensemble, averages):
        names = ", ".join(kind.__name__ for kind in averages)
        message = f"expected an ensemble that averages its members ({names}), got {type(ensemble).__name__}"
        raise TypeError(message)
    check_is_fitted(ensemble)
    if class_names(ensemble) is None:
        message = f"{type(ensemble).__name__} has several outputs; expected one"
        raise TypeError(message)
    if isinstance(ensemble, CalibratedClassifierCV):
        yield from ((member, inputs, slice(None)) for member in ensemble.calibrated_classifiers_)
    elif isinstance(ensemble, kinds.VotingClassifier):
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
