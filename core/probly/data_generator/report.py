"""The promised import path of the report, which is the distribution ``probly-data-generator-report``."""

from probly.data_generator.errors import NotInstalledError
from probly.data_generator.installing import install_advice

try:
    from probly_data_generator_report import (
        Summary,
        is_report,
        plot_class_balance,
        plot_confidence,
        plot_confusion,
        plot_entropy,
        plot_mean_distribution,
        plot_members,
        plot_reliability,
        plot_samples,
        plot_simplex,
        summarise,
        write_report,
    )
except ModuleNotFoundError as error:
    if error.name != "probly_data_generator_report":
        raise
    message = f"the report is not installed; {install_advice('probly-data-generator[report]')}"
    raise NotInstalledError(message) from error

__all__ = [
    "Summary",
    "is_report",
    "plot_class_balance",
    "plot_confidence",
    "plot_confusion",
    "plot_entropy",
    "plot_mean_distribution",
    "plot_members",
    "plot_reliability",
    "plot_samples",
    "plot_simplex",
    "summarise",
    "write_report",
]
