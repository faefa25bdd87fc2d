"""Backends of strangers for these tests: some break a rule of the contract, some work in their own way."""

from tests.tiny import GOOD_BACKEND

RULE_BREAKERS = {
    "import-error": "import module_that_does_not_exist",
    "exits": "raise SystemExit(3)",
    "lacks-forward": GOOD_BACKEND + "\ndel forward\n",
    "wraps-nothing": GOOD_BACKEND + "\n@hookimpl(hookwrapper=True)\ndef forward():\n    yield\n",
    "renames": GOOD_BACKEND + "\n@hookimpl\ndef forward(network, inputs):\n    return inputs\n",
    "older": GOOD_BACKEND + "\n@hookimpl\ndef forward(model, inputs, output_mode, batch_size):\n    return inputs\n",
    "default": GOOD_BACKEND + "\n@hookimpl\ndef forward(model, inputs, batch_size=64):\n    return inputs\n",
    "varargs": GOOD_BACKEND + "\n@hookimpl\ndef forward(model, inputs, *args):\n    return inputs\n",
    "misspelt": GOOD_BACKEND + "\n@hookimpl\ndef recognises(source):\n    return True\n",
}
SAYS = {
    "import-error": "ModuleNotFoundError: No module named 'module_that_does_not_exist'",
    "exits": "SystemExit: 3",
    "lacks-forward": "lacks the hook forward",
    "wraps-nothing": "lacks the hook forward",
    "renames": "network",
    "older": "output_mode",
    "default": "batch_size=64; remove the default",
    "varargs": r"got \*args",
    "misspelt": "recognises",
}


def recognizing(answer):
    """Return the source of a backend that recognizes what an expression says of ``source``."""
    return GOOD_BACKEND + f"\n@hookimpl\ndef recognizes(source):\n    return {answer}\n"


WANTED = "type(source).__name__ == 'Wanted'"
BY_CLASS = "next((kind for kind in type(source).__mro__ if kind.__name__ == {!r}), None)"
WORKING = {
    "returns-none": GOOD_BACKEND + "\n@hookimpl\ndef forward(model, inputs):\n    return None\n",
    "loads-none": GOOD_BACKEND + "\n@hookimpl\ndef load_model(source, device):\n    return None\n",
    "loads-without-device": GOOD_BACKEND + "\n@hookimpl\ndef load_model(source, device):\n    return source\n",
    "moves-none": GOOD_BACKEND + "\n@hookimpl\ndef to_device(data):\n    return None\n",
    "fetches-none": GOOD_BACKEND
    + "\n@hookimpl\ndef to_device(data, device):\n    return None if device == 'host' else data\n",
    "two-hooks": GOOD_BACKEND + "\ndel posterior_params\n",
    "wraps-defaults": GOOD_BACKEND
    + "\n@hookimpl(wrapper=True)\ndef iterate_batches():\n    return (yield)\n"
    + "\n@hookimpl(hookwrapper=True)\ndef to_device():\n    yield\n",
    "greedy": recognizing(WANTED),
    "greedy-too": recognizing(WANTED),
    "fails-to-recognize": recognizing("source.no_such_attribute"),
    "library": recognizing(BY_CLASS.format("Library")),
    "built-on-it": recognizing(BY_CLASS.format("BuiltOnIt")),
    "anything-built": recognizing("any(kind.__name__ == 'BuiltOnIt' for kind in type(source).__mro__)"),
    "files": recognizing("getattr(source, 'suffix', None) in ('.tiny', '.both')"),
    "other-files": recognizing("getattr(source, 'suffix', None) == '.both'"),
    "other-class": recognizing("int if type(source).__name__ == 'Named' else None"),
}

TINY_WRAPPERS = {
    "broken": "raise OSError('torn')",
    "exits": "raise SystemExit(3)",
    "module": "from probly.data_generator import hookimpl\nseen = []\n\n@hookimpl(wrapper=True)\ndef forward(inputs):\n"
    "    seen.append(len(inputs))\n    return (yield)\n",
    "first": "",
    "second": "",
}
