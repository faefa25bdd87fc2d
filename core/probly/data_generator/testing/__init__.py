"""The suite that every backend must pass, ours and yours; it needs pytest."""

from probly.data_generator.testing.conformance import BackendConformance

__all__ = ["BackendConformance"]
