"""What a framework may say that it cannot do, and what its backend must answer then; nothing is skipped."""

import functools
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest


def refuses_functions(suite: Any) -> None:
    """Check that a Python function as model is refused by name."""
    with pytest.raises((TypeError, ValueError), match="function"):
        suite.generator(lambda batch: batch)


def returns_probabilities(suite: Any) -> None:
    """Check that what the models return are probabilities."""
    model, inputs, _ = suite.classifier()
    assert suite.run(model, inputs).meta["output_mode"] == "probs"


def refuses_posterior(suite: Any) -> None:
    """Check that no posterior is made up."""
    with pytest.raises(ValueError, match="no Bayesian layer"):
        suite.generator(suite.classifier().model).get_posterior_distributions()


def has_a_reference_of_its_own(suite: Any) -> None:
    """Check that ``classifier`` was overridden, and that a constant would not do for its rows."""
    _, inputs, expected = suite.classifier()
    assert len(inputs) >= 20, "classifier: expected at least 20 inputs"
    assert np.shape(expected)[0] == len(inputs), "classifier: expected a row per input"
    assert np.ptp(expected, axis=0).max() > 0.05, "classifier: expected rows that differ"


def has_the_dtypes_of_numpy(suite: Any) -> None:
    """Check that arrays are NumPy's, which has no bfloat16."""
    assert type(suite.array(np.zeros(1, np.float32))) is np.ndarray


CAPABILITIES: Final = {
    "functions": refuses_functions,
    "logits": returns_probabilities,
    "posterior": refuses_posterior,
    "weights": has_a_reference_of_its_own,
    "bfloat16": has_the_dtypes_of_numpy,
}
"""The names that ``BackendConformance.cannot`` may hold, each with what is checked instead."""


def needs(capability: str, *, unless: str = "") -> Callable[[Any], Any]:
    """Replace a check by another one where the framework does not have this capability.

    Args:
        capability: One of ``CAPABILITIES``.
        unless: A method of the suite by which a subclass may build the model in another way.
    """

    def decorate(check: Any) -> Any:
        @functools.wraps(check)
        def checked(suite: Any, *args: Any, **kwargs: Any) -> None:
            if capability in suite.cannot and not (unless and _overridden(suite, unless)):
                CAPABILITIES[capability](suite)
            else:
                check(suite, *args, **kwargs)

        return checked

    return decorate


def _overridden(suite: Any, method: str) -> bool:
    """Return whether a subclass has its own answer in place of the suite's."""
    owner = next(kind for kind in type(suite).__mro__ if method in vars(kind))
    return owner.__module__ != f"{__package__}.suite"


def check_declarations(suite: type[Any]) -> None:
    """Refuse a subclass that would switch a check off unseen.

    Raises:
        TypeError: It defines a check anew, or declares what does not exist, or a failure without a link.
    """
    where = f"{suite.__module__}.{suite.__qualname__}"
    unknown = sorted(set(suite.cannot) - set(CAPABILITIES))
    if unknown:
        message = f"{where}: cannot: expected names out of {', '.join(CAPABILITIES)}, got {', '.join(unknown)}"
        raise TypeError(message)
    definitions = Counter(name for base in suite.__mro__ for name in vars(base) if _is_check(name))
    replaced = [name for name, times in definitions.items() if times > 1]
    if replaced:
        message = f"{where}: {replaced[0]} would replace a check of the suite; declare it in expected_failures"
        raise TypeError(message)
    for name, reason in suite.expected_failures.items():
        if not (_is_check(name) and hasattr(suite, name)):
            message = f"{where}: expected_failures: there is no check called {name!r}"
            raise TypeError(message)
        if not re.search(r"https?://\S+", reason):
            message = f"{where}: expected_failures[{name!r}]: expected a reason with a link, got {reason!r}"
            raise TypeError(message)


def _is_check(name: str) -> bool:
    return name.startswith("test_")
