"""Models in files that can be opened without running code from them: ``.skops``."""

from pathlib import Path
from typing import Any

PICKLES = (".pkl", ".pickle", ".joblib")


def open_file(path: Path) -> Any:
    """Return the object in a ``.skops`` file if it holds only types that skops itself trusts.

    Raises:
        ValueError: It is a pickle or no skops file, or it holds other types.
        FileNotFoundError: There is no such file.
        ImportError: skops is not installed.
    """
    if path.suffix in PICKLES:
        message = (
            f"{path}: opening a pickle runs the code in it, so it is not opened; if you trust it, load it yourself "
            "and pass the estimator, or save that with skops.io.dump and pass the .skops file"
        )
        raise ValueError(message)
    if path.suffix != ".skops":
        message = f'expected an estimator, a .skops file or "module:attribute" as model, got {str(path)!r}'
        raise ValueError(message)
    if not path.exists():
        message = f"{path}: there is no such model file"
        raise FileNotFoundError(message)
    return _open_skops(path)


def _open_skops(path: Path) -> Any:
    try:
        from skops import io
    except ModuleNotFoundError as error:
        message = f'{path}: needs skops; run: pip install "probly-data-generator-sklearn[skops]"'
        raise ImportError(message) from error
    try:
        unknown = io.get_untrusted_types(file=path)
        if not unknown:
            return io.load(path)
    # The readers of zip, JSON and arrays raise what they happen to raise.
    except Exception as error:
        message = f"{path}: cannot be read as a skops file: {type(error).__name__}: {error}"
        raise ValueError(message) from error
    message = (
        f"{path}: holds types that skops does not trust: {', '.join(unknown)}; if you do, load it yourself with "
        f"skops.io.load({str(path)!r}, trusted={unknown}) and pass the estimator"
    )
    raise ValueError(message)
