"""The installed formats as a mapping, which is promised as ``probly.data_generator.store.FORMATS``."""

from collections.abc import Iterator, Mapping
from typing import Any

from probly.data_generator.formats.choosing import format_of, suffixes


class InstalledFormats(Mapping[str, Any]):
    """The installed formats by suffix; each is imported when it is asked for, and all are looked up anew every time.

    Examples:
        >>> InstalledFormats()[".json"].__name__
        'probly.data_generator.formats.json'
        >>> ".docx" in InstalledFormats()
        False
    """

    def __getitem__(self, suffix: str) -> Any:
        """Return the format of a suffix; see ``format_of``.

        Raises:
            KeyError: There is none.
        """
        if suffix not in suffixes():
            raise KeyError(suffix)
        return format_of(f"file{suffix}")

    def __iter__(self) -> Iterator[str]:
        """Yield the suffixes."""
        return iter(suffixes())

    def __len__(self) -> int:
        """Return how many there are."""
        return len(suffixes())
