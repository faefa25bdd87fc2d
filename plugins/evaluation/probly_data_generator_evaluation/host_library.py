"""Distributions as the objects of the library ``probly``, whose functions then take ours directly."""

import importlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from probly.data_generator.distributions import Distributions
from probly.data_generator.errors import AlignmentError, NotInstalledError
from probly.data_generator.installing import install_advice

DISTRIBUTION, SAMPLE, CREDAL_SET = (
    f"probly.representation.{name}" for name in ("distribution", "sample", "credal_set")
)
QUANTIFICATION = "probly.quantification"

OF_ROWS = {
    DISTRIBUTION: ("create_categorical_distribution",),
    QUANTIFICATION: ("entropy",),
}
"""Functions of the library, by module, that want one distribution per sample: the mean where there are members."""
OF_MEMBERS = {
    CREDAL_SET: ("create_convex_credal_set", "create_distance_based_credal_set"),
    QUANTIFICATION: (
        "conditional_entropy",
        "entropy_of_expected_predictive_distribution",
        "expected_max_probability_complement",
        "max_disagreement",
        "max_probability_complement_of_expected",
        "min_expected_total_variation",
        "mutual_information",
    ),
}
"""Functions that want several distributions per sample."""
OF_EITHER = {QUANTIFICATION: ("decompose", "measure", "quantify")}
"""Functions that do with members more than with rows."""


def to_probly(distributions: Distributions) -> Any:
    """Return distributions as what the library ``probly`` calls a representation.

    Every row is float64 and sums to 1 exactly; no entry moves by more than float32 has rounded it.

    Args:
        distributions: With or without members.

    Returns:
        Where there are members, a sample of categorical distributions, ``ArraySample``, of the shape ``(samples,
        members)`` with the members as its sample axis. Otherwise the categorical distributions of the rows,
        ``ArrayCategoricalDistribution``, of the shape ``(samples,)``. Both are in the order of the indices.

    Raises:
        InvalidOutputError: A member is no distribution; the message names its index.
        NotInstalledError: The library is not installed in this environment, or is older than 0.9.1.

    Examples:
        With the library installed (the project's ``docs/host_library.md`` shows more)::

            probly.quantification.decompose(to_probly(distributions)).epistemic
    """
    return _rows(distributions) if distributions.members is None else _members(distributions)


def _rows(distributions: Distributions) -> Any:
    """Return the categorical distributions of the rows."""
    return _host(DISTRIBUTION, "create_categorical_distribution")(distributions.astype64())


def _members(distributions: Distributions) -> Any:
    """Return the sample of the members, without which a credal set would be one distribution."""
    members, indices = distributions.members, distributions.indices
    if members is None:
        message = (
            "these distributions have no members, only their mean: generate them with several models or passes; for a "
            "ball around the rows there is create_distance_based_credal_set_from_center_and_radius(distributions, "
            "radius)"
        )
        raise TypeError(message)
    return _beside_each_other([Distributions(members[:, place], indices) for place in range(members.shape[1])])


def _beside_each_other(runs: list[Distributions]) -> Any:
    """Return the sample of several runs of the same samples, each a member."""
    rows = np.empty((len(runs[0]), len(runs), runs[0].num_classes))
    for place, run in enumerate(runs):
        rows[:, place] = run.astype64()
    distribution = _host(DISTRIBUTION, "create_categorical_distribution")(rows)
    return _host(SAMPLE, "ArraySample")(distribution, sample_axis=1)


def _sample(
    given: Distributions | Iterable[Distributions],
    weights: npt.ArrayLike | None = None,
    sample_axis: Any = "auto",
) -> Any:
    """Return the sample of the members of distributions, or of several runs."""
    made = _members(given) if isinstance(given, Distributions) else _beside_each_other(_alike(given))
    moved = made if sample_axis == "auto" else made.move_sample_axis(sample_axis)
    shares = None if weights is None else np.asarray(weights)
    return type(moved)(moved.array, sample_axis=moved.sample_axis, weights=shares)


def _alike(given: Iterable[Distributions]) -> list[Distributions]:
    """Return runs, if they are of the same samples and classes."""
    runs = [Distributions.from_mapping(run) for run in given]
    names = next((run.class_names for run in runs if run.class_names is not None), None)
    for place, run in enumerate(runs):
        if not np.array_equal(run.indices, runs[0].indices):
            message = f"the distributions at place {place} are of other samples than the first: their indices differ"
            raise AlignmentError(message)
        if run.num_classes != runs[0].num_classes or run.class_names not in (None, names):
            message = f"the distributions at place {place} have other classes than those before, or in another order"
            raise AlignmentError(message)
    return runs


def _intervals(distributions: Distributions) -> Any:
    """Return probability intervals; the library's own factory refuses every sample of arrays (0.9.1)."""
    return _host(f"{CREDAL_SET}.array", "ArrayProbabilityIntervalsCredalSet").from_sample(_members(distributions))


def _balls(centres: Distributions, radius: npt.ArrayLike) -> Any:
    """Return balls around the rows; the library wants a radius for each, where one for all will do."""
    create = _host(CREDAL_SET, "create_distance_based_credal_set_from_center_and_radius")
    return create(_rows(centres), np.broadcast_to(np.asarray(radius, np.float64), len(centres)))


def _host(module: str, name: str) -> Any:
    """Return a name of the library."""
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        message = (
            f"needs {module}.{name}, which the library probly 0.9.1 has, in the same environment; "
            f"{install_advice('probly>=0.9.1')} (for Python 3.12 or later)"
        )
        raise NotInstalledError(message) from error


def _register() -> None:
    """Let the library's functions take ours, by its own registries of types."""
    create_sample = _host(SAMPLE, "create_sample")
    create_sample.register(Distributions, _sample)
    create_sample.dispatch_on = _itself_or(create_sample.dispatch_on)
    _host(CREDAL_SET, "create_probability_intervals").register(Distributions, _intervals)
    _host(CREDAL_SET, "create_distance_based_credal_set_from_center_and_radius").register(Distributions, _balls)
    for table, convert in ((OF_ROWS, _rows), (OF_MEMBERS, _members), (OF_EITHER, to_probly)):
        for module, names in table.items():
            for name in names:
                function = _host(module, name)
                function.register(Distributions, _converted(function, convert))


def _converted(function: Callable[..., Any], convert: Callable[[Distributions], Any]) -> Callable[..., Any]:
    def call(distributions: Distributions, *arguments: Any, **options: Any) -> Any:
        return function(convert(distributions), *arguments, **options)

    return call


def _itself_or(first: Callable[..., Any]) -> Callable[..., Any]:
    """Return what ``create_sample`` chooses by; by the first element, ours would be a sample of their indices."""

    def chosen(given: Any, *arguments: Any, **options: Any) -> Any:
        return given if isinstance(given, Distributions) else first(given, *arguments, **options)

    return chosen


# Where the library is in the same site-packages, it is imported before ours in any case, as their package; elsewhere
# nothing is imported here.
with suppress(NotInstalledError):
    _register()
