"""What the command line has in place of the parameters that messages name, which are those of Python."""

import re

TEMPERATURE = re.compile(r"\boutput_transform\b[^;.]*\bTemperature\(")
"""A difference of temperatures, in the words of a store that another run began."""
OPTIONS = {
    r"\boutput_mode\b": "output_mode is --output-mode",
    r"\bbatch_size\b": "batch_size is --batch-size",
    r"\bclass_names\b": "class_names is --class-names",
    r"\bmodel_name\b|\bmodel name:": "model_name is --model-name",
    r"\binput_dtype\b": "input_dtype is --input-dtype",
    r"\binput_getter\b": "input_getter is --input-getter MODULE:FUNCTION",
    r"\blabel_getter\b": "label_getter is --label-getter MODULE:FUNCTION",
    r"\bindex_getter\b": "index_getter is --index-getter MODULE:FUNCTION",
    r"\bprobe=": "probe=False is --no-probe",
    r"\bbatched=": "batched is --batched or --not-batched",
    r"\bdevice=": "device is --device",
    r"\bbackend=": "backend is --backend",
    r"\boptions=\{(?!'trust')": "options are --option NAME=VALUE, one each",
    r"\bencoding(=|: the store)": "the encoding is --top-k or --dtype",
}
"""Patterns of parameters that are options here, too."""
ELSEWHERE = {
    r"\boutput_transform\b": "output_transform is done in the model that --model names",
    r"\bgenerate_distributions call\b": "that call is the `first-order generate` that began it",
}
"""Patterns of parameters that are none here, and where the same is said."""


def here(text: str) -> str:
    """Return what to add to a message: how the command line calls the parameters in it, or an empty text.

    Examples:
        >>> here('set output_mode="logits" or output_transform')
        '; here, output_mode is --output-mode, and output_transform is done in the model that --model names'
        >>> here("there is no such file")
        ''
    """
    if TEMPERATURE.search(text):
        found = ["the temperature is --temperature"]
    else:
        found = [said for pattern, said in (OPTIONS | ELSEWHERE).items() if re.search(pattern, text)]
    # What a message of ours says already is not said twice.
    found = [said for said in found if not any(word in text for word in re.findall(r"--[a-z-]+", said)[:1])]
    return f"; here, {', and '.join(found)}" if found else ""
