"""From any source to a booster that runs: what its outputs are, and which columns it knows."""

import functools
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xgboost

from probly.data_generator.hookspecs import HOST
from probly.data_generator.toolkit.digest import digest
from probly.data_generator.toolkit.importing import import_model, is_import_path
from probly.data_generator.toolkit.options import checked_options
from probly_data_generator_xgboost.files import open_file
from probly_data_generator_xgboost.options import ALL, BEST, KNOWN, RAW

PROBABILITIES_OF = ("binary:logistic", "multi:softprob")
LOGITS_OF = ("binary:logitraw", "multi:softmax")  # the second one predicts classes; its margins are logits


class About(NamedTuple):
    """What a booster says of itself.

    Attributes:
        objective: What it was trained for; of a user's own XGBoost stores the name of another one.
        classes: The number of classes, 0 where there is one output.
        targets: The number of labels per row.
        features: The number of columns.
        names: Their names, where it has them.
        types: Their types, ``"c"`` for categories, where it has them.
        rounds: The number of boosting rounds.
        best: How many of them there are up to the best one; 0 where it knows none.
        used: How many of them predict where nobody says; 0 for all.
        device: Where it runs.
    """

    objective: str
    classes: int
    targets: int
    features: int
    names: tuple[str, ...] | None
    types: tuple[str, ...] | None
    rounds: int
    best: int
    used: int
    device: str


def describe(booster: Any) -> About:
    """Return what a booster says of itself.

    Of one that was trained with early stopping, all rounds predict, as in ``Booster.predict``; only the file that an
    ``XGBClassifier`` saved says that it is one, and is used as it uses itself: up to the best round.
    """
    learner = json.loads(booster.save_config())["learner"]
    sizes = learner["learner_model_param"]
    stopped = booster.attr("best_iteration")
    is_linear = learner["gradient_booster"]["name"] == "gblinear"  # whose rounds cannot be told apart
    best = 0 if stopped is None or is_linear else int(stopped) + 1
    return About(
        objective=learner["objective"]["name"],
        classes=int(sizes["num_class"]),
        targets=int(sizes.get("num_target", 1)),
        features=booster.num_features(),
        names=None if booster.feature_names is None else tuple(booster.feature_names),
        types=None if booster.feature_types is None else tuple(booster.feature_types),
        rounds=booster.num_boosted_rounds(),
        best=best,
        used=0 if booster.attr("scikit_learn") is None else best,
        device=learner["generic_param"].get("device", "cpu"),
    )


@dataclass
class XgboostModel:
    """What ``load_model`` returns.

    Attributes:
        booster: The live booster.
        about: What it said of itself when it was loaded.
        raw: Whether its raw margins are taken as logits.
        rounds: The option, None where nobody says.
    """

    booster: Any
    about: About
    raw: bool = False
    rounds: str | None = None

    def is_current(self) -> bool:
        """Return whether the booster is as it was described: it may be trained on."""
        return describe(self.booster) == self.about

    @property
    def device(self) -> str:
        """Where it runs, for the metadata."""
        return self.about.device

    @property
    def margins(self) -> bool:
        """Whether it is asked for its raw margins, which are logits."""
        return self.raw or self.about.objective in LOGITS_OF

    @property
    def output_mode(self) -> str | None:
        """What the scores are, whatever their values; None where nobody knows."""
        if self.margins:
            return "logits"
        return "probs" if self.about.objective in PROBABILITIES_OF else None

    @property
    def used(self) -> int:
        """How many rounds predict; 0 for all."""
        return {ALL: 0, BEST: self.about.best}.get(self.rounds or "", self.about.used)

    @property
    def options(self) -> dict[str, Any]:
        """The options that change the rows."""
        rounds = {"rounds": self.rounds} if self.used != self.about.used else {}
        return {**({"scores": RAW} if self.raw else {}), **rounds}

    @property
    def feature_names(self) -> list[str] | None:
        """The columns of a table that the booster knows by name, in its order."""
        names: list[str] | None = self.booster.feature_names
        return names

    @functools.cached_property
    def categories(self) -> dict[int, Sequence[Any]]:
        """The names of the categories of each column that has some, by its place, in the order of their codes.

        XGBoost keeps them since 3.1; before, only their codes were known.
        """
        if "c" not in (self.about.types or ()) or not hasattr(self.booster, "get_categories"):
            return {}
        known = self.booster.get_categories(export_to_arrow=True).to_arrow()
        return {place: names.to_pylist() for place, (_, names) in enumerate(known) if names is not None}

    def digest(self) -> str:
        """Return the digest of the bytes that the booster is stored as."""
        return digest([("booster", np.frombuffer(self.booster.save_raw("ubj"), np.uint8))])


def load(source: Any, device: str | None, options: Mapping[str, Any]) -> XgboostModel:
    """Return the model of any source; a live booster is used as it is.

    Args:
        source: A Booster, the path of a ``.json`` or ``.ubj`` file, or ``"module:attribute"``.
        device: Where a live booster is, or ``"cpu"``.
        options: ``scores``: ``"raw"`` takes the raw margins as logits; ``rounds``: ``"all"`` of them predict, or those
            up to the ``"best"`` one.

    Raises:
        TypeError: ``source`` is no booster.
        ValueError: It was not trained, a file is damaged, or it is on another device.
        FileNotFoundError: There is no such file.
    """
    known = checked_options(options, KNOWN, "xgboost")
    if isinstance(source, str | Path):
        is_path = isinstance(source, str) and is_import_path(source)
        source = import_model(str(source)) if is_path else open_file(Path(source))
    if not isinstance(source, xgboost.Booster):
        raise TypeError(_no_booster(source))
    try:
        about = describe(source)
    except xgboost.core.XGBoostError as error:
        message = "the Booster was not trained; pass what xgboost.train returned, or the path of its file"
        raise ValueError(message) from error
    if device not in (None, about.device) and not (device == HOST and about.device == "cpu"):
        remedy = f"; for {device!r}, call booster.set_param({{'device': {device!r}}}) on a live one"
        message = f"device {device!r} is not where the booster is; available: {about.device!r}{remedy}"
        raise ValueError(message)
    _check_rounds(about, known["rounds"])
    return XgboostModel(source, about, known["scores"] == RAW, known["rounds"])


def _check_rounds(about: About, chosen: str | None) -> None:
    """Refuse the best round where none is known, and tell of one that does not count because nobody chose it."""
    if chosen == BEST and not about.best:
        message = (
            "option 'rounds': the booster knows no best round, as one of trees that was trained with early stopping "
            "does; leave the option out"
        )
        raise ValueError(message)
    if chosen is None and not about.used and 0 < about.best < about.rounds:
        message = (
            f"the booster was trained with early stopping, and all of its {about.rounds} rounds predict, as in "
            f"Booster.predict; options={{'rounds': 'best'}} takes the {about.best} up to the best one, as an "
            "XGBClassifier does, and options={'rounds': 'all'} says that all are meant"
        )
        warnings.warn(message, stacklevel=2)


def _no_booster(source: Any) -> str:
    if hasattr(source, "get_booster"):
        return (
            f"{type(source).__name__} is an estimator of scikit-learn's kind: leave backend out, or set "
            "backend='sklearn'; backend 'xgboost' takes the file that its model.save_model('model.ubj') writes"
        )
    kind = "a function" if callable(source) else type(source).__qualname__
    return f"expected an xgboost.Booster, or the path of its .json or .ubj file, as model, got {kind}"
