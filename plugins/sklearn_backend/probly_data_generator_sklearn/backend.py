"""The hooks. scikit-learn is imported inside their bodies only, so that listing backends stays free of it."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from probly.data_generator.hookspecs import OutputMode, hookimpl
from probly.data_generator.toolkit.samples import Batch, Getter

if TYPE_CHECKING:
    from probly_data_generator_sklearn.models import SklearnModel

OTHER_FRAMEWORKS = frozenset({"torch", "keras", "tensorflow", "jax", "flax", "equinox"})
"""A model whose class comes from one of these belongs there, whatever else it derives from."""


@hookimpl
def load_model(source: Any, device: str | None, options: Mapping[str, Any]) -> "SklearnModel":
    """Accept a fitted classifier, pipeline or search, a function, a .skops file, or ``"module:attribute"``."""
    from probly_data_generator_sklearn.data import check_device
    from probly_data_generator_sklearn.models import load

    check_device(device)
    return load(source, options)


@hookimpl
def iterate_batches(
    dataset: Any,
    batch_size: int,
    input_getter: Getter | None,
    index_getter: Getter | None,
    batched: bool | None,
    start: int,
) -> Iterator[Batch]:
    """Iterate over arrays, data frames, sparse matrices, texts, sequences, iterables and loaders."""
    from probly_data_generator_sklearn.data import sklearn_batches

    return sklearn_batches(dataset, batch_size, input_getter, index_getter, batched, start)


@hookimpl
def to_device(data: Any, device: str) -> Any:
    """Return the nest as NumPy arrays; for ``"cpu"`` in memory of its own, data frames and sparse matrices as such."""
    from probly_data_generator_sklearn.data import moved

    return moved(data, device)


@hookimpl
def forward(model: "SklearnModel", inputs: Any, output_mode: OutputMode) -> Any:
    """Call the model once per batch."""
    return model.call(inputs) if output_mode == "raw" else model.rows(inputs, output_mode)


@hookimpl
def posterior_params(model: "SklearnModel") -> dict[str, dict[str, Any]]:
    """Pair the attributes ``*_mu`` and ``*_rho`` of an estimator, or of a pipeline's steps."""
    from probly_data_generator_sklearn.posterior import posterior_arrays

    return posterior_arrays(model.source)


@hookimpl
def recognizes(model: Any) -> bool:
    """Claim estimators: what derives from scikit-learn's BaseEstimator, but from no other framework."""
    kinds = type(model).__mro__
    roots = {kind.__module__.partition(".")[0] for kind in kinds}
    estimator = any(kind.__name__ == "BaseEstimator" and kind.__module__ == "sklearn.base" for kind in kinds)
    return estimator and not roots & OTHER_FRAMEWORKS


@hookimpl
def weight_digest(model: "SklearnModel") -> str:
    """Return the digest of the fitted state; that of a plain function cannot be seen."""
    from probly_data_generator_sklearn.fitted import digest_of_fitted

    return digest_of_fitted(model.source)


@hookimpl
def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the host's memory did not suffice."""
    return isinstance(error, MemoryError)


@hookimpl
def available_devices() -> list[str]:
    """Return the one device that there is."""
    return ["cpu"]
