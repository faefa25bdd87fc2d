"""What the scores of the page are called, and their formulas with sources."""
# ruff: noqa: RUF001  # a page has real minus signs and dashes

from probly_data_generator_report.markup import Html, element

NLL = "mean of −log p(y); a probability of 0 counts as the smallest normal float32"
RELIABILITY = (
    "accuracy against confidence, the largest entry, in bins of equal width: the m-th of M is ((m − 1)/M, m/M]"
)
ECE = "Σ over these bins of (samples in the bin / all samples) · |accuracy − mean confidence|"
SCORES = {
    "accuracy": ("accuracy", "share of rows whose largest entry is the label's"),
    "negative_log_likelihood": ("negative log-likelihood", "mean of −log p(label), nats; 0 is best"),
    "brier_score": ("Brier score", "squared distance to the label, 0 (best) to 2"),
    "expected_calibration_error": ("expected calibration error", "mean |accuracy − confidence| over bins; 0 is best"),
    "mean_entropy": ("mean entropy", "nats; 0 is sure"),
    "mean_confidence": ("mean confidence", "largest probability of a row"),
}
"""The name of each score, and what to know about it at a glance."""
# name, formula for a row p with the label y, address and name of the source
FORMULAS = (
    ("entropy", "−Σ p log p, natural logarithm", "10.1002/j.1538-7305.1948.tb01338.x", "Shannon 1948"),
    ("negative log-likelihood", NLL, "10.1198/016214506000001437", "Gneiting and Raftery 2007"),
    ("Brier score", "mean of Σ (p − onehot(y))²", "10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2", "Brier 1950"),
    ("reliability diagram", RELIABILITY, "10.48550/arXiv.1706.04599", "Guo et al. 2017"),
    ("expected calibration error", ECE, "10.1609/aaai.v29i1.9602", "Naeini et al. 2015"),
)
COMPARED = (
    ("total variation", "Σ |p − q| / 2", "10.1090/mbk/107", "Levin and Peres 2017, proposition 4.2"),
    ("KL divergence", "Σ p log(p / q), natural logarithm", "10.1214/aoms/1177729694", "Kullback and Leibler 1951"),
)


MEMBERS = (
    (
        "mutual information",
        "entropy of the members' mean − mean of their entropies, natural logarithm",
        "10.48550/arXiv.1112.5745",
        "Houlsby et al. 2011",
    ),
)


def sources_section(*, compared: bool, members: bool) -> Html:
    """Return the section that says how the numbers are made, those of a comparison and of members if there are any."""
    items = [
        element(
            "li",
            element("b", name),
            f": {formula} (",
            element("a", source, href=f"https://doi.org/{doi}", rel="noreferrer"),
            ").",
        )
        for name, formula, doi, source in (*FORMULAS, *(MEMBERS if members else ()), *(COMPARED if compared else ()))
    ]
    return element(
        "footer",
        element("h2", "How the numbers are made"),
        element("ul", *items),
        element("p", "All numbers are in this file as JSON, in the element with the id “numbers”."),
    )
