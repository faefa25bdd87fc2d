"""Which backends to test is said, never found out: one that is missing must fail, not vanish."""

import os

BACKENDS = os.environ.get("BACKENDS", "numpy torch jax tensorflow").split()

# The files of backends that nobody asked for.
collect_ignore = [f"test_{name}.py" for name in ("torch", "jax", "tensorflow") if name not in BACKENDS]
