"""From any source to a model that runs."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from probly.data_generator.toolkit.importing import import_model, is_import_path
from probly.data_generator.toolkit.recognition import class_from
from probly_data_generator_torch import models as torch_models
from probly_data_generator_torch.devices import resolve_device
from probly_data_generator_torch.forward import TorchModel
from probly_data_generator_torch.options import with_options
from probly_data_generator_transformers.folders import open_folder
from probly_data_generator_transformers.forward import TransformersModel
from probly_data_generator_transformers.pictures import Pictures
from probly_data_generator_transformers.texts import Texts

PIPELINES = ("TextClassificationPipeline", "ImageClassificationPipeline")
STEPS = ("__call__", "run_single", "forward", "preprocess", "_forward", "postprocess")
"""The methods of a pipeline that make scores of samples."""
EXPECTED = (
    "a folder that save_pretrained has written, a model of transformers, (model, tokenizer), (model, image_processor), "
    "or a text-classification or image-classification pipeline"
)


def load(source: Any, device: str | None, options: Mapping[str, Any]) -> TransformersModel:
    """Return the model of any source; a live one is copied to another device, never moved.

    Args:
        source: A folder, a live model, a pair of one and its tokenizer or image processor, a pipeline, or
            ``"module:attribute"``.
        device: A device name of torch. None: a live model stays where its weights are, anything else goes to the best.
        options: The value of every option.

    Raises:
        TypeError: It is nothing of the kind.
        ValueError: See ``folders.open_folder``, and for the device and the options the torch backend.
    """
    if isinstance(source, str) and is_import_path(source):
        return load(import_model(source), str(resolve_device(device)), options)
    if isinstance(source, str | os.PathLike):
        place = resolve_device(device)
        model, preparer = open_folder(Path(source))
        model.to(place)
        loaded = TorchModel(model, place, model)
        return TransformersModel(with_options(loaded, options), preparer, None, Path(source))
    if type(source) is tuple and len(source) == 2:
        model, preparer, function = source[0], _preparer(source[1], source[0]), None
    elif class_from(source, "transformers") is not None and not isinstance(source, torch.nn.Module):
        model, preparer, function = _of_pipeline(source)
    else:
        model, preparer, function = source, None, None
    if not isinstance(model, torch.nn.Module):
        what = "a function" if callable(source) and not isinstance(source, type) else type(source).__name__
        message = f"expected {EXPECTED} as model, got {what}"
        raise TypeError(message)
    loaded = with_options(torch_models.load(model, device), options)
    return TransformersModel(loaded, preparer, function, type(model).__name__)


def _of_pipeline(source: Any) -> tuple[Any, Texts | Pictures | None, Any]:
    """Return the model of a pipeline, what prepares its inputs, and the function that it applies to the scores."""
    kinds = [kind.__name__ for kind in type(source).__mro__]
    found = next((name for name in PIPELINES if name in kinds), None)
    if found is None:
        message = f"expected {EXPECTED} as model, got {type(source).__name__}"
        raise TypeError(message)
    _refuse_overridden(source, found)
    settings = source._preprocess_params  # noqa: SLF001  # what the pipeline was made with; it has no public name
    function = source._postprocess_params.get("function_to_apply")  # noqa: SLF001
    if found == PIPELINES[0]:
        return source.model, Texts(source.tokenizer, settings), function
    return source.model, Pictures(source.image_processor), function


def _refuse_overridden(source: Any, kind: str) -> None:
    """Refuse a pipeline with steps of its own, none of which would be run."""
    methods = {name: getattr(source, name) for name in STEPS}
    own = [name for name, method in methods.items() if not str(method.__module__).startswith("transformers.")]
    if own:
        preparer = "tokenizer" if kind == PIPELINES[0] else "image_processor"
        message = (
            f"{type(source).__name__}: has steps of its own ({', '.join(own)}) in place of those of {kind}, and they "
            f"would not be run; pass model=(pipeline.model, pipeline.{preparer}), prepare the samples in input_getter, "
            "and read the outputs in output_transform"
        )
        raise TypeError(message)


def _preparer(given: Any, model: Any) -> Texts | Pictures:
    """Return what prepares the inputs of a live model.

    Raises:
        TypeError: It is neither a tokenizer nor an image processor of transformers.
    """
    from transformers import BaseImageProcessor, PreTrainedTokenizerBase, ProcessorMixin

    if isinstance(given, ProcessorMixin):  # both, such as of CLIP
        of_pictures = getattr(model, "main_input_name", None) == "pixel_values"
        given = getattr(given, "image_processor" if of_pictures else "tokenizer", given)
    if isinstance(given, PreTrainedTokenizerBase):
        return Texts(given)
    if isinstance(given, BaseImageProcessor):
        return Pictures(given)
    wrap = "; wrap it: PreTrainedTokenizerFast(tokenizer_object=..., pad_token=...)"
    own = wrap if class_from(given, "tokenizers") else ""
    message = (
        f"model=(model, preparer): expected a tokenizer or an image processor of transformers as the second, got "
        f"{type(given).__name__}{own}"
    )
    raise TypeError(message)
