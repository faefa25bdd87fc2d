"""What a framework may say that it cannot do, and what its backend must answer then; nothing is skipped."""

import functools
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pytest

from probly.data_generator.testing import reference


def refuses_functions(suite: Any) -> None:
    """Check that a Python function as model is refused by name."""
    with pytest.raises((TypeError, ValueError), match="function"):
        suite.generator(lambda batch: batch)


def refuses_logits(suite: Any) -> None:
    """Check that ``output_mode="logits"`` is refused with the way out."""
    rows = np.full((4, 4), 0.25, np.float32)
    with pytest.raises(ValueError, match="probs"):
        suite.run(suite.identity(rows), rows, output_mode="logits")


def refuses_posterior(suite: Any) -> None:
    """Check that no posterior is made up."""
    with pytest.raises(ValueError, match="no Bayesian layer"):
        suite.generator(suite.mlp(reference.mlp_weights())).get_posterior_distributions()


CAPABILITIES: Final = {
    "functions": refuses_functions,
    "logits": refuses_logits,
    "posterior": refuses_posterior,
}
"""The names that ``BackendConformance.cannot`` may hold, each with what is checked instead."""


def needs(*capabilities: str) -> Callable[[Any], Any]:
    """Replace a check by the refusal of the first of these capabilities that the framework does not have."""

    def decorate(check: Any) -> Any:
        @functools.wraps(check)
        def checked(suite: Any, *args: Any, **kwargs: Any) -> None:
            missing = next((name for name in capabilities if name in suite.cannot), None)
            if missing is None:
                check(suite, *args, **kwargs)
            else:
                CAPABILITIES[missing](suite)

        return checked

    return decorate


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
