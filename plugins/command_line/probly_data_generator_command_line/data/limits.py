"""How much a compressed file of ``--data`` may unpack to: a small one of a stranger can ask for all memory there is."""

import math
from pathlib import Path

from probly_data_generator_command_line.errors import InputError
from probly_data_generator_command_line.opening import bytes_text, size_on_disk

FREE = 500_000_000
EXPANSION = 100
"""What any file may unpack to in bytes, and larger ones in multiples of their size: pictures, text and sparse numbers
shrink 2- to 50-fold, zeros 1000-fold."""
GIGABYTE = 10**9


def check_unpacked(path: Path, needed: int, limit: float | None) -> None:
    """Refuse to unpack more than a limit, before any memory is taken for it.

    Args:
        path: The file, or a folder of files that belong together.
        needed: The bytes that it says it unpacks to.
        limit: The user's limit in gigabytes; None for that of all files.

    Raises:
        InputError: It is more; the message says how to raise the limit.

    Examples:
        >>> check_unpacked(Path("pyproject.toml"), 10**6, None)
        >>> check_unpacked(Path("pyproject.toml"), 10**12, 1000)
    """
    size = size_on_disk(path)
    allowed = max(FREE, EXPANSION * size) if limit is None else limit * GIGABYTE
    if needed > allowed:
        wanted = math.ceil(needed / GIGABYTE * 10) / 10
        message = (
            f"{path}: its {bytes_text(size)} unpack to {bytes_text(needed)}, more than the limit of "
            f"{bytes_text(int(allowed))}; if you expect that much of it, pass --data-limit {wanted:g}"
        )
        raise InputError(message)
