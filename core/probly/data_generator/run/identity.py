"""What a later run must have in common with the first one to continue its store; see docs/store.md."""

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from probly.data_generator.discovery.loading import Backend
from probly.data_generator.hookspecs import HOST
from probly.data_generator.run.provenance import Loaded
from probly.data_generator.toolkit.digest import NOT_SEEN, digest, digest_files, is_seen, update_digest
from probly.data_generator.toolkit.importing import is_import_path, is_opened
from probly.data_generator.toolkit.loaders import is_loader
from probly.data_generator.toolkit.nests import Samples, columns
from probly.data_generator.toolkit.samples import announced_length, fetch
from probly.data_generator.toolkit.tables import array_of_column, column_names, column_of, is_table

WHOLE_BYTES = 256 << 20
"""Arrays up to this size are read whole; of larger ones, ``SAMPLED_ROWS`` rows."""
SAMPLED_ROWS = 4096
_CHANGED_BY_RUNS: dict[str, str] = {}
"""What the digests of live models were before the runs of this process that changed them."""
SAMPLES = 32
"""How many samples of a dataset that is no array are looked at."""
FAILING = "not read, its samples raise errors"
"""What is said of such a dataset; where the run fails, too, nothing else is to be said."""


def _bytes_of(keys: Any) -> Any:
    """Return keys that are objects, text of which little is long, as bytes that can be compared."""
    return keys if keys.dtype.kind != "O" else np.frombuffer(json.dumps(keys.tolist()).encode(), np.uint8)


def run_identity(
    loaded: Sequence[Loaded],
    dataset: Any,
    class_names: Sequence[Any] | None,
    keys: Any,
    keep: Sequence[str],
    *,
    batch_size: bool = False,
) -> dict[str, Any]:
    """Return what a later run must have in common with this one to continue its store.

    Workers and device are not part of it: they do not change what a row means. Nor is the batch size, but where passes
    draw something for each batch, or where several workers are to give the same bits.

    Args:
        loaded: The models.
        dataset: The dataset or loader.
        class_names: What the columns are called before the dataset has been asked.
        keys: What the store keeps beside its rows, or None.
        keep: What it keeps beyond that.
        batch_size: Whether the batch size is part of it in any case.
    """
    first, request = loaded[0], loaded[0].request
    labels, draws = request.label_getter, any(one.request.passes is not None for one in loaded)
    further = [_model_identity(one) for one in loaded[1:]]
    return {
        **_model_identity(first),
        **({"models": further} if further else {}),
        "dataset": describe_dataset(dataset, first.backend),
        "class_names": None if class_names is None else [str(name) for name in class_names],
        "input_getter": describe_function(request.input_getter),
        **({} if labels is None else {"label_getter": describe_function(labels)}),
        **({"batch_size": batch_size_of(dataset, request.batch_size)} if draws or batch_size else {}),
        **({"keep": sorted(keep)} if keep else {}),
        "keys": None if keys is None else f"{len(keys)} {digest([('', _bytes_of(keys))])}",
    }


def batch_size_of(dataset: Any, batch_size: int) -> int | None:
    """Return how many rows a full batch has: a loader keeps its own, which it may not tell."""
    return getattr(dataset, "batch_size", None) if is_loader(dataset) else batch_size


def _model_identity(loaded: Loaded) -> dict[str, Any]:
    request, passes = loaded.request, loaded.request.passes
    found = model_digest(loaded.backend, loaded.model)
    drawn = {} if passes is None else {"count": passes.count, "seed": passes.seed}
    return {
        "model": {
            "name": request.model_name,
            "type": describe_model(loaded.source),
            "file": digest_of_source(loaded.source) if NOT_SEEN in found else None,
            "digest": found,
        },
        **request.options_of(loaded.model),
        "output_mode": request.output_mode,
        "output_transform": describe_function(request.output_transform),
        **({"passes": {**drawn, "augment": describe_function(passes.augment)}} if passes is not None else {}),
        **({"members": True} if request.members else {}),
    }


def model_digest(backend: Backend, model: Any) -> str:
    """Return what tells everything that a model computes with from that of another one; ``"not seen"`` if nothing does.

    A model that its own runs have changed in this process, such as one that counts its calls, is what it was before.
    """
    found = backend.hook.weight_digest(model=model) if backend.has("weight_digest") else None
    return _CHANGED_BY_RUNS.get(found, found) if found else NOT_SEEN


def remember_models(loaded: Sequence[Loaded], identity: Mapping[str, Any]) -> None:
    """Take models after a run for the same as before it; else the same call would refuse its own store.

    Args:
        loaded: The models; one that is opened from a file is opened anew.
        identity: What ``run_identity`` returned before the run.
    """
    for one, known in zip(loaded, [identity, *identity.get("models", ())], strict=True):
        before = known["model"]["digest"]
        if not is_seen(before) or is_opened(one.source):
            continue
        after = model_digest(one.backend, one.model)
        if after != before:
            _CHANGED_BY_RUNS[after] = before


def digest_of_source(source: Any) -> str | None:
    """Return the digest of a model's file, or of all files of its folder; None for a live model."""
    path = source[-1] if isinstance(source, tuple) and source else source  # a builder and its weight file
    if not isinstance(path, str | PathLike) or (isinstance(path, str) and is_import_path(path)):
        return None
    return digest_files(Path(path)) if Path(path).exists() else None


def not_seen(identity: Mapping[str, Any]) -> list[str]:
    """Return which of ``"model"`` and ``"dataset"`` nothing tells from others, but a name, a type and a length.

    Examples:
        >>> model = {"name": None, "type": "<lambda>", "file": None, "digest": "not seen"}
        >>> not_seen({"model": model, "dataset": {"type": "arrays", "content": "float32[3] sha256:00"}})
        ['model']
    """
    models = [identity["model"], *(further["model"] for further in identity.get("models", ()))]
    found = [] if all(model["file"] or is_seen(model["digest"]) for model in models) else ["model"]
    # The content of arrays is one text, or a nest of them.
    return found if "sha256:" in str(identity["dataset"]) else [*found, "dataset"]


def fails_itself(part: str, identity: Mapping[str, Any]) -> bool:
    """Return whether a part was not seen because reading it failed, which is for the run to report."""
    return part == "dataset" and identity["dataset"].get("content") == FAILING


def warn_not_seen(where: Any, parts: Sequence[str], *, probe: bool) -> None:
    """Say once per run what guards a store where its model or its data cannot be seen."""
    remedies = {
        "model": "what the model learned cannot be seen: set model_name to something that changes with it, or pass the "
        "model itself",
        "dataset": "the samples of the dataset cannot be seen, or differ each time: pass a dataset with len() and "
        "[index] where there is one",
    }
    for part in parts:
        guard = (
            "only the probe, which computes one batch again before the store is continued, will notice another"
            if probe
            else "with probe=False nothing will notice another"
        )
        warnings.warn(f"{where}: {remedies[part]}; {guard} {part}", stacklevel=4)


def describe_dataset(dataset: Any, backend: Backend) -> dict[str, Any]:
    """Return what tells a dataset from another one, without using up an iterator."""
    if is_loader(dataset):
        return describe_dataset(dataset.dataset, backend)

    def read(array: Any) -> Any:
        return array if isinstance(array, np.ndarray) else backend.hook.to_device(data=array, device=HOST)

    arrays = columns(dataset)
    if arrays is not None:
        return {"type": "arrays", "content": _describe_arrays(arrays, read)}
    described = {
        "type": type(dataset).__qualname__,
        "length": announced_length(dataset),
        "content": _describe_samples(dataset),
    }
    own = backend.hook.data_digest(dataset=dataset) if backend.has("data_digest") else None
    return {**described, "data": own} if own else described


def _describe_arrays(arrays: Any, read: Callable[[Any], Any]) -> Any:
    if is_table(arrays) or hasattr(arrays, "tocsr"):
        arrays = _parts_of_table(arrays) if is_table(arrays) else _parts_of_sparse(arrays)
    if isinstance(arrays, Mapping):
        return {str(name): _describe_arrays(part, read) for name, part in arrays.items()}
    if isinstance(arrays, Samples):  # texts, or lists of other lengths
        whole = hashlib.sha256()
        for sample in arrays:
            update_digest(whole, sample, {})
        return f"{len(arrays)} sha256:{whole.hexdigest()}"
    if isinstance(arrays, list | tuple):
        return {str(number): _describe_arrays(part, read) for number, part in enumerate(arrays)}
    described = f"{arrays.dtype}{list(arrays.shape)}"
    try:
        rows = arrays
        if len(arrays) and np.prod(arrays.shape) * np.asarray(read(arrays[:1])).itemsize > WHOLE_BYTES:
            described += f" sample of {SAMPLED_ROWS}"
            rows = np.stack([np.asarray(read(arrays[int(row)])) for row in _evenly(len(arrays), SAMPLED_ROWS)])
        return f"{described} {digest([('', _without_objects(np.asarray(read(rows))))])}"
    except Exception:  # noqa: BLE001  # arrays on a device, or of a dtype that NumPy does not have
        return f"{described} not read"


def _parts_of_table(table: Any) -> Any:
    """Return the columns of a data frame by name and position, or the values of a series."""
    if len(table.shape) == 1:
        return np.asarray(table)
    names = enumerate(column_names(table))
    return {f"{place} {name}": array_of_column(column_of(table, place)) for place, name in names}


def _parts_of_sparse(matrix: Any) -> dict[str, Any]:
    rowwise = matrix.tocsr()
    parts = {"values": rowwise.data, "columns": rowwise.indices, "ends": rowwise.indptr}
    return {"shape": np.asarray(matrix.shape), **parts}


def _without_objects(values: Any) -> Any:
    """Return an array of objects that are all texts, numbers or None as text; their bytes would be addresses."""
    simple = values.dtype == object and all(isinstance(part, str | int | float | None) for part in values.flat)
    return np.asarray([f"{type(part).__name__} {part}" for part in values.flat]) if simple else values


def _evenly(length: int, count: int) -> list[int]:
    """Return up to ``count`` positions from the first to the last."""
    return sorted({int(position) for position in np.linspace(0, length - 1, min(count, length))})


def _describe_samples(dataset: Any) -> str:
    length = announced_length(dataset)
    if length == 0:
        return f"no samples {digest(())}"
    if not length or not hasattr(dataset, "__getitem__") or isinstance(dataset, Mapping):
        return "not read"
    try:
        first, second = (_digest_samples(dataset, length) for _ in range(2))
    except Exception:  # noqa: BLE001  # the run itself will report what is wrong, with its place
        return FAILING
    return f"{SAMPLES} samples {first}" if first == second else "random"


def _digest_samples(dataset: Any, length: int) -> str:
    whole = hashlib.sha256()
    for sample in fetch(dataset, _evenly(length, SAMPLES)):
        update_digest(whole, sample, {})
    return f"sha256:{whole.hexdigest()}"


def describe_function(function: Callable[..., Any] | None) -> dict[str, Any] | None:
    """Return the qualified name of a function and, if it is a plain one, the digest of its code.

    What a closure refers to is not looked at.
    """
    if function is None:
        return None
    name = getattr(function, "__qualname__", type(function).__qualname__)
    code = getattr(function, "__code__", None)
    return {"name": name, "code": None if code is None else f"sha256:{_digest_code(code)}"}


def _digest_code(code: Any) -> str:
    whole = hashlib.sha256(code.co_code)
    whole.update(repr(code.co_names).encode())
    for constant in code.co_consts:
        whole.update(_describe_constant(constant).encode())
    return whole.hexdigest()


def _describe_constant(constant: Any) -> str:
    if hasattr(constant, "co_code"):  # a function inside the function; its repr would hold an address
        return _digest_code(constant)
    # The order of a set of strings differs between processes.
    return repr(sorted(constant, key=repr) if isinstance(constant, frozenset) else constant)


def describe_model(source: Any) -> str | None:
    """Return the qualified name of a model, or the path by which it is imported; None for a file."""
    if isinstance(source, str):
        return source if ":" in source else None
    if hasattr(source, "__fspath__") or isinstance(source, tuple):
        return None
    return str(getattr(source, "__qualname__", type(source).__qualname__))
