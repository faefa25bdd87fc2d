"""Finding, loading, choosing and checking backends.

Entry points are resolved here, because pluggy's own loader stops at the first broken plugin and picks silently
between two of the same name. Listing reads metadata only; loading imports one backend and no other; checking imports
it in another process.
"""

from probly.data_generator.backends.choosing import choose_backend
from probly.data_generator.backends.contract import new_manager
from probly.data_generator.backends.diagnosis import BackendReport, check_backend
from probly.data_generator.backends.listing import (
    BackendInfo,
    explain_missing,
    find_backend,
    known_backends,
    list_backends,
    missing_message,
)
from probly.data_generator.backends.loading import Backend, load_backend
from probly.data_generator.backends.requirements import required_modules, versions

__all__ = [
    "Backend",
    "BackendInfo",
    "BackendReport",
    "check_backend",
    "choose_backend",
    "explain_missing",
    "find_backend",
    "known_backends",
    "list_backends",
    "load_backend",
    "missing_message",
    "new_manager",
    "required_modules",
    "versions",
]
