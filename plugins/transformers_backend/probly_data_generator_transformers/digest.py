"""Digests of models with what prepares their inputs, by which a store tells whether it is continued with the same."""

import hashlib
import json
from typing import Any, Final

from probly.data_generator.toolkit.digest import digest_state
from probly_data_generator_torch.contents import parts_of
from probly_data_generator_transformers.forward import TransformersModel
from probly_data_generator_transformers.texts import Texts

SAYS_NOTHING: Final = frozenset(
    {"name_or_path", "vocab_file", "merges_file", "tokenizer_file", "is_local", "local_files_only", "trust_remote_code"}
    | {"_commit_hash", "chat_template", "added_tokens_decoder", "backend", "_from_auto", "processor_class"}
)
"""Settings of a tokenizer that say where it came from, or that other settings say again."""
OF_A_CONFIG: Final = frozenset(
    {"_name_or_path", "name_or_path", "transformers_version", "architectures", "model_type", "dtype", "torch_dtype"}
    | {"_commit_hash", "_weight_conversions", "_use_kernels"}
)
"""What models and their configurations note of where they came from; class and weights tell the rest."""
OF_A_CALL: Final = ("truncation", "padding")
"""Settings of a library's tokenizer that each call sets anew."""


def digest_of_model(model: TransformersModel) -> str:
    """Return the digest of a model, followed by that of its tokenizer or image processor if it has one."""
    found = digest_state(model.function, _parts)
    if model.preparer is None:
        return found
    known = _of_tokenizer(model.preparer) if isinstance(model.preparer, Texts) else _of_processor(model.preparer)
    text = json.dumps(known, sort_keys=True, default=str)
    return f"{found}, prepared by sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _parts(value: Any) -> Any:
    """Return what torch's backend knows of an object, less where it came from; see ``toolkit.contents.Look``."""
    from transformers import PreTrainedConfig, PreTrainedModel

    if isinstance(value, PreTrainedConfig):
        return [type(value), _without_origin(vars(value))]
    found = parts_of(value)
    if isinstance(value, PreTrainedModel) and isinstance(found, list) and isinstance(found[-1], dict):
        found[-1] = _without_origin(found[-1])
    return found


def _without_origin(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in OF_A_CONFIG}


def _of_processor(pictures: Any) -> dict[str, Any]:
    # Its class tells which library scales: Pillow and torchvision round differently.
    return {"class": type(pictures.processor).__name__, "settings": pictures.processor.to_dict()}


def _of_tokenizer(texts: Texts) -> dict[str, Any]:
    tokenizer: Any = texts.tokenizer
    fast = getattr(tokenizer, "backend_tokenizer", None)
    if fast is not None:
        whole = json.loads(fast.to_str())
        known: Any = {name: part for name, part in whole.items() if name not in OF_A_CALL}
    else:
        pieces = getattr(tokenizer, "sp_model", None)
        model = None if pieces is None else hashlib.sha256(pieces.serialized_model_proto()).hexdigest()
        known = {"vocabulary": tokenizer.get_vocab(), "pieces": model}
    settings = {name: value for name, value in tokenizer.init_kwargs.items() if name not in SAYS_NOTHING}
    return {
        "class": type(tokenizer).__name__,
        "tokenizer": known,
        "settings": settings,
        "inputs": tokenizer.model_input_names,
        "limit": texts.limit,
        "truncation": [texts.truncation, tokenizer.truncation_side],
        "called": texts.settings,
    }
