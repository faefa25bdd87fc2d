"""The suite that every backend must pass, ours and yours; it needs pytest."""

import pytest

# Before the checks are imported, so that a failing assert shows its values, as in a test file.
for _subject in (
    "suite",
    "capabilities",
    "parity",
    "forward",
    "alignment",
    "devices",
    "state",
    "members",
    "isolation",
    "misuse",
):
    pytest.register_assert_rewrite(f"{__name__}.{_subject}")

from probly.data_generator.testing.conformance import BackendConformance  # noqa: E402
from probly.data_generator.testing.reference import Classifier  # noqa: E402

__all__ = ["BackendConformance", "Classifier"]
