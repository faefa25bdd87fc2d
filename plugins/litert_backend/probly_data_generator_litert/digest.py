"""The digest of a model's bytes."""

import numpy as np

from probly.data_generator.toolkit.digest import NOT_SEEN, digest

UNSEEN = f"{NOT_SEEN}: an Interpreter made of a path does not show its model; pass the path itself"


def digest_model(content: bytes | None) -> str:
    """Return the SHA-256 of the bytes of a ``.tflite`` file; None where they are not known."""
    return UNSEEN if content is None else digest([("", np.frombuffer(content, np.uint8))])
