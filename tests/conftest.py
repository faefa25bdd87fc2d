"""Which backends to test is said, never found out: one that is missing must fail, not vanish."""

import os

BACKENDS = os.environ.get("BACKENDS", "numpy torch jax tensorflow").split()
