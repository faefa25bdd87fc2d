"""Which backends to test is said, never found out: one that is missing must fail, not vanish."""

import os

ALL_BACKENDS = ("numpy", "torch", "jax", "tensorflow", "onnx", "sklearn")
BACKENDS = os.environ.get("BACKENDS", " ".join(ALL_BACKENDS)).split()

# The files of backends that nobody asked for.
collect_ignore_glob = [f"test_{name}*.py" for name in ALL_BACKENDS if name not in BACKENDS]
