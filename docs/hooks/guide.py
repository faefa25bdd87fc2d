"""The page ``guide.md``: the multi-framework guide, with its blocks as tests/guide runs them."""

import re
import sys
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
INTRODUCTION = """# The multi-framework guide

This is the guide that the library was built to, word for word; each of its code blocks runs as a test, with nothing
changed but devices that a machine lacks. Names that a block does not define (`model`, `dataset`) are yours. Times and
advice are the guide's own: ours are in [the benchmarks](benchmarks/results.md) and [the pages of each
framework](frameworks/index.md).
"""


def on_files(files, config):
    """Add the page."""
    files.append(File.generated(config, "guide.md", content=page()))
    return files


def page():
    """Return the guide as Markdown."""
    sys.path.insert(0, str(ROOT))
    from tests.guide.blocks import FENCE, GUIDE, read_blocks

    blocks = iter(read_blocks())
    text = GUIDE.read_text(encoding="utf-8")
    text = text[text.index("Overview\n") :]
    start, end = text.index("Table of Contents"), text.index("Framework Selection\n---")
    text = FENCE.sub(lambda _: f"```python\n{next(blocks).source.strip()}\n```", text[:start] + text[end:])
    parts = re.split(r"(^```python\n.*?^```$)", text, flags=re.DOTALL | re.MULTILINE)
    return INTRODUCTION + "\n" + "".join(part if part.startswith("```") else _headings(part) for part in parts)


def _headings(text):
    text = re.sub(r"^(.+)\n-{3,}$", r"## \1", text, flags=re.MULTILINE)
    text = re.sub(r"^(.+)\n~{3,}$", r"### \1", text, flags=re.MULTILINE)
    text = re.sub(r"^---$", "", text, flags=re.MULTILINE)
    text = re.sub(r"^(\*\*.*:\*\*)\n(?=[-✓])", r"\1\n\n", text, flags=re.MULTILINE)
    return re.sub(r"^✓ ", "- ", text, flags=re.MULTILINE)
