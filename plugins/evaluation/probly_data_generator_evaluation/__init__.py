"""What first-order data is for: decompositions, credal sets, human votes, calibration, rankings.

Needs SciPy, which the extra ``evaluation`` brings. Everything is read block by block and computed in
float64, so a million rows of a thousand classes need no more memory than a few.
"""

from probly_data_generator_evaluation.calibration import (
    Calibration,
    TemperatureFit,
    calibrate,
    fit_temperature,
    rescale,
)
from probly_data_generator_evaluation.calibration_errors import CalibrationErrors, calibration_errors
from probly_data_generator_evaluation.coverage import (
    ConditionalCoverage,
    Coverage,
    FewVotesWarning,
    conditional_coverage,
    coverage,
)
from probly_data_generator_evaluation.credal_sets import Balls, ConvexHulls, CredalSets, ProbabilityIntervals
from probly_data_generator_evaluation.decompose import Decomposition, decompose
from probly_data_generator_evaluation.host_library import to_probly
from probly_data_generator_evaluation.human_comparison import HumanComparison, compare_to_humans
from probly_data_generator_evaluation.human_votes import HumanVotes
from probly_data_generator_evaluation.merging import merge
from probly_data_generator_evaluation.ranking import Ranking, rank
from probly_data_generator_evaluation.sampling import sample_labels
from probly_data_generator_evaluation.vote_files import read_chaos_nli, read_csv, read_dcic

__all__ = [
    "Balls",
    "Calibration",
    "CalibrationErrors",
    "ConditionalCoverage",
    "ConvexHulls",
    "Coverage",
    "CredalSets",
    "Decomposition",
    "FewVotesWarning",
    "HumanComparison",
    "HumanVotes",
    "ProbabilityIntervals",
    "Ranking",
    "TemperatureFit",
    "calibrate",
    "calibration_errors",
    "compare_to_humans",
    "conditional_coverage",
    "coverage",
    "decompose",
    "fit_temperature",
    "merge",
    "rank",
    "read_chaos_nli",
    "read_csv",
    "read_dcic",
    "rescale",
    "sample_labels",
    "to_probly",
]
