"""Reading the guide: its code blocks, with what their way into reST did to them undone.

Comments became headings (the line above a row of "=" was one), and indentation deeper than one level was lost.
"""

import re
from pathlib import Path
from typing import NamedTuple

GUIDE = Path(__file__).parent / "guide.rst"
FENCE = re.compile(r"^`{4,5}python\n(.*?)^`{4,5}$", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^(?!`)(.+)\n([~-])\2{2,}$", re.MULTILINE)

# What a machine without accelerators puts in the place of devices; nothing else of a block is changed.
DEVICES = {
    "'cuda:1'": "'cpu'",
    "device='cuda'": "device='cpu'",
    "'cuda' if torch.cuda.is_available() else 'cpu'": "'cpu'",
    "torch.cuda.get_device_properties(0).total_memory": "8e9",
    "device='gpu:1'": "device='cpu:0'",
    "device='gpu'": "device='cpu'",
    "device='tpu'": "device='cpu'",
    "device='GPU:0'": "device='CPU:0'",
    "tf.distribute.cluster_resolver.TPUClusterResolver()": "None",
    "tf.config.experimental_connect_to_cluster(resolver)": "pass",
    "tf.tpu.experimental.initialize_tpu_system(resolver)": "pass",
    "tf.distribute.TPUStrategy(resolver)": "tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])",
    "tf.distribute.MirroredStrategy()": "tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])",
}


class Block(NamedTuple):
    """One code block.

    Attributes:
        number: Counted from 1.
        heading: The nearest heading above it.
        source: Python again.
    """

    number: int
    heading: str
    source: str


def read_blocks(text=None):
    """Return all blocks of the guide."""
    text = GUIDE.read_text(encoding="utf-8") if text is None else text
    fences = list(FENCE.finditer(text))
    prose = text
    for fence in fences:
        prose = prose[: fence.start()] + " " * (fence.end() - fence.start()) + prose[fence.end() :]
    headings = list(HEADING.finditer(prose))
    return [
        Block(number, next(h[1] for h in reversed(headings) if h.start() < fence.start()), restore(fence[1]))
        for number, fence in enumerate(fences, start=1)
    ]


def restore(source):
    """Return a block as Python: comments without their underline removed, lost indentation put back."""
    lines = []
    for line in source.split("\n"):
        if re.fullmatch("=+", line):
            lines.pop()
        else:
            lines.append(line)
    return "\n".join(_indented(lines))


def _indented(lines):
    opened = None
    for line, above in zip(lines, ["", *lines], strict=False):
        depth = len(line) - len(line.lstrip())
        if above.rstrip().endswith(":") and depth == len(above) - len(above.lstrip()) and line.strip():
            opened = depth
        elif not line.strip() or depth != opened:
            opened = None
        yield line if opened is None else " " + line


def with_devices(source):
    """Return a block for a machine without accelerators."""
    for given, there in DEVICES.items():
        source = source.replace(given, there)
    return source
