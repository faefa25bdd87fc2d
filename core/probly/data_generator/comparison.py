"""The promised import path of the comparison, which is part of ``probly-data-generator-report``."""

from probly.data_generator.errors import NotInstalledError
from probly.data_generator.installing import install_advice

try:
    from probly_data_generator_report import compare, kl_divergences
except ModuleNotFoundError as error:
    if error.name != "probly_data_generator_report":
        raise
    advice = install_advice("probly-data-generator[report]")
    message = f"the comparison is part of the report, which is not installed; {advice}"
    raise NotInstalledError(message) from error

__all__ = ["compare", "kl_divergences"]
