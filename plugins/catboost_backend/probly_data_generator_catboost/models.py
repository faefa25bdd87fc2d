"""From any source to a model that runs: what its classes and columns are, and what is asked of it."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import catboost
import numpy as np

from probly.data_generator.hookspecs import HOST
from probly.data_generator.label_values import class_name, plain_classes
from probly.data_generator.toolkit.digest import digest
from probly.data_generator.toolkit.importing import import_model, is_import_path
from probly.data_generator.toolkit.options import checked_options
from probly.data_generator.toolkit.tables import declared_columns
from probly_data_generator_catboost.files import open_file
from probly_data_generator_catboost.options import KNOWN, RAW

INDEPENDENT = ("MultiClassOneVsAll", "MultiLogloss", "MultiCrossEntropy")
"""Objectives with a probability of each class or label for itself."""
VIRTUAL_ENSEMBLES = 10
"""How many CatBoost makes where nobody says."""


class About(NamedTuple):
    """What a model says of itself.

    Attributes:
        objective: What it was trained for; None of a sum of models, which does not know.
        classes: What the labels of its classes are; empty where it has none, as in regression.
        names: The names of its columns; CatBoost counts those that had none.
        trees: The number of trees; with early stopping, CatBoost leaves out those after the best one.
    """

    objective: str | None
    classes: list[Any]
    names: list[str]
    trees: int

    @property
    def is_distribution(self) -> bool:
        """Whether its probabilities are those of one class out of several."""
        return bool(self.classes) and self.objective not in INDEPENDENT


def describe(model: Any) -> About:
    """Return what a model says of itself."""
    try:
        objective = str(model.get_all_params()["loss_function"]).partition(":")[0]
    except (catboost.CatBoostError, KeyError):
        objective = None
    return About(objective, plain_classes(model.classes_) or [], list(model.feature_names_), model.tree_count_)


@dataclass
class CatboostModel:
    """What ``load_model`` returns.

    Attributes:
        source: The live model.
        about: What it said of itself when it was loaded.
        raw: Whether its raw values are taken as logits.
        ensembles: How many virtual ensembles are its members, or 0 for none.
        device: Where it predicts.
    """

    source: Any
    about: About
    raw: bool = False
    ensembles: int = 0
    device: str = "cpu"

    def is_current(self) -> bool:
        """Return whether the model is as it was described: it may be fitted anew."""
        return describe(self.source) == self.about

    @property
    def members(self) -> bool:
        """Whether the scores have an axis of members."""
        return self.ensembles > 0

    @property
    def output_mode(self) -> str | None:
        """What the scores are, whatever their values; None where nobody knows."""
        if self.raw or (self.members and self.about.is_distribution):
            return "logits"
        return "probs" if self.about.is_distribution else None

    @property
    def classes(self) -> list[Any] | None:
        """What the labels of each column are."""
        return self.about.classes if self.about.is_distribution else None

    @property
    def class_names(self) -> list[str] | None:
        """The name of each column."""
        return None if self.classes is None else [class_name(label) for label in self.classes]

    @property
    def options(self) -> dict[str, Any]:
        """The options that change the rows."""
        members = {"members": True, "virtual_ensembles": self.ensembles} if self.members else {}
        return {**({"scores": RAW} if self.raw else {}), **members}

    @property
    def feature_names(self) -> list[str] | None:
        """The columns of a table that the model knows by name, in its order."""
        return declared_columns(self.source)

    def digest(self) -> str:
        """Return the digest of the bytes that the model is stored as, without when and how it was trained."""
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder, "model.cbm"))
            self.source.save_model(path)
            bare = catboost.CatBoost().load_model(path)
            metadata = bare.get_metadata()
            for name in list(metadata.keys()):
                del metadata[name]
            bare.save_model(path)
            stored = Path(path).read_bytes()
        said = repr((self.about.objective, self.about.classes)).encode()
        return digest([("model", np.frombuffer(stored, np.uint8)), ("said", np.frombuffer(said, np.uint8))])


def load(source: Any, device: str | None, options: Mapping[str, Any]) -> CatboostModel:
    """Return the model of any source; a live one is used as it is.

    Args:
        source: A fitted ``CatBoostClassifier`` or ``CatBoost``, the path of a ``.cbm`` file, or ``"module:attribute"``.
        device: The host's processor.
        options: ``scores``: ``"raw"`` takes the raw values as logits; ``members``: whether the virtual ensembles of the
            model are kept, and ``virtual_ensembles``, how many.

    Raises:
        TypeError: ``source`` is no model of CatBoost's.
        ValueError: It was not fitted, a file is damaged, or it is another device.
        FileNotFoundError: There is no such file.
    """
    if device not in (None, "cpu", HOST):
        message = f"device {device!r} is not available to backend 'catboost'; available: 'cpu'"
        raise ValueError(message)
    known = checked_options(options, KNOWN, "catboost")
    if known["virtual_ensembles"] and not known["members"]:
        message = "option 'virtual_ensembles' says how many members there are; set the option members, too"
        raise ValueError(message)
    if isinstance(source, str | Path):
        is_path = isinstance(source, str) and is_import_path(source)
        source = import_model(str(source)) if is_path else open_file(Path(source))
    if not isinstance(source, catboost.CatBoost):
        kind = "a function" if callable(source) else type(source).__qualname__
        message = (
            f"expected a fitted CatBoostClassifier or CatBoost, or the path of its .cbm file, as model, got {kind}"
        )
        raise TypeError(message)
    if not source.is_fitted():
        message = f"{type(source).__name__} is not fitted; call fit on it, or pass a fitted one or its .cbm file"
        raise ValueError(message)
    ensembles = (known["virtual_ensembles"] or VIRTUAL_ENSEMBLES) if known["members"] else 0
    return CatboostModel(source, describe(source), known["scores"] == RAW, ensembles)
