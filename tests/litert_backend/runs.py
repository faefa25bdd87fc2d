"""The models and runs that the tests of LiteRT share."""

import io
import zipfile

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from probly.data_generator import FirstOrderDataGenerator
from probly.data_generator.testing import reference
from tests.litert_backend.make_files import FILES

WEIGHTS = reference.mlp_weights()
INPUTS, LABELS = reference.samples(rows=50)
EXPECTED = reference.softmax(reference.mlp_logits(WEIGHTS, INPUTS))
CONVERTED = {path.stem: path for path in sorted(FILES.glob("*.tflite"))}


def generator(model, **options):
    return FirstOrderDataGenerator(model, **{"backend": "litert", "batch_size": 16, **options})


def run(model, dataset=INPUTS, out=None, **options):
    return generator(model, **options).generate_distributions(dataset, out=out, progress=False)


def check(distributions, expected=EXPECTED, tolerance=1e-6):
    np.testing.assert_array_equal(distributions.indices, np.arange(len(expected)))
    np.testing.assert_allclose(distributions.probabilities, expected, rtol=0, atol=tolerance)


def refused(error, pattern, model, dataset=INPUTS, **options):
    with pytest.raises(error, match=pattern) as caught:
        run(model, dataset, **options)
    return str(caught.value)


def by_hand(content, inputs):
    """Return what an Interpreter gives for each row alone, as integers where it is quantised."""
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    found = []
    for row in inputs:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], row[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    return np.stack(found)


def with_labels(content, files, output=0):
    """Return a model with metadata and an archive, as TFLite's metadata writers leave it.

    Args:
        content: The bytes of a model.
        files: ``(name, kind, text)`` of each file of an output.
        output: Which one.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    entry, buffer = schema.MetadataT(), schema.BufferT()
    buffer.data = np.frombuffer(_metadata([(name, kind) for name, kind, _ in files], output), np.uint8)
    model.buffers.append(buffer)
    entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    packed = io.BytesIO(bytes(builder.Output()))
    with zipfile.ZipFile(packed, "a") as archive:
        for name, _, text in files:
            archive.writestr(name, text)
    return packed.getvalue()


def _metadata(files, output):
    """Return a ModelMetadata of the schema metadata_schema.fbs."""
    builder = flatbuffers.Builder(256)

    def table(fields, **values):
        builder.StartObject(fields)
        for place, value in values.items():
            if place.startswith("kind"):
                builder.PrependInt8Slot(int(place[4:]), value, 0)
            else:
                builder.PrependUOffsetTRelativeSlot(int(place[4:]), value, 0)
        return builder.EndObject()

    def vector(offsets):
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    made = [table(5, part0=builder.CreateString(name), kind2=kind) for name, kind in files]
    tensors = [table(7) for _ in range(output)] + [table(7, part6=vector(made))]
    graph = table(7, part3=vector(tensors))
    name = builder.CreateString("model")
    root = table(8, part0=name, part3=vector([graph]))
    builder.Finish(root, b"M001")
    return bytes(builder.Output())
