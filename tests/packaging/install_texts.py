"""Commands that install something of ours, in pages and docstrings: `make install-texts` writes them as they work now.

What they should be follows from ``installing.RELEASED`` alone; tests/packaging/test_install_texts.py compares.
"""

import re
import sys
from pathlib import Path

from probly.data_generator import installing

ROOT = Path(__file__).parents[2]
PLACES = ("README.md", "CONTRIBUTING.md", "docs/**/*.md", "plugins/*/README.md", "examples/**/README.md",
          "core/**/*.py", "plugins/**/*.py")  # fmt: skip
COMMAND = re.compile(r"pip install ((?:(?:-[\w-]+|\"[^\"\n]+\"|[\w./<>=\[\],-]+)(?:[ ]|(?=[^ ]|$)))+)", re.MULTILINE)


def files():
    """Return all files in which a command may stand."""
    home = Path(installing.__file__).name
    found = (path for place in PLACES for path in ROOT.glob(place))
    return sorted(path for path in found if path.name != home and "__pycache__" not in path.parts)


def as_it_works(match):
    """Return a command as it works today: before the first release pip looks into the folder of wheels for ours."""
    words = match[1].replace(f"--find-links {installing.WHEELS} ", "")
    ours = installing.CORE in words and not installing.RELEASED
    return f"pip install {f'--find-links {installing.WHEELS} ' if ours else ''}{words}"


def written(text):
    """Return a text with its commands as they work today."""
    return COMMAND.sub(as_it_works, text)


def main():
    """Write what differs, and name it."""
    for path in files():
        text = path.read_text(encoding="utf-8")
        if written(text) != text:
            path.write_text(written(text), encoding="utf-8")
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    sys.exit(main())
