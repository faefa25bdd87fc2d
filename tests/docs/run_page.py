"""Run the blocks of a page, one after the other, as one session, in the current folder.

``python tests/docs/run_page.py docs/members.md`` prints what each block printed, as JSON; with ``--write``, that is put
into the page, below the blocks that show what they print. Blocks of ``python`` and ``sh`` are run; one of ``py`` or
``bash`` is for machines that the tests do not have, such as a cluster.
"""

import contextlib
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$\n(?:\n```text\n(.*?)^```$\n)?", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """One code block, and what the page says that it prints (None: nothing is said)."""

    language: str
    source: str
    printed: str | None


def read_blocks(text):
    """Return the blocks of a page."""
    return [Block(*match.groups()) for match in BLOCK.finditer(text)]


def run(blocks, page):
    """Return what each block printed."""
    names = {"__name__": "__main__"}
    return [_shell(block) if block.language == "sh" else _python(block, page, names) for block in blocks]


def _python(block, page, names):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block.source, f"a block of {page}", "exec"), names)
    return printed.getvalue()


def _shell(block):
    return subprocess.run(
        [shutil.which("bash"), "-euc", block.source], stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def written(text, outputs):
    """Return a page with what its blocks print."""
    left = iter(outputs)

    def filled(match):
        output = next(left)
        if match[3] is None:
            return match[0]
        return f"```{match[1]}\n{match[2]}```\n\n```text\n{output}```\n"

    return BLOCK.sub(filled, text)


def main(path, *options):
    """Run a page."""
    page = Path(path)
    text = page.read_text(encoding="utf-8")
    outputs = run(read_blocks(text), page.name)
    if "--write" in options:
        page.write_text(written(text, outputs), encoding="utf-8")
    print(json.dumps(outputs))


if __name__ == "__main__":
    main(*sys.argv[1:])
