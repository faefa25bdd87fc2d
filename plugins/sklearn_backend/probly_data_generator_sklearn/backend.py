"""The hooks. scikit-learn is imported inside their bodies only, so that listing backends stays free of it."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probly.data_generator.hookspecs import hookimpl
from probly.data_generator.toolkit.parts import Getter
from probly.data_generator.toolkit.recognition import class_from
from probly.data_generator.toolkit.samples import Batch

if TYPE_CHECKING:
    from probly_data_generator_sklearn.models import SklearnModel


@hookimpl
def load_model(source: Any, device: str | None, options: Mapping[str, Any]) -> "SklearnModel":
    """Accept a fitted classifier, pipeline or search, a function, a file of one, or ``"module:attribute"``."""
    from probly_data_generator_sklearn.models import load

    return load(source, device, options)


@hookimpl
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
    """Iterate over arrays, data frames, sparse matrices, texts, sequences, iterables and loaders."""
    from probly_data_generator_sklearn.data import sklearn_batches

    return sklearn_batches(dataset, batch_size, input_getter, index_getter, batched, start, stop, label_getter)


@hookimpl
def forward(model: "SklearnModel", inputs: Any, batch_size: int | None) -> Any:
    """Call the model once per batch."""
    from probly_data_generator_sklearn.forward import scores_of

    return scores_of(model, inputs, batch_size)


@hookimpl
def posterior_params(model: "SklearnModel") -> dict[str, dict[str, Any]]:
    """Pair the attributes ``*_mu`` and ``*_rho`` of an estimator, or of a pipeline's steps."""
    from probly_data_generator_sklearn.posterior import posterior_arrays

    return posterior_arrays(model.source)


@hookimpl
def recognizes(source: Any) -> Any:
    """Claim what derives from a class of scikit-learn's own, and files of skops."""
    return source.suffix.lower() == ".skops" if isinstance(source, Path) else class_from(source, "sklearn") or False


@hookimpl
def weight_digest(model: "SklearnModel") -> str:
    """Return the digest of the fitted state; that of a plain function cannot be seen."""
    from probly_data_generator_sklearn.digest import digest_of_fitted

    return digest_of_fitted(model.source)


@hookimpl
def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the host's memory did not suffice."""
    return isinstance(error, MemoryError)


@hookimpl
def available_devices() -> list[str]:
    """Return the one device that there is."""
    return ["cpu"]


@hookimpl
def choices() -> dict[str, Collection[Any]]:
    """Return the one device that there is, and what options take."""
    from probly_data_generator_sklearn.options import KNOWN

    return {"device": ("cpu",), **KNOWN}
