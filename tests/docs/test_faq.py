"""The messages that docs/faq.md explains are those that the code has."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FAQ = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
BETWEEN = re.compile(r"\.\.\.|\d+|'[^']*'|\.\w+ ")
"""What stands for something else in each case: numbers, names, suffixes, dots."""


def sources():
    files = [path for room in ("core", "plugins") for path in (ROOT / room).rglob("*.py")]
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    return re.sub(r'"\s*\n\s*f?"', "", text)  # a text in several lines is one


def messages(text):
    """Yield the parts of the messages in the first column of each table."""
    for cell in re.findall(r"^\| (.*?) \| ", text, re.MULTILINE):
        for message in re.findall(r"`([^`]+)`", cell):
            yield from (part.strip(" :;,") for part in BETWEEN.split(message))


def unknown(text):
    code = sources()
    return [part for part in messages(text) if len(part) > 7 and part not in code]


def test_every_message_is_one():
    assert len(list(messages(FAQ))) > 15
    assert unknown(FAQ) == []


def test_another_message_would_be_noticed():
    assert unknown("| `the moon is not installed`, `nothing at all` | |") == [
        "the moon is not installed",
        "nothing at all",
    ]
