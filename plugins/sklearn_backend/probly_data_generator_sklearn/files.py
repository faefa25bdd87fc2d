"""Models in files: ``.skops`` without running code from them, pickles and types of strangers on the user's word."""

from pathlib import Path
from typing import Any

from probly.data_generator.installing import install_advice
from probly.data_generator.toolkit.trust import untrusted

PICKLES = (".pkl", ".pickle", ".joblib")


def open_file(path: Path, *, trust: bool = False) -> Any:
    """Return the object in a ``.skops`` file that holds only types that skops itself trusts, or in a trusted file.

    Args:
        path: A ``.skops`` file or a pickle.
        trust: Whether code from it may run.

    Raises:
        ValueError: It is neither, is damaged, or would run code and is not trusted.
        FileNotFoundError: There is no such file.
        ImportError: skops is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in (".skops", *PICKLES):
        message = f'expected an estimator, a .skops file or "module:attribute" as model, got {str(path)!r}'
        raise ValueError(message)
    if not path.exists():
        message = f"{path}: there is no such model file"
        raise FileNotFoundError(message)
    if suffix == ".skops":
        return _open_skops(path, trust=trust)
    if not trust:
        raise untrusted(path, "a pickle runs any code that its author put into it (a .skops file does not)")
    import joblib  # type: ignore[import-untyped]  # of scikit-learn; it reads plain pickles, too

    try:
        return joblib.load(path)
    # Whatever the objects in it raise.
    except Exception as error:
        message = f"{path}: cannot be read as a pickle: {type(error).__name__}: {error}"
        raise ValueError(message) from error


def _open_skops(path: Path, *, trust: bool) -> Any:
    try:
        from skops import io
    except ModuleNotFoundError as error:
        message = f"{path}: needs skops; {install_advice('probly-data-generator-sklearn[skops]')}"
        raise ImportError(message) from error
    try:
        unknown = io.get_untrusted_types(file=path)
        if trust or not unknown:
            return io.load(path, trusted=unknown)
    # The readers of zip, JSON and arrays raise what they happen to raise.
    except Exception as error:
        message = f"{path}: cannot be read as a skops file: {type(error).__name__}: {error}"
        raise ValueError(message) from error
    raise untrusted(path, f"it makes objects of types that skops does not trust ({', '.join(unknown)})")
