"""Which backends to test is said, never found out: one that is missing must fail, not vanish."""

import functools
import os

import pytest

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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep the tests of a file in one process, which then makes its fixtures once; SPREAD lets each go where it may.

    The groups of pytest-xdist 3.8 have no effect with pytest 9.2, which no longer lets it rename tests.
    """
    from xdist.scheduler import LoadScopeScheduling

    @functools.cache
    def spread(file):
        path = config.rootpath / file
        return path.is_file() and "\nSPREAD = True" in path.read_text(encoding="utf-8")

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = str(nodeid).partition("::")[0]
            return nodeid if spread(file) else file

    return ByFile(config, log)
