"""Boosters in files, told by their first bytes: many other things are called ``.txt``, too."""

import re
from pathlib import Path
from typing import Any

BEGINNING = re.compile(rb"tree\r?\nversion=v\d+\r?\n")
HEAD = 64
"""How a stored booster begins, and how many bytes of a file are looked at for it."""
SIZES = re.compile(rb"^tree_sizes=([\d ]+)\n", re.MULTILINE)


def is_model_file(path: Path) -> bool:
    """Return whether a file is called and begins like a stored booster; nothing of it is parsed."""
    try:
        if path.suffix.lower() != ".txt" or not path.is_file():
            return False
        with path.open("rb") as file:
            return BEGINNING.match(file.read(HEAD)) is not None
    except OSError:
        return False


def open_file(path: Path) -> Any:
    """Return the booster in a ``.txt`` file; no code is run from it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no booster, or damaged.
    """
    import lightgbm

    if not path.is_file():
        message = f"{path}: there is no such model file"
        raise FileNotFoundError(message)
    if not is_model_file(path):
        message = (
            f"{path}: expected a booster that was saved as .txt, got a file that does not begin like one; save it with "
            "booster.save_model(...)"
        )
        raise ValueError(message)
    content = path.read_bytes()
    reason = "its trees are not where it says" if not is_whole(content) else ""
    try:
        if not reason:
            # Without their sizes, LightGBM reads one tree after the other and raises what is wrong with one; in
            # threads, it ends the process.
            return lightgbm.Booster(model_str=SIZES.sub(b"", content, count=1).decode())
    except (lightgbm.basic.LightGBMError, ValueError) as error:
        reason = str(error)
    message = f"{path}: cannot be read as a booster, or not all of one: {reason}; copy the file again, byte by byte"
    raise ValueError(message)


def is_whole(content: bytes) -> bool:
    """Return whether all trees of a stored booster are there, where its header says: LightGBM ends the process if not.

    Args:
        content: The bytes of a file.
    """
    start, end = content.find(b"\nTree=0\n") + 1, content.find(b"\nend of trees\n") + 1
    sizes = SIZES.search(content[: start or end])
    if not end or sizes is None:
        return False
    for number, size in enumerate(map(int, sizes[1].split())):
        tree = content[start : start + size]
        if not tree.startswith(b"Tree=%d\n" % number) or b"\nleaf_value=" not in tree:
            return False
        start += size
    return start == end
