"""Backends that each break one promise; the conformance suite must notice every one of them."""

import importlib

from tests.testing.misbehaving import elsewhere, in_batches, in_forward
from tests.testing.misbehaving.honest import HONEST

# The backend that must fail, the name of a check in the suite, and its arguments.
BACKENDS = {**in_forward.BACKENDS, **in_batches.BACKENDS, **elsewhere.BACKENDS}

# The honest backend of checks on what the plain one does not have.
INSTEAD = {
    "loses-bfloat16": "has-bfloat16",
    "lists-anything": "lists-its-device",
    "claims-everything": "claims-its-own",
    "claims-files": "claims-its-own",
    "claims-by-name": "claims-its-own",
    "digests-the-address": "tells-weights",
    "digests-the-kind": "tells-weights",
    "digests-nothing": "tells-weights",
    "draws-from-anywhere": "draws-from-its-seed",
    "draws-nothing": "draws-from-its-seed",
    "digests-any-data": "tells-data",
    "digests-the-length": "tells-data",
    "pads": "pads-well",
    "pads-and-forgets": "pads-well",
}


def __getattr__(name):
    """Resolve the entry points, whose names are attributes of this module."""
    key = name.removeprefix("backend_").replace("_", "-")
    if not name.startswith("backend_") or key not in {**BACKENDS, **HONEST}:
        raise AttributeError(name)
    if key == "eager":
        importlib.import_module("tiny_framework")
    return HONEST[key] if key in HONEST else BACKENDS[key][0]
