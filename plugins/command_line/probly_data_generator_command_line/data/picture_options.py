"""From the options for pictures, and what the model says itself, to settings."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from probly.data_generator.toolkit.importing import import_model
from probly_data_generator_command_line.data.processor_configs import settings_from
from probly_data_generator_command_line.data.settings import PictureSettings
from probly_data_generator_command_line.errors import InputError


def picture_settings(options: Mapping[str, Any], model: Any) -> PictureSettings:
    """Return what happens to pictures.

    Without a word about it, what the model's own configuration says; where there is none, pictures of one size are
    divided by 255 and no more. What is given beside ``--image-config`` is stronger.

    Args:
        options: Those of ``generate``.
        model: What ``load_model`` returned: ``channels``, ``image_config`` and ``takes_pictures`` are looked at.

    Raises:
        InputError: The configuration asks for what is not done here, or stands beside a transform.
    """
    said: dict[str, Any] = {
        "size": options["image_size"], "resize": options["resize"], "mean": options["mean"], "std": options["std"],
        "colour": options["colour"],
    }  # fmt: skip
    given = {name: value for name, value in said.items() if value}
    transform, config = options["transform"], options["image_config"]
    if transform is not None and config is not None:
        message = "--transform does all that happens to a picture; leave out --image-config"
        raise InputError(message)
    prepares = config is None and transform is None and getattr(model, "takes_pictures", False)
    if config is None and transform is None and not given and not prepares:
        config = getattr(model, "image_config", None)
    settings = PictureSettings() if config is None else settings_from(config)
    return replace(
        settings,
        **given,
        channels=options["channels"] or getattr(model, "channels", None) or settings.channels,
        transform=None if transform is None else import_model(transform),
        one_size=options["batch_size"] > 1,
        as_they_are=prepares,
    )
