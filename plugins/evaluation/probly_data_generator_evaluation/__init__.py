"""What first-order data is for: decompositions, credal sets, human votes, calibration, rankings.

Needs SciPy, ``pip install "probly-data-generator[evaluation]"``. Everything is read block by block and computed in
float64, so a million rows of a thousand classes need no more memory than a few.
"""

from probly_data_generator_evaluation.credal_sets import Balls, ConvexHulls, CredalSets, ProbabilityIntervals
from probly_data_generator_evaluation.decompose import Decomposition, decompose
from probly_data_generator_evaluation.sampling import sample_labels

__all__ = [
    "Balls",
    "ConvexHulls",
    "CredalSets",
    "Decomposition",
    "ProbabilityIntervals",
    "decompose",
    "sample_labels",
]
