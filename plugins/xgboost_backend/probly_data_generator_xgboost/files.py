"""Boosters in files, told by their first bytes: many other things are called ``.json``, too."""

import re
from pathlib import Path
from typing import Any

HEAD = 4096
"""How many bytes of a file are looked at."""
BEGINNING = {
    ".json": re.compile(rb'\s*\{\s*("version"\s*:\s*\[[\d,\s]*\]\s*,\s*)?"learner"\s*:\s*\{'),
    ".ubj": re.compile(rb"\{.{1,64}?learner\{", re.DOTALL),
}
"""How the files of a booster begin: a mapping with the key ``learner``."""


def is_model_file(path: Path) -> bool:
    """Return whether a file is called and begins like a stored booster; nothing of it is run or parsed."""
    beginning = BEGINNING.get(path.suffix.lower())
    try:
        if beginning is None or not path.is_file():
            return False
        with path.open("rb") as file:
            return beginning.match(file.read(HEAD)) is not None
    except OSError:
        return False


def open_file(path: Path) -> Any:
    """Return the booster in a ``.json`` or ``.ubj`` file; no code is run from it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no booster, or damaged.
    """
    import xgboost

    if not path.is_file():
        message = f"{path}: there is no such model file"
        raise FileNotFoundError(message)
    if not is_model_file(path):
        message = (
            f"{path}: expected a booster that was saved as .json or .ubj, got a file that does not begin like one; "
            "save it with booster.save_model(...), and one of an older format with the XGBoost that wrote it"
        )
        raise ValueError(message)
    booster = xgboost.Booster()
    try:
        booster.load_model(bytearray(path.read_bytes()))  # by its content: as a path, only lower case would do
    except xgboost.core.XGBoostError as error:
        message = f"{path}: cannot be read as a booster, or not all of one: {str(error).splitlines()[0]}"
        raise ValueError(message) from error
    return booster
