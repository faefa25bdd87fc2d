"""What the samples of a dataset are called, where the dataset says so: the files of a folder of pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from probly.data_generator.label_values import key_array
from probly.data_generator.run.class_names import LAYERS, attribute
from probly.data_generator.toolkit.loaders import is_loader
from probly.data_generator.toolkit.samples import announced_length


def dataset_keys(dataset: Any) -> Any:
    """Return the key of each sample of a dataset, or None: its ``sample_keys``, or the files of an ``ImageFolder``.

    The files are those of ``samples`` or ``imgs``, pairs of a path and a label, relative to ``root``. Loaders, whose
    rows get the index in their dataset, and subsets are looked through.

    Args:
        dataset: A dataset or a loader.

    Returns:
        Text or integers, one per sample in dataset order.

    Examples:
        >>> class Folder(list):
        ...     root, samples = "pets", [("pets/cat/a.png", 0)]
        >>> dataset_keys(Folder(["a picture"])).tolist()
        ['cat/a.png']
    """
    for _ in range(LAYERS):
        if not is_loader(dataset):
            break
        dataset = dataset.dataset
    found = _of_samples(dataset)
    return None if found is None else key_array(found)


def _of_samples(dataset: Any, depth: int = 0) -> Sequence[Any] | None:
    indices, inner = attribute(dataset, "indices"), attribute(dataset, "dataset")
    if inner is not None and indices is not None and depth < LAYERS:
        found = _of_samples(inner, depth + 1)
        places = [] if found is None else [int(place) for place in indices]
        found = None if found is None or len(places) == 0 else [found[place] for place in places]
    else:
        found = _own(dataset)
    # Where something around the files drops or repeats some, nothing says which sample is which.
    return found if found is not None and len(found) == announced_length(dataset) else None


def _own(dataset: Any) -> Sequence[Any] | None:
    keys = attribute(dataset, "sample_keys")
    if isinstance(keys, list | tuple):
        return keys
    for name in ("samples", "imgs"):
        pairs, root = attribute(dataset, name), attribute(dataset, "root")
        if isinstance(pairs, list) and isinstance(root, str | Path) and pairs and all(map(_names_a_file, pairs)):
            return [_below(str(root), pair[0]) for pair in pairs]
    return None


def _names_a_file(pair: Any) -> bool:
    return isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)


def _below(root: str, path: str) -> str:
    place = Path(path)
    return place.relative_to(root).as_posix() if place.is_relative_to(root) else place.as_posix()
