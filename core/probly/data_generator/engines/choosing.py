"""Engines by name, whoever provides them."""

from typing import Any

from probly.data_generator.discovery.listing import ENGINES, blaming, claims, single_claim
from probly.data_generator.errors import NotInstalledError
from probly.data_generator.installing import CORE, install_advice

OURS = ("ray",)
"""The engines that have a distribution of their own; the extra of the core is named like them."""


def find_engine(name: str) -> Any:
    """Return an engine; see ``engines.contract``.

    Raises:
        UnknownBackendError: No engine has the name.
        NotInstalledError: It is one of ours, and its distribution is not installed.
        AmbiguousBackendError: Two distributions claim the name.
        BrokenBackendError: It cannot be imported, or has no function run.

    Examples:
        >>> find_engine("processes").__name__
        'probly.data_generator.engines.processes'
    """
    installed = claims(ENGINES)
    if name not in installed and name in OURS:
        message = f"the engine {name!r} is not installed; {install_advice(f'{CORE}[{name}]')}"
        raise NotInstalledError(message)
    info = single_claim(name, installed, ("engine", "engine"), OURS)
    with blaming(info, f"engine {name!r}"):
        found = info.entry_point.load()
        if not callable(getattr(found, "run", None)):
            message = "it lacks the function run; see probly.data_generator.engines.contract"
            raise TypeError(message)
        return found
