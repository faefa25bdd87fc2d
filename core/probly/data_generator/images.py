"""The promised import path of folders of pictures, which are read by ``probly-data-generator-command-line``."""

from probly.data_generator.errors import NotInstalledError
from probly.data_generator.installing import install_advice

try:
    from probly_data_generator_command_line.images import picture_folder
except ModuleNotFoundError as error:
    if error.name not in ("probly_data_generator_command_line", "click"):
        raise
    message = f"pictures need the command line's distribution; {install_advice('probly-data-generator[images]')}"
    raise NotInstalledError(message) from error

__all__ = ["picture_folder"]
