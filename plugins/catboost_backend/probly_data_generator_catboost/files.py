"""Models in ``.cbm`` files."""

from pathlib import Path
from typing import Any

MAGIC = b"CBM1"
"""How each of them begins."""


def open_file(path: Path) -> Any:
    """Return the model in a ``.cbm`` file; no code is run from it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no model, or damaged.
    """
    import catboost

    if not path.is_file():
        message = f"{path}: there is no such model file"
        raise FileNotFoundError(message)
    with path.open("rb") as file:
        begins = file.read(len(MAGIC)) == MAGIC
    if not begins:
        message = f"{path}: expected a model that was saved as .cbm, got a file that does not begin like one"
        raise ValueError(message)
    try:
        return catboost.CatBoost().load_model(str(path))
    except catboost.CatBoostError as error:
        message = f"{path}: cannot be read as a model, or not all of one: {error}"
        raise ValueError(message) from error
