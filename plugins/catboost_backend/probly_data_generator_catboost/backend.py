"""The hooks. CatBoost is imported inside their bodies only, so that listing backends stays free of it."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probly.data_generator.hookspecs import hookimpl
from probly.data_generator.toolkit.parts import Getter
from probly.data_generator.toolkit.recognition import class_from
from probly.data_generator.toolkit.samples import Batch
from probly_data_generator_catboost.options import KNOWN

if TYPE_CHECKING:
    from probly_data_generator_catboost.models import CatboostModel


@hookimpl
def load_model(source: Any, device: str | None, options: Mapping[str, Any]) -> "CatboostModel":
    """Accept a live model, the file of one, or ``"module:attribute"``."""
    from probly_data_generator_catboost.models import load

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
    """Iterate over arrays, tables, sparse matrices, sequences, iterables and loaders."""
    from probly_data_generator_catboost.data import booster_batches

    return booster_batches(dataset, batch_size, input_getter, index_getter, batched, start, stop, label_getter)


@hookimpl
def forward(model: "CatboostModel", inputs: Any, batch_size: int | None) -> Any:
    """Ask the model once per batch."""
    from probly_data_generator_catboost.forward import scores_of

    return scores_of(model, inputs, batch_size)


@hookimpl
def recognizes(source: Any) -> Any:
    """Claim models of any kind of CatBoost's, which are its own class and no estimator's, and files of them."""
    if isinstance(source, Path):
        return source.suffix.lower() == ".cbm"
    is_model = any(kind.__name__ == "CatBoost" for kind in type(source).__mro__)
    return (class_from(source, "catboost") if is_model else None) or False


@hookimpl
def weight_digest(model: "CatboostModel") -> str:
    """Return the digest of the model as CatBoost stores it."""
    return model.digest()


@hookimpl
def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the host's memory did not suffice."""
    return isinstance(error, MemoryError) or "bad_alloc" in str(error)


@hookimpl
def available_devices() -> list[str]:
    """Return the one device that CatBoost predicts on."""
    import catboost  # noqa: F401  # an installation that does not work is found out

    return ["cpu"]


@hookimpl
def choices() -> dict[str, Collection[Any]]:
    """Return the devices and the options."""
    return {"device": ("cpu",), **KNOWN}
