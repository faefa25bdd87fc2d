"""File formats: their contract, choosing one by suffix, and JSON."""
