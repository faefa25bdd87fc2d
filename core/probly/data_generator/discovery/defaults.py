"""What the core answers in place of a backend that leaves a hook out: NumPy in and out, no Bayesian layers."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from probly.data_generator.hookspecs import DEFAULTED, HOST, hookimpl
from probly.data_generator.toolkit import arrays, batches, posterior
from probly.data_generator.toolkit.parts import Getter
from probly.data_generator.toolkit.samples import Batch


@hookimpl(trylast=True)
def iterate_batches(
    dataset: Any,
    batch_size: int,
    input_getter: Getter | None,
    index_getter: Getter | None,
    batched: bool | None,
    start: int,
    stop: int | None,
    label_getter: Getter | None,
) -> Iterator[Batch]:
    """Iterate over arrays, sequences, iterables and loaders."""
    return batches.iterate_batches(dataset, batch_size, input_getter, index_getter, batched, start, stop, label_getter)


@hookimpl(trylast=True)
def to_device(data: Any, device: str) -> Any:
    """Return the nest as NumPy arrays, whatever they are made of; for a device as copies, and tables as they are."""
    return arrays.to_host(data) if device == HOST else arrays.own_copies(data)


@hookimpl(trylast=True)
def posterior_params() -> dict[str, dict[str, Any]]:
    """Refuse: nothing is known of the model's layers."""
    return posterior.pair_mu_rho(())


def defaults_beside(found: set[str]) -> SimpleNamespace:
    """Return a plugin with the answers to the hooks that a backend does not have.

    Not to all of them: pluggy asks the next implementation where one returns None, and a hook of a backend that forgot
    its answer would be answered here.

    Args:
        found: The names of the hooks that the backend answers itself.
    """
    return SimpleNamespace(**{name: globals()[name] for name in DEFAULTED if name not in found})
