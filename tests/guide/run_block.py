"""Run one block of the guide: ``python -m tests.guide.run_block 5``, in a folder that it may write to."""

import sys

from tests.guide import contexts
from tests.guide.blocks import read_blocks, with_devices


def context_of(number):
    """Return the context of a block by its number in the name."""
    (name,) = (name for name in dir(contexts) if name.startswith(f"block_{number}_"))
    return getattr(contexts, name)


def main(number):
    """Run the block as one script between the two halves of its context."""
    block = read_blocks()[number - 1]
    context = context_of(number)()
    names = {"__name__": "__main__", **next(context)}
    exec(compile(with_devices(block.source), f"guide block {number} ({block.heading})", "exec"), names)
    try:
        context.send(names)
    except StopIteration:
        print(f"block {number} ran and was checked")


if __name__ == "__main__":
    main(int(sys.argv[1]))
