"""What a report must say, in float64 and in the shortest NumPy, and what the tests draw."""

import numpy as np

from probly.data_generator import Distributions


def sample_rows(seed, rows, classes, sharpness=0.3):
    """Return float32 rows that sum to 1, some of them with zeros, and labels that follow them."""
    random = np.random.default_rng(seed)
    exact = random.dirichlet(np.full(classes, sharpness), rows)
    exact[exact < 1e-3] = 0
    values = (exact / exact.sum(axis=1, keepdims=True)).astype(np.float32)
    labels = np.array([random.choice(classes, p=row / row.sum()) for row in exact], np.int64)
    return values, labels


def sample_distributions(seed, rows, classes, **meta):
    values, labels = sample_rows(seed, rows, classes)
    return Distributions(values, labels=labels, meta=meta)


def expected_scores(rows, labels, bins):
    """Return the scores of a report from their definitions."""
    p = rows.astype(np.float64)
    confidence, best = p.max(axis=1), p.argmax(axis=1)
    likelihood = p[np.arange(len(p)), labels]
    onehot = np.eye(p.shape[1])[labels]
    error = 0.0
    for number in range(bins):
        inside = (confidence > np.linspace(0, 1, bins + 1)[number]) & (
            confidence <= np.linspace(0, 1, bins + 1)[number + 1]
        )
        if inside.any():
            gap = abs((best[inside] == labels[inside]).mean() - confidence[inside].mean())
            error += inside.mean() * gap
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(p > 0, p * np.log(p), 0).sum(axis=1)
    return {
        "accuracy": (best == labels).mean(),
        "negative_log_likelihood": -np.log(np.maximum(likelihood, np.finfo(np.float32).tiny)).mean(),
        "brier_score": ((p - onehot) ** 2).sum(axis=1).mean(),
        "expected_calibration_error": error,
        "mean_entropy": entropy.mean(),
        "mean_confidence": confidence.mean(),
    }


def expected_means(rows, labels):
    """Return the mean row of each label, zeros where there is none."""
    classes = rows.shape[1]
    means = np.zeros((classes, classes))
    for label in np.unique(labels):
        means[label] = rows[labels == label].astype(np.float64).mean(axis=0)
    return means
