"""``first-order entropy FILE``: the samples that a model is least sure of."""

from pathlib import Path

import click
import numpy as np

from probly.data_generator.distributions import row_blocks
from probly.data_generator.formats.choosing import load

NUMBERS_AT_ONCE = 2**20


@click.command("entropy")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--count", default=5, show_default=True, type=click.IntRange(1), help="How many samples.")
def entropy(file, count):
    """Print the samples of FILE, a store or a file of distributions, with the largest entropies (in nats)."""
    distributions, _ = load(file)
    entropies = np.zeros(len(distributions))
    for part, rows in row_blocks(distributions, NUMBERS_AT_ONCE):  # block by block, as a store is read
        exact = rows.astype(np.float64)
        entropies[part] = -(exact * np.log(np.where(exact > 0, exact, 1))).sum(axis=1)
    names = distributions.class_names or range(distributions.num_classes)
    for place in np.argsort(-entropies, kind="stable")[:count]:
        index = distributions.indices[place]
        best = names[int(distributions[index].argmax())]
        click.echo(f"index {index}: {entropies[place]:.4f} nats, most likely {best}")
