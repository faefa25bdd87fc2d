"""Which backends to test is said, never found out: one that is missing must fail, not vanish."""

import os

USUAL = ("numpy", "torch", "jax", "tensorflow", "onnx", "sklearn")
ALL_BACKENDS = (*USUAL, "transformers", "openvino", "litert", "xgboost", "lightgbm", "catboost")
"""Those beyond the usual ones are tested where BACKENDS names them."""
BACKENDS = os.environ.get("BACKENDS", " ".join(USUAL)).split()

TREES = ("xgboost", "lightgbm", "catboost")
WITH_WEIGHTS = [name for name in BACKENDS if name not in TREES]
"""Those whose models a test can give weights; trees are grown."""

# The folders of backends that nobody asked for.
FOLDERS = {name: {"tensorflow": "tf"}.get(name, name) for name in ALL_BACKENDS if name != "numpy"}
MISSING = {name: folder for name, folder in FOLDERS.items() if name not in BACKENDS}
collect_ignore_glob = [f"{folder}_backend/*" for folder in MISSING.values()]
collect_ignore_glob += [f"frameworks/{name}.py" for name in MISSING]
