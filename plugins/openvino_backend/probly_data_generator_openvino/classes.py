"""The names of the classes that exporters leave in a Model's ``rt_info``."""

from typing import Any

PLACE = ["model_info", "labels"]
"""Where OpenVINO's Model API, OTX and Ultralytics write them."""


def class_names(model: Any) -> list[str] | None:
    """Return the name of each column that a Model has in its ``rt_info``, or None where it has none.

    A file holds them in one text, parted by blanks; exporters write a name's own blanks as underscores, and so they
    stay. Only a live Model may have a list whose names have blanks.

    Args:
        model: An openvino.Model.
    """
    if not model.has_rt_info(PLACE):
        return None
    value = model.get_rt_info(PLACE).value
    names = value.split() if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else []
    return names if len(names) > 1 and all(isinstance(name, str) for name in names) else None
