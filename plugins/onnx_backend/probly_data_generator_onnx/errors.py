"""What ONNX Runtime's errors at loading mean, and what to do."""

import re
from typing import Any

import onnxruntime

# The phrases of onnxruntime's model_load_utils.h, model.cc and graph.cc; where they change, its own text remains.
OPSET = re.compile(
    r"Opset (\d+) is under development.*official support for domain (\S+) is till opset (\d+)", re.DOTALL
)
IR_VERSION = re.compile(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)")
OPERATOR = re.compile(r"(\S+) is not a registered function/op")


def explain(error: Exception, where: str, proto: Any) -> str:
    """Return what is wrong with a model that a session could not be made of.

    Args:
        error: What ONNX Runtime raised.
        where: The model's name in messages.
        proto: Its ModelProto.
    """
    runtime = f"onnxruntime {onnxruntime.__version__}"
    text = str(error)
    if found := OPSET.search(text):
        version, domain, newest = found.groups()
        return (
            f"{where}: it needs opset {version} of {domain}, {runtime} knows {newest} and older; install a newer "
            f"onnxruntime, export with opset_version={newest}, or use onnx.version_converter"
        )
    if found := IR_VERSION.search(text):
        version, newest = found.groups()
        return (
            f"{where}: it has the IR version {version}, {runtime} reads {newest} and older; install a newer "
            "onnxruntime, or export with an older onnx"
        )
    if found := OPERATOR.search(text):
        return (
            f"{where}: {runtime} does not know its operator {found[1]}; if a library of custom operators has it, pass "
            "an InferenceSession made with SessionOptions.register_custom_ops_library"
        )
    versions = ", ".join(f"{imported.domain or 'ai.onnx'} {imported.version}" for imported in proto.opset_import)
    return f"{where}: {runtime} cannot load it (IR version {proto.ir_version}, opset {versions or 'unknown'}): {text}"
