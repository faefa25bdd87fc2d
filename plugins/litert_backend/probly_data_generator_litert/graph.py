"""What the bytes of a model tell that its interpreter does not: where outputs come from, and the names of classes."""

import io
import zipfile
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import number_types
from flatbuffers.table import Table

SAME_ROWS = {"DEQUANTIZE", "QUANTIZE", "RESHAPE", "SQUEEZE"}
"""What converters put between a softmax and the model's output."""
INTEGERS = {schema.TensorType.INT8, schema.TensorType.UINT8, schema.TensorType.INT16}
METADATA = b"TFLITE_METADATA"
AXIS_LABELS = 2
"""The number of TENSOR_AXIS_LABELS among the kinds of files in the schema of TFLite's metadata."""
LONGEST = 1 << 20
OPERATORS = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}


class Graph:
    """The part of a model that a signature runs.

    Args:
        content: The bytes of a ``.tflite`` file.
        signature: The name of the signature, or None for the main graph.
    """

    def __init__(self, content: bytes, signature: str | None) -> None:
        self.content = content
        self.model = schema.Model.GetRootAs(content, 0)
        self.place = next(
            (
                defined.SubgraphIndex()
                for defined in map(self.model.SignatureDefs, range(self.model.SignatureDefsLength()))
                if signature is not None and defined.SignatureKey() == signature.encode()
            ),
            0,
        )
        self.graph = self.model.Subgraphs(self.place)

    def is_quantised_softmax(self, tensor: int) -> bool:
        """Return whether an output holds the distributions of a softmax that rounded them to integers.

        Args:
            tensor: The place of the output among the tensors.
        """
        rounded = self._is_integer(tensor)
        while (found := self._producer(tensor)) is not None:
            name, first = found
            if name == "SOFTMAX":
                return rounded
            if name not in SAME_ROWS or first < 0:
                return False
            tensor = first
            rounded = rounded or self._is_integer(tensor)
        return False

    def _is_integer(self, tensor: int) -> bool:
        return self.graph.Tensors(tensor).Type() in INTEGERS

    def _producer(self, tensor: int) -> tuple[str, int] | None:
        """Return the name of the operator that computes a tensor, and its first input."""
        for place in range(self.graph.OperatorsLength()):
            operator = self.graph.Operators(place)
            if any(operator.Outputs(number) == tensor for number in range(operator.OutputsLength())):
                code = self.model.OperatorCodes(operator.OpcodeIndex())
                name = OPERATORS.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "")
                return name, operator.Inputs(0) if operator.InputsLength() else -1
        return None

    def class_names(self, tensor: int) -> list[str] | None:
        """Return the names of an output's columns, or None where the metadata have none.

        They are the lines of the file that the metadata call the labels of its axis, in the archive at the model's end.
        Of several, the first is it; the others are translations.

        Args:
            tensor: The place of the output among the tensors.
        """
        outputs = [self.graph.Outputs(number) for number in range(self.graph.OutputsLength())]
        if tensor not in outputs or not zipfile.is_zipfile(io.BytesIO(self.content)):
            return None
        files = self._label_files(outputs.index(tensor))
        with zipfile.ZipFile(io.BytesIO(self.content)) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            if not files or sizes.get(files[0], LONGEST) >= LONGEST:
                return None
            try:
                lines = archive.read(files[0]).decode().rstrip().splitlines()
            except (UnicodeDecodeError, RuntimeError, zipfile.BadZipFile):  # of a stranger's file
                return None
        return [line.strip() for line in lines] if len(lines) > 1 else None

    def _label_files(self, output: int) -> list[str]:
        """Return the names of the label files of an output."""
        for place in range(self.model.MetadataLength()):
            entry = self.model.Metadata(place)
            if entry.Name() != METADATA:
                continue
            data = self.model.Buffers(entry.Buffer()).DataAsNumpy()
            try:
                return _axis_labels(bytes(data), self.place, output)
            except Exception:  # noqa: BLE001  # damaged metadata name nobody; the reader of flatbuffers raises anything
                return []
        return []


def _axis_labels(metadata: bytes, graph: int, output: int) -> list[str]:
    """Return the label files of an output; the numbers are the places of the fields in TFLite's metadata_schema.fbs."""
    root = Table(metadata, flatbuffers.encode.Get(flatbuffers.packer.uoffset, metadata, 0))
    of_graph = _tables(root, 3)[graph]  # ModelMetadata.subgraph_metadata
    of_output = _tables(of_graph, 3)[output]  # SubGraphMetadata.output_tensor_metadata
    files = [
        file for file in _tables(of_output, 6) if _number(file, 2) == AXIS_LABELS
    ]  # TensorMetadata, AssociatedFile
    return [_text(file, 0) for file in files]


def _field(table: Any, place: int) -> int:
    return int(table.Offset(4 + 2 * place))


def _tables(table: Any, place: int) -> list[Any]:
    offset = _field(table, place)
    if not offset:
        return []
    start, length = table.Vector(offset), table.VectorLen(offset)
    return [Table(table.Bytes, table.Indirect(start + 4 * number)) for number in range(length)]


def _text(table: Any, place: int) -> str:
    offset = _field(table, place)
    return table.String(offset + table.Pos).decode() if offset else ""


def _number(table: Any, place: int) -> int:
    offset = _field(table, place)
    return int(table.Get(number_types.Int8Flags, offset + table.Pos)) if offset else 0
