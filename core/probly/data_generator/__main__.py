"""``python -m probly.data_generator``: the command line, which is ``probly-data-generator-command-line``."""

import sys

from probly.data_generator.installing import install_advice

if __name__ == "__main__":
    try:
        from probly_data_generator_command_line import main
    except ModuleNotFoundError as error:
        if error.name != "probly_data_generator_command_line":
            raise
        sys.stderr.write(f"the command line is not installed; {install_advice('probly-data-generator[cli]')}\n")
        sys.exit(2)  # wrong usage, as everywhere on the command line
    sys.exit(main())
