"""docs/install.md names every extra of the core, and none that there is not."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


def named(text):
    """Return what the first column of the table of extras has in code."""
    return {
        name for cell in re.findall(r"^\| (.*?) \| ", text, re.MULTILINE) for name in re.findall(r"`([\w-]+)`", cell)
    }


def test_every_extra_is_on_the_page():
    assert named(PAGE) == set(EXTRAS)


def test_commands_ask_for_extras_that_there_are():
    asked = {name for names in re.findall(r"probly-data-generator\[([\w,-]+)\]", PAGE) for name in names.split(",")}
    assert asked
    assert asked <= set(EXTRAS)
