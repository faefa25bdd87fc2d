"""``python -m probly.data_generator``: the command line."""

import sys

from probly_data_generator_command_line import main

if __name__ == "__main__":
    sys.exit(main())
