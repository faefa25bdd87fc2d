"""What the columns are called, and what the labels of each are: by the model, the dataset, or the user."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from probly.data_generator.label_values import class_name, class_name_list
from probly.data_generator.labels import are_numbers, position_names

LAYERS = 8
"""How many datasets or loaders around a dataset are looked through."""


class Columns(NamedTuple):
    """What is known of the columns.

    Attributes:
        names: The name of each, or None.
        classes: What the labels of each are, where the model, or the user by numbers, says so; see
            ``labels.class_columns``.
    """

    names: list[str] | None
    classes: list[Any] | None


def known_columns(
    num_classes: int,
    *,
    user: Sequence[Any] | None,
    model: Sequence[Any] | None,
    classes: Sequence[Any] | None,
    dataset: Sequence[str] | None,
) -> Columns:
    """Return what the columns are called; of several who say so, all have to say the same.

    A model whose classes are numbers has no names for them, so the user or the dataset may give some.

    Args:
        num_classes: The number of columns.
        user: The names that the user gave.
        model: The names that the model has.
        classes: The values behind them, where its labels are these values.
        dataset: The names that the dataset's labels count.

    Raises:
        ValueError: There is not one name per column, or two of them contradict each other.

    Examples:
        >>> known_columns(2, user=None, model=["3", "7"], classes=[3, 7], dataset=None)
        Columns(names=['3', '7'], classes=[3, 7])
        >>> known_columns(2, user=["no", "yes"], model=None, classes=None, dataset=None)
        Columns(names=['no', 'yes'], classes=None)
    """
    if num_classes == 0:
        return Columns(None, None)
    given = None if user is None else class_name_list(user, num_classes)
    own = None if model is None else [class_name(name) for name in model]
    if own is not None and len(own) != num_classes:
        if given is None:
            message = (
                f"class_names: the model names {len(own)} classes, but returns {num_classes} columns; set class_names "
                "to the names of these"
            )
            raise ValueError(message)
        own = None  # those of an earlier head
    # Numbers may be given names, but not each other's.
    as_named = given is not None and own is not None and (_are_names(own, classes) or sorted(given) == sorted(own))
    if given is not None and own is not None and given != own and as_named:
        _contradict(("the model", own), ("the user", given), "leave class_names out, or give the model's")
    values = list(user or ()) if are_numbers(user) else None if classes is None else list(classes)
    if values is not None and (len(values) != num_classes or values == list(range(num_classes))):
        values = None  # positions
    names = given or own
    if dataset is None or (values is not None and are_numbers(values)):
        return Columns(names, values)
    strong = names is not None and (given is not None or _are_names(names, classes))
    if not strong and len(dataset) == num_classes:
        return Columns([str(name) for name in dataset], values)
    if strong and list(dataset) != names:
        who = "the user" if given is not None else "the model"
        _contradict(
            (who, names or []),
            ("the dataset", [str(name) for name in dataset]),
            "the dataset's labels count its own classes: give it the same order, or leave them out with "
            "label_getter=lambda sample: None",
        )
    return Columns(names, values)


def same_names(what: str, of_models: Sequence[Any]) -> Any:
    """Return what the models of a run say of their columns; those that say nothing follow the others.

    Raises:
        ValueError: Two of them contradict each other.

    Examples:
        >>> same_names("class_names", [None, ["cat", "dog"]])
        ['cat', 'dog']
    """
    said = [(number, list(names)) for number, names in enumerate(of_models) if names is not None]
    for number, names in said[1:]:
        if names != said[0][1]:
            message = (
                f"{what}: model {said[0][0]} has the columns {said[0][1][:5]}, but model {number} has {names[:5]}; a "
                "mean over them would mix classes: pass models with the same columns in the same order"
            )
            raise ValueError(message)
    return said[0][1] if said else None


def _contradict(first: tuple[str, list[str]], second: tuple[str, list[str]], remedy: str) -> None:
    (who, names), (other, others) = first, second
    place = next((at for at, pair in enumerate(zip(names, others, strict=False)) if pair[0] != pair[1]), None)
    if place is None:
        message = f"class_names: {who} names {len(names)} classes, {other} names {len(others)}; {remedy}"
    else:
        message = (
            f"class_names: column {place} is {names[place]!r} to {who}, but class {place} is {others[place]!r} to "
            f"{other}; {remedy}"
        )
    raise ValueError(message)


def _are_names(names: Sequence[str], classes: Sequence[Any] | None) -> bool:
    """Return whether a model's classes have names, and not only numbers, truth values or places."""
    if classes is not None and all(isinstance(one, bool | int | float) for one in classes):
        return False
    return list(names) != position_names(names) and not all(name.startswith("LABEL_") for name in names)


def dataset_class_names(dataset: Any) -> list[str] | None:
    """Return the names of the classes that a dataset's labels count: its ``classes``, or those of a ``ClassLabel``.

    Loaders and subsets are looked through to the dataset that has them.

    Examples:
        >>> from types import SimpleNamespace
        >>> dataset_class_names(SimpleNamespace(dataset=SimpleNamespace(classes=["cat", "dog"])))
        ['cat', 'dog']
        >>> dataset_class_names([1, 2]) is None
        True
    """
    for _ in range(LAYERS):
        names = _own_names(dataset)
        inner = None if names else attribute(dataset, "dataset")
        if inner is None:
            return names
        dataset = inner
    return None


def _own_names(dataset: Any) -> list[str] | None:
    features = attribute(dataset, "features")
    if isinstance(features, Mapping):
        kinds = [features[name] for name in ("label", "labels") if name in features]
        found = [list(kind.names) for kind in kinds if type(kind).__name__ == "ClassLabel" and kind.names]
        return found[0] if len(found) == 1 else None
    classes = attribute(dataset, "classes")
    if isinstance(classes, list | tuple) and classes and all(isinstance(name, str) for name in classes):
        return [class_name(name) for name in classes]
    return None


def attribute(value: Any, name: str) -> Any:
    """Return an attribute of a dataset, or None."""
    try:
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001  # a property of the user's own, which the run itself does not need
        return None
