"""The demo's picture: the digits that the model is least sure of, beside what it thinks of them."""

import matplotlib as mpl
import numpy as np

mpl.use("agg")
from matplotlib import pyplot as plt  # the backend without a screen must be chosen first

TRUE, OTHER = "#1b7837", "#9970ab"


def entropies(rows):
    """Return -sum p log p of each row, in nats."""
    return -(rows * np.log(np.maximum(rows, 1e-30))).sum(axis=1)


def draw(distributions, images, path, count=5):
    """Draw the least certain digits with their distributions, and all entropies; return the path."""
    rows, labels = distributions.probabilities, distributions.labels
    uncertainty = entropies(rows)
    figure, axes = plt.subplots(2, count + 1, figsize=(2.1 * (count + 1), 3.6), height_ratios=(1, 1.1))
    for column, position in enumerate(np.argsort(uncertainty)[::-1][:count]):
        index = int(distributions.indices[position])
        image, bars = axes[:, column]
        image.imshow(images[index], cmap="gray_r")
        image.set_title(f"digit {labels[position]} (index {index})", fontsize=9)
        image.set_axis_off()
        colors = [TRUE if digit == labels[position] else OTHER for digit in range(rows.shape[1])]
        bars.bar(range(rows.shape[1]), rows[position], color=colors)
        bars.set_ylim(0, 1)
        bars.set_xticks(range(rows.shape[1]))
        bars.tick_params(labelsize=7)
        bars.set_xlabel("class", fontsize=8)
    axes[1, 0].set_ylabel("p(class | image)", fontsize=8)
    top, bottom = axes[:, count]
    top.hist(uncertainty, bins=30, color=OTHER)
    top.set_yscale("log")
    top.set_title("entropy (nats)", fontsize=9)
    bottom.hist(rows.max(axis=1), bins=30, color=OTHER)
    bottom.set_yscale("log")
    bottom.set_xlabel("confidence", fontsize=8)
    for axis in (top, bottom):
        axis.tick_params(labelsize=7)
        axis.set_ylabel("digits", fontsize=8)
    figure.suptitle(
        f"First-order data of {len(rows)} held-out digits: the five least certain (green: the true class)", fontsize=11
    )
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path
