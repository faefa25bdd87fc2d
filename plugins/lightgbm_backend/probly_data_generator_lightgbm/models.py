"""From any source to a booster that runs: what its outputs are, and which columns it knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import lightgbm
import numpy as np

from probly.data_generator.hookspecs import HOST
from probly.data_generator.toolkit.digest import digest
from probly.data_generator.toolkit.importing import import_model, is_import_path
from probly.data_generator.toolkit.options import checked_options
from probly.data_generator.toolkit.tables import declared_columns
from probly_data_generator_lightgbm.files import open_file
from probly_data_generator_lightgbm.options import KNOWN, RAW

PROBABILITIES_OF = ("binary", "multiclass")


class About(NamedTuple):
    """What a booster says of itself.

    Attributes:
        objective: What it was trained for; ``"none"`` where that was the user's own.
        sigmoid: What its raw scores are multiplied by before their sigmoid.
        names: The names of its columns; LightGBM makes some up where there were none.
        infos: What it has seen of each column: a range of numbers, or the codes of categories.
        categories: The names of the categories of each such column of the table that it was trained with.
        rounds: The number of boosting rounds, and which of them is the best; -1 for the last one.
        averages: Whether its scores are the mean of its rounds, as in random forests, and not their sum.
    """

    objective: str
    sigmoid: float
    names: list[str]
    infos: list[str]
    categories: list[list[Any]]
    rounds: tuple[int, int]
    averages: bool

    @property
    def divisor(self) -> int:
        """What LightGBM's raw scores, which are always sums, are to be divided by."""
        count, best = self.rounds
        return (min(best, count) if best > 0 else count) if self.averages else 1


def describe(booster: Any) -> About:
    """Return what a booster says of itself; it does so in the text that it is stored as."""
    header = booster.model_to_string(num_iteration=1).partition("\n\n")[0]
    said = dict(line.partition("=")[::2] for line in header.splitlines())
    objective, *settings = said.get("objective", "none").split()
    factors = [float(setting.removeprefix("sigmoid:")) for setting in settings if setting.startswith("sigmoid:")]
    return About(
        objective=objective,
        sigmoid=factors[0] if factors else 1.0,
        names=booster.feature_name(),
        infos=said["feature_infos"].split(" "),
        categories=[list(names) for names in booster.pandas_categorical or ()],
        rounds=(booster.current_iteration(), booster.best_iteration),
        averages="average_output" in said,
    )


@dataclass
class LightgbmModel:
    """What ``load_model`` returns.

    Attributes:
        booster: The live booster.
        about: What it said of itself when it was loaded.
        raw: Whether its raw scores are taken as logits.
        device: Where it predicts; LightGBM does so in one place.
    """

    booster: Any
    about: About
    raw: bool = False
    device: str = "cpu"

    def is_current(self) -> bool:
        """Return whether the booster is as it was described: it may be trained on."""
        return describe(self.booster) == self.about

    @property
    def output_mode(self) -> str | None:
        """What the scores are, whatever their values; None where nobody knows."""
        if self.raw:
            return "logits"
        return "probs" if self.about.objective in PROBABILITIES_OF else None

    @property
    def options(self) -> dict[str, Any]:
        """The options that change the rows."""
        return {"scores": RAW} if self.raw else {}

    @property
    def feature_names(self) -> list[str] | None:
        """The columns of a table that the booster knows by name, in its order."""
        return declared_columns(_Named(self.about.names))

    def digest(self) -> str:
        """Return the digest of the text that the booster is stored as, without how it was trained."""
        text = self.booster.model_to_string()
        trees, _, _ = text.partition("\nfeature_importances:")
        names = text[text.rindex("\npandas_categorical:") :]
        return digest([("booster", np.frombuffer((trees + names).encode(), np.uint8))])


class _Named(NamedTuple):
    feature_name_: list[str]


def load(source: Any, device: str | None, options: Mapping[str, Any]) -> LightgbmModel:
    """Return the model of any source; a live booster is used as it is.

    Args:
        source: A Booster, the path of a ``.txt`` file, or ``"module:attribute"``.
        device: The host's processor; there is no other to predict on.
        options: ``scores``: ``"raw"`` takes the raw scores as logits.

    Raises:
        TypeError: ``source`` is no booster.
        ValueError: It was not trained, a file is damaged, or it is another device.
        FileNotFoundError: There is no such file.
    """
    if device not in (None, "cpu", HOST):
        message = f"device {device!r} is not available to backend 'lightgbm'; available: 'cpu'"
        raise ValueError(message)
    known = checked_options(options, KNOWN, "lightgbm")
    if isinstance(source, str | Path):
        is_path = isinstance(source, str) and is_import_path(source)
        source = import_model(str(source)) if is_path else open_file(Path(source))
    if not isinstance(source, lightgbm.Booster):
        raise TypeError(_no_booster(source))
    if not source.num_trees():
        message = "the Booster has no trees; pass what lightgbm.train returned, or the path of its file"
        raise ValueError(message)
    try:
        about = describe(source)
    except ValueError as error:
        raise ValueError(_no_text(error)) from error
    return LightgbmModel(source, about, raw=known["scores"] == RAW)


def _no_text(error: ValueError) -> str:
    return (
        f"LightGBM cannot store the booster, which has categories that are neither texts nor numbers ({error}); make "
        "texts of them in the booster, booster.pandas_categorical = [[name if isinstance(name, str | int | float) else "
        "str(name) for name in names] for names in booster.pandas_categorical], and in the table, "
        "frame[column].map(str)"
    )


def _no_booster(source: Any) -> str:
    if isinstance(source, lightgbm.LGBMModel):
        return (
            f"{type(source).__name__} is an estimator of scikit-learn's kind: leave backend out, or set "
            "backend='sklearn'; backend 'lightgbm' takes its model.booster_"
        )
    kind = "a function" if callable(source) else type(source).__qualname__
    return f"expected a lightgbm.Booster, or the path of its .txt file, as model, got {kind}"
