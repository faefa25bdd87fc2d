"""Folders that ``save_pretrained`` has written, opened without running anything from them and without a network."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from probly_data_generator_transformers.pictures import Pictures
from probly_data_generator_transformers.texts import Texts

CONFIG: Final = "config.json"
WEIGHTS: Final = ("model.safetensors", "model.safetensors.index.json")
SETTINGS: Final = (CONFIG, "tokenizer_config.json", "preprocessor_config.json", "processor_config.json")
"""Files that may name code of the folder's own."""
TOKENIZERS: Final = (
    "tokenizer_config.json", "tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "tokenizer.model",
    "sentencepiece.bpe.model", "processor_config.json",
)  # fmt: skip
IMAGE_PROCESSORS: Final = ("preprocessor_config.json", "processor_config.json")
LIVE: Final = "build the model in code of your own that you trust, and pass it live: model=(model, tokenizer)"


def open_folder(folder: Path) -> tuple[Any, Texts | Pictures | None]:
    """Return the classifier of a folder, on the CPU, and what prepares its inputs if that is there, too.

    Args:
        folder: What ``save_pretrained`` has written, of the model and of its tokenizer or image processor.

    Raises:
        FileNotFoundError: There is no ``config.json``.
        ValueError: It wants code of its own or pickled weights, is no classifier, or its weights are not all there.
    """
    import transformers

    config = _read(folder / CONFIG)
    for name in SETTINGS:
        _refuse_code(folder / name)
    architecture, preparer = _classifier(folder, config)
    _check_weights(folder, config)
    kind = getattr(transformers, architecture)
    with _quiet(), _reading(folder):
        model, found = kind.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
            output_loading_info=True,
        )
    _check_loaded(folder, architecture, found)
    if preparer is Texts:
        return model, _tokenizer(folder)
    return model, _image_processor(folder)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        message = (
            f"{path.parent}: expected a folder that save_pretrained has written, with {CONFIG} and model.safetensors; "
            f"there is no {path.name}"
        )
        raise FileNotFoundError(message)
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        message = f"{path}: is damaged: {error}"
        raise ValueError(message) from error
    if not isinstance(found, dict):
        message = f"{path}: expected a mapping of settings, got {type(found).__name__}"
        raise ValueError(message)  # noqa: TRY004  # what is in a file is a value
    return found


def _refuse_code(path: Path) -> None:
    """Refuse settings that name classes in files of the folder, which transformers would run."""
    found = _read(path).get("auto_map") if path.is_file() else None
    if found:
        named = found.values() if isinstance(found, dict) else [found]
        shown = ", ".join(sorted(str(name) for name in named))
        message = (
            f"{path}: wants code of its own (auto_map: {shown}), and no code of a folder is run, whoever asks; if your "
            f"transformers has the model itself, remove auto_map from the file; else {LIVE}"
        )
        raise ValueError(message)


def _classifier(folder: Path, config: dict[str, Any]) -> tuple[str, type[Texts] | type[Pictures]]:
    """Return the name of the class that was saved, which is one of transformers, and what prepares its inputs."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES,
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    )

    found = config.get("architectures")
    names = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    if "model_type" not in config or not names:
        what = "architecture" if "architecture" in config else None
        other = f" (it names an {what}, as timm does: let a function of your own build the model)" if what else ""
        message = f"{folder / CONFIG}: is not of a model of transformers{other}: it has no model_type and architectures"
        raise ValueError(message)
    for mapping, preparer in (
        (MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES, Texts),
        (MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES, Pictures),
    ):
        classes = mapping.get(config["model_type"], ())
        if names[0] in ((classes,) if isinstance(classes, str) else classes):
            return str(names[0]), preparer
    message = (
        f"{folder}: was saved from {names[0]}, which is no classifier of texts or pictures; expected a class such as "
        "BertForSequenceClassification or ViTForImageClassification, fine-tuned and saved with save_pretrained"
    )
    raise ValueError(message)


def _check_weights(folder: Path, config: dict[str, Any]) -> None:
    """Refuse weights that are pickled, elsewhere, or not in the folder."""
    if (folder / "adapter_config.json").is_file():
        message = (
            f"{folder}: holds an adapter (adapter_config.json), whose model is elsewhere; merge them in code of your "
            "own, peft_model.merge_and_unload().save_pretrained(other_folder), and pass that folder"
        )
        raise ValueError(message)
    if config.get("transformers_weights"):
        message = (
            f"{folder / CONFIG}: names a file of weights (transformers_weights: {config['transformers_weights']!r}); "
            f"expected {WEIGHTS[0]}: load the model in code of your own, and save it with save_pretrained"
        )
        raise ValueError(message)
    there = [name for name in WEIGHTS if (folder / name).is_file()]
    if not there:
        others = sorted(
            path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pth", ".h5", ".msgpack", ".gguf")
        )
        pickled = any(name.endswith((".bin", ".pt", ".pth")) for name in others)
        kind = "is a pickle, which can run code" if pickled else "is of another kind"
        why = f"; {', '.join(others)} {kind}" if others else ""
        message = (
            f"{folder}: has no {WEIGHTS[0]}{why}; where you trust its maker, convert it once: "
            "model.from_pretrained(folder).save_pretrained(other_folder) writes safetensors, tokenizers alike"
        )
        raise ValueError(message)
    if there == [WEIGHTS[1]]:
        shards = _read(folder / WEIGHTS[1]).get("weight_map")
        named = set(shards.values()) if isinstance(shards, dict) else {None}
        outside = [name for name in named if not isinstance(name, str) or Path(name).name != name]
        if outside:
            message = f"{folder / WEIGHTS[1]}: names {outside[0]!r} as a file of weights, expected one in the folder"
            raise ValueError(message)


def _check_loaded(folder: Path, architecture: str, found: dict[str, Any]) -> None:
    """Refuse a model that has not all of its weights from the folder: transformers draws the others at random."""
    mismatched = [key if isinstance(key, str) else key[0] for key in found["mismatched_keys"]]
    lacking = sorted({*map(str, found["missing_keys"]), *map(str, mismatched)})
    if lacking or found["error_msgs"]:
        shown = ", ".join(lacking[:3]) + (", ..." if len(lacking) > 3 else "")
        message = (
            f"{folder}: {len(lacking)} weights of {architecture} are not there, or have another shape ({shown}), so "
            "its rows would be random; fine-tune the model, and save it with save_pretrained"
        )
        raise ValueError(message)
    unused = sorted(map(str, found["unexpected_keys"]))
    if unused:
        message = (
            f"{folder}: has {len(unused)} weights that {architecture} does not know ({', '.join(unused[:3])}), so it "
            "was saved from another model, or another version of it; save it once more with the installed transformers"
        )
        raise ValueError(message)


def _tokenizer(folder: Path) -> Texts | None:
    if not any((folder / name).is_file() for name in TOKENIZERS):
        return None
    from transformers import AutoTokenizer

    with _reading(folder):
        return Texts(AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False))


def _image_processor(folder: Path) -> Pictures | None:
    if not any((folder / name).is_file() for name in IMAGE_PROCESSORS):
        return None
    from transformers import AutoImageProcessor

    with _reading(folder):
        return Pictures(AutoImageProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False))


@contextlib.contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Name the folder in what the library raises."""
    try:
        yield
    except (MemoryError, ImportError):
        raise
    except Exception as error:
        if "out of memory" in str(error).lower():
            raise
        message = f"{folder}: cannot be opened by transformers, or is damaged: {type(error).__name__}: {error}"
        raise ValueError(message) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave out the library's bar and its table of what is wrong, which would stand between the lines of a run."""
    from transformers.utils import logging

    shown, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            logging.enable_progress_bar()
