"""``python -m probly.data_generator``: the command line, which is ``probly-data-generator-command-line``."""

import sys

if __name__ == "__main__":
    try:
        from probly_data_generator_command_line import main
    except ModuleNotFoundError as error:
        if error.name != "probly_data_generator_command_line":
            raise
        sys.exit('The command line is not installed; run: pip install "probly-data-generator[cli]"')
    sys.exit(main())
