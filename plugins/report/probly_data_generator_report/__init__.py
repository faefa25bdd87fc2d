"""Looking at first-order data: a page of pictures and numbers, and the plots behind it for notebooks.

Needs Matplotlib, which the extra ``report`` brings and which is imported when something is drawn.
"""

from probly_data_generator_report.class_plots import plot_class_balance, plot_confusion, plot_mean_distribution
from probly_data_generator_report.comparison import compare, kl_divergences
from probly_data_generator_report.plots import plot_confidence, plot_entropy, plot_members, plot_reliability
from probly_data_generator_report.sample_plots import plot_samples
from probly_data_generator_report.simplex_plot import plot_simplex
from probly_data_generator_report.summary import Summary, summarise
from probly_data_generator_report.writing import is_report, write_report

__all__ = [
    "Summary",
    "compare",
    "is_report",
    "kl_divergences",
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
