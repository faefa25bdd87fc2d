"""``python -m probly.data_generator``: the command line."""

import sys

from probly.data_generator.cli import main

if __name__ == "__main__":
    sys.exit(main())
