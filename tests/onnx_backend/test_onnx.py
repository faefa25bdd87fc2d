"""What is particular to the ONNX Runtime backend."""

import os
import re
import shutil
import subprocess
import sys
from typing import Any, NamedTuple

import hypothesis
import hypothesis.strategies as st
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from probly.data_generator import FirstOrderDataGenerator, InvalidOutputError, SimpleDataLoader, StoreError
from probly.data_generator.store import open_store
from probly.data_generator.testing import reference
from probly_data_generator_onnx import devices, models
from probly_data_generator_onnx.backend import is_out_of_memory
from probly_data_generator_onnx.external import check_file
from probly_data_generator_onnx.files import stored
from probly_data_generator_onnx.outputs import map_columns
from probly_data_generator_onnx.weights import digest_model
from tests.conftest import BACKENDS
from tests.frameworks.onnx import FLOAT, Pairs, cnn_model, mlp_model, model_of, session

WEIGHTS = reference.mlp_weights()
INPUTS, LABELS = reference.samples(rows=50)
EXPECTED = reference.softmax(reference.mlp_logits(WEIGHTS, INPUTS))
IMAGE_WEIGHTS = reference.cnn_weights(channels=3)
IMAGES = reference.samples(rows=6, shape=(8, 8, 3))[0]
IMAGE_ROWS = reference.softmax(reference.cnn_logits(IMAGE_WEIGHTS, IMAGES))
LIVE = session(mlp_model(WEIGHTS))


def generator(model, **options):
    return FirstOrderDataGenerator(model, **{"backend": "onnx", "batch_size": 16, **options})


def run(model, dataset, **options):
    return generator(model, **options).generate_distributions(dataset, progress=False)


def check(distributions, expected=EXPECTED, tolerance=1e-6):
    np.testing.assert_array_equal(distributions.indices, np.arange(len(expected)))
    np.testing.assert_allclose(distributions.probabilities, expected, rtol=0, atol=tolerance)


def refused(error, pattern, model, dataset=INPUTS, **options):
    with pytest.raises(error, match=pattern) as caught:
        run(model, dataset, **options)
    return str(caught.value)


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "mlp.onnx"
    onnx.save(mlp_model(WEIGHTS), file)
    return file


# Sources


def build():
    return session(mlp_model(WEIGHTS))


@pytest.mark.parametrize("kind", ["path", "text", "bytes", "bytearray", "memoryview", "proto", "session", "module"])
def test_every_kind_of_source_gives_the_same_rows(kind, path):
    content = path.read_bytes()
    sources = {
        "path": path,
        "text": str(path),
        "bytes": content,
        "bytearray": bytearray(content),
        "memoryview": memoryview(content),
        "proto": mlp_model(WEIGHTS),
        "session": LIVE,
        "module": f"{__name__}:build",
    }
    distributions = run(sources[kind], (INPUTS, LABELS))
    check(distributions)
    np.testing.assert_array_equal(distributions.labels, LABELS)
    assert distributions.meta["device"] == "cpu"
    assert "onnxruntime" in distributions.meta["versions"]


@pytest.mark.parametrize("model", [LIVE, mlp_model(WEIGHTS)], ids=["session", "proto"])
def test_live_objects_are_recognized(model):
    assert FirstOrderDataGenerator(model).framework == "onnx"


def test_both_names_are_the_same_backend():
    check(run(LIVE, INPUTS, backend="onnxruntime"))


def test_a_function_is_refused_with_the_way_out():
    with pytest.raises(TypeError, match=r"got a function; export a model"):
        generator(lambda batch: batch)


def test_a_model_changed_between_two_runs_counts():
    model = mlp_model(WEIGHTS)
    made = generator(model)
    check(made.generate_distributions(INPUTS, progress=False))
    other = reference.mlp_weights(seed=5)
    model.CopyFrom(mlp_model(other))
    expected = reference.softmax(reference.mlp_logits(other, INPUTS))
    check(made.generate_distributions(INPUTS, progress=False), expected)


def test_loading_imports_neither_onnxruntime_nor_onnx_and_recognizes_nothing_wrongly():
    code = (
        "import sys\n"
        "import probly_data_generator_onnx.backend as backend\n"
        "assert not backend.recognizes(model=lambda batch: batch) and not backend.recognizes(model=b'')\n"
        "print([name for name in ('onnxruntime', 'onnx', 'ml_dtypes') if name in sys.modules])\n"
    )
    environment = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"


# Devices


@pytest.mark.parametrize("device", ["cpu", "CPUExecutionProvider", "cpu:0", None])
def test_the_cpu_goes_by_several_names(device, path):
    for model in (path, LIVE):
        assert generator(model, device=device).current_device == "cpu"


@pytest.mark.parametrize(
    "device", ["cuda", "gpu", "cuda:1", "CUDAExecutionProvider", "tensorrt", "coreml", "cpu:1", "cpu:x", "tpu", ""]
)
def test_an_unavailable_device_is_refused_with_the_list(device, path):
    for model in (path, LIVE):
        with pytest.raises(ValueError, match=rf"device '{device}' is not available to onnxruntime .*available: 'cpu'"):
            generator(model, device=device)


def test_a_live_session_keeps_its_own_provider():
    azure = onnxruntime.InferenceSession(
        mlp_model(WEIGHTS).SerializeToString(), providers=["AzureExecutionProvider", "CPUExecutionProvider"]
    )
    message = r"the session runs on 'azure', not on 'cpu'; set device='azure' or None.*CPUExecutionProvider"
    with pytest.raises(ValueError, match=message):
        generator(azure, device="cpu")
    assert azure.get_providers() == ["AzureExecutionProvider", "CPUExecutionProvider"]


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_the_best_device_is_the_first_that_starts(path):
    model, proto = stored(path)
    absent = devices.Device("cuda:0", "CUDAExecutionProvider", 0)
    with pytest.warns(UserWarning, match="cannot be used, going on with 'cpu'"):
        live, on = devices.first_that_works(
            [absent, devices.resolve_device("cpu")], lambda device: models._session(model, proto, device, 0)
        )
    assert on.name == "cpu"
    assert live.get_providers() == ["CPUExecutionProvider"]


def test_providers_get_the_number_of_their_device():
    cuda = devices.Device("cuda:1", "CUDAExecutionProvider", 1)
    assert cuda.providers() == [("CUDAExecutionProvider", {"device_id": "1"}), "CPUExecutionProvider"]
    assert devices.resolve_device("cpu").providers() == ["CPUExecutionProvider"]
    assert devices.Device("coreml", "CoreMLExecutionProvider").compiles
    assert not cuda.compiles


def test_a_device_that_compiles_always_gets_full_batches():
    """No such device is here, so one is claimed; the session is real and records its shapes."""
    loaded = models.load(mlp_model(WEIGHTS), "cpu", {})
    loaded.on = loaded.on._replace(provider="TensorrtExecutionProvider")
    seen = []
    live = loaded.session

    class Recording:
        def run(self, names, feeds):
            seen.append(feeds["x"].shape[0])
            return live.run(names, feeds)

    loaded.session = Recording()
    hook = generator(LIVE).backend.hook
    rows = [
        hook.forward(model=loaded, inputs=INPUTS[part], output_mode="logits", batch_size=16)
        for part in (slice(0, 16), slice(16, 27))
    ]
    np.testing.assert_allclose(np.concatenate(rows), EXPECTED[:27], rtol=0, atol=1e-6)
    assert seen == [16, 16]


# Files


def external_model(folder, location="weights.data", name="model.onnx"):
    """Write a model whose weights are in a file of their own, under any claimed name."""
    onnx.save(mlp_model(WEIGHTS), folder / name, save_as_external_data=True, location="weights.data", size_threshold=0)
    proto = onnx.load(folder / name, load_external_data=False)
    for tensor in proto.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    (folder / name).write_bytes(proto.SerializeToString())
    return folder / name


def test_external_weights_are_read_from_the_models_folder(tmp_path, monkeypatch):
    check(run(external_model(tmp_path), INPUTS))
    monkeypatch.chdir(tmp_path)
    check(run("model.onnx", INPUTS))


def test_external_weights_may_be_in_a_folder_inside_or_behind_a_link_that_stays_inside(tmp_path):
    external_model(tmp_path)
    (tmp_path / "inside").mkdir()
    shutil.move(tmp_path / "weights.data", tmp_path / "inside" / "moved")
    (tmp_path / "link").symlink_to("inside/moved")
    for location in ("inside/moved", "link"):
        model = external_model(tmp_path, location)
        (tmp_path / "weights.data").unlink()
        check(run(model, INPUTS))
        assert digest_model(stored(model)[0]) == digest_model(stored(mlp_model(WEIGHTS).SerializeToString())[0])


def test_a_link_to_a_model_stands_for_the_model(tmp_path):
    (tmp_path / "models").mkdir()
    external_model(tmp_path / "models")
    (tmp_path / "current.onnx").symlink_to("models/model.onnx")
    check(run(tmp_path / "current.onnx", INPUTS))


def test_external_weights_outside_the_models_folder_are_refused(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    external_model(folder)
    shutil.copy(folder / "weights.data", tmp_path / "outside.data")
    (folder / "link.data").symlink_to("../outside.data")
    (folder / "linked").symlink_to("..")
    locations = ["../outside.data", str(tmp_path / "outside.data"), "link.data", "linked/outside.data", ""]
    locations += ["inside/../../outside.data", "..\\outside.data", str(folder / "weights.data")]
    for location in locations:
        message = refused(ValueError, "only name files inside its own folder", external_model(folder, location))
        assert repr(location) in message
        assert "onnx.save_model" in message


@pytest.mark.parametrize("location", ["absent.data", "*/_ORT_MEM_ADDR_/*", "x" * 300, "zero\0byte"])
def test_external_weights_that_are_not_there_are_named(location, tmp_path):
    refused(ValueError, f"{re.escape(repr(location))}, but there is no such file", external_model(tmp_path, location))


def test_bytes_may_not_name_files(tmp_path, monkeypatch):
    """They would be read from the current folder, whichever that is."""
    path = external_model(tmp_path)
    monkeypatch.chdir(tmp_path)
    for model in (path.read_bytes(), onnx.load(path, load_external_data=False)):
        refused(ValueError, r"'weights.data', and bytes have no folder; pass the model's path, or embed", model)


def hidden_places():
    """Return models that name a file in an unusual place."""
    tensor = helper.make_tensor("t", FLOAT, [1], b"\0\0\0\0", raw=True)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    constant = helper.make_node("Constant", [], ["c"], value=tensor)
    branch = helper.make_graph([constant], "branch", [], [helper.make_tensor_value_info("c", FLOAT, [1])])
    condition = helper.make_node("If", ["b"], ["c"], then_branch=branch, else_branch=branch)
    function = helper.make_function("own", "F", [], ["c"], [constant], [helper.make_opsetid("", 21)])
    compiled = helper.make_node(
        "EPContext", [], ["c"], domain="com.microsoft", embed_mode=0, ep_cache_context="../secret"
    )
    sparse = helper.make_sparse_tensor(tensor, helper.make_tensor("i", TensorProto.INT64, [1], [0]), [1])
    outputs = [helper.make_tensor_value_info("c", FLOAT, [1])]
    for nodes, extra in (
        ([constant], {}),
        ([condition], {}),
        ([helper.make_node("F", [], ["c"], domain="own")], {"functions": [function]}),
        ([compiled], {}),
        ([helper.make_node("Constant", [], ["c"], sparse_value=sparse)], {}),
    ):
        yield helper.make_model(helper.make_graph(nodes, "g", [], outputs), **extra)
    yield helper.make_model(helper.make_graph([], "g", [], outputs, sparse_initializer=[sparse]))


@pytest.mark.parametrize(
    "proto", list(hidden_places()), ids=["node", "subgraph", "function", "compiled", "sparse", "sparse 2"]
)
def test_files_are_found_wherever_a_model_names_them(proto, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ValueError, match=r"'../secret' is no path inside that folder"):
        generator(path)


@hypothesis.given(
    st.one_of(st.text(), st.lists(st.sampled_from(["..", ".", "a", "", "link", "\\", "C:"])).map("/".join))
)
def test_no_name_leads_out_of_the_folder(tmp_path_factory, location):
    folder = tmp_path_factory.getbasetemp() / "property" / "model"
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / "a").write_bytes(b"inside")
        (folder.parent / "a").write_bytes(b"outside")
        (folder / "link").symlink_to("..")
    try:
        found = check_file(location, folder.resolve(), "model")
    except ValueError:
        return
    assert found.read_bytes() == b"inside"


def test_a_missing_file_is_named(tmp_path):
    for path in (tmp_path / "absent.onnx", tmp_path):
        with pytest.raises(FileNotFoundError, match=f"{path}: there is no such model file"):
            generator(path)


# Damaged and too new


@hypothesis.given(st.data())
def test_part_of_a_model_is_refused(data):
    content = mlp_model(WEIGHTS).SerializeToString()
    cut = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(ValueError, match="the bytes of the model: "):
        generator(content[:cut])


@hypothesis.given(st.binary(max_size=200))
def test_other_bytes_are_refused(content):
    with pytest.raises(ValueError, match="the bytes of the model: "):
        generator(content)


def test_what_often_lies_in_place_of_a_model_is_named(tmp_path):
    pointer = tmp_path / "pointer.onnx"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")
    with pytest.raises(ValueError, match=r"pointer.onnx: is a pointer of Git LFS.*git lfs pull"):
        generator(pointer)
    settings = onnxruntime.SessionOptions()
    settings.optimized_model_filepath = str(tmp_path / "model.ort")
    settings.add_session_config_entry("session.save_model_format", "ORT")
    settings.log_severity_level = 4
    onnxruntime.InferenceSession(mlp_model(WEIGHTS).SerializeToString(), settings, providers=["CPUExecutionProvider"])
    with pytest.raises(ValueError, match=r"model.ort: is in ORT format; pass an onnxruntime.InferenceSession"):
        generator(tmp_path / "model.ort")
    live = onnxruntime.InferenceSession(str(tmp_path / "model.ort"), providers=["CPUExecutionProvider"])
    check(run(live, INPUTS))


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({"opset": 99}, r"needs opset 99 of ai.onnx, onnxruntime [\d.]+ knows \d+ and older; .*opset_version=\d+"),
        ({"domains": [("ai.onnx.ml", 99)]}, r"needs opset 99 of ai.onnx.ml, onnxruntime [\d.]+ knows \d+ and older"),
        ({"ir_version": 99}, r"has the IR version 99, onnxruntime [\d.]+ reads \d+ and older; install a newer"),
    ],
)
def test_a_model_that_is_too_new_is_explained(options, pattern, tmp_path):
    path = tmp_path / "new.onnx"
    path.write_bytes(mlp_model(WEIGHTS, **options).SerializeToString())
    with pytest.raises(ValueError, match=f"new.onnx: it {pattern}"):
        generator(path)


def test_an_operator_that_nobody_knows_is_named():
    nodes = [("Wavelet", "x", "y", {"domain": "own"})]
    model = model_of(nodes, {"x": (FLOAT, ["N", 3])}, {"y": (FLOAT, ["N", 3])}, domains=[("own", 1)])
    with pytest.raises(ValueError, match=r"does not know its operator own:Wavelet.*register_custom_ops_library"):
        generator(model)


def test_any_other_reason_is_passed_on_with_the_versions():
    nodes = [("MatMul", "x absent", "y", {})]
    model = model_of(nodes, {"x": (FLOAT, ["N", 3])}, {"y": (FLOAT, ["N", 3])})
    with pytest.raises(ValueError, match=r"cannot load it \(IR version 10, opset ai.onnx 21\): .*absent"):
        generator(model)


# Dtypes


def identity(kind, output=None, axes=(3,)):
    nodes = [("Cast", "x", "y", {"to": output or kind})]
    return model_of(nodes, {"x": (kind, ["N", *axes])}, {"y": (output or kind, ["N", *axes])})


@pytest.mark.parametrize("given", [np.float16, np.float32, np.float64, ">f4", ">f8"])
@pytest.mark.parametrize("kind", ["FLOAT16", "FLOAT", "DOUBLE", "BFLOAT16"])
def test_floats_are_cast_to_the_models_own(given, kind):
    logits = reference.samples(rows=9, shape=(3,))[0].astype(given)
    tolerance = {"FLOAT16": 1e-3, "BFLOAT16": 2.0**-7}.get(kind, 1e-6)
    check(
        run(identity(TensorProto.DataType.Value(kind)), logits, output_mode="logits"),
        reference.softmax(logits),
        tolerance,
    )


def test_double_logits_lose_nothing_before_the_softmax():
    logits = np.array([[1e9, 1e9 + 1.0, 0.0]])
    rows = run(identity(TensorProto.DOUBLE), logits, output_mode="logits")
    np.testing.assert_allclose(rows[0], [1 / (1 + np.e), np.e / (1 + np.e), 0], rtol=0, atol=1e-7)


@pytest.mark.parametrize("kind", ["FLOAT16", "BFLOAT16", "DOUBLE"])
def test_probabilities_of_any_float_become_float32(kind):
    model = identity(FLOAT, TensorProto.DataType.Value(kind))
    distributions = run(model, EXPECTED.astype(np.float32), output_mode="probs")
    check(distributions, EXPECTED, {"FLOAT16": 1e-3, "BFLOAT16": 2.0**-7, "DOUBLE": 1e-6}[kind])
    np.testing.assert_allclose(distributions.probabilities.sum(axis=1), 1, rtol=0, atol=1e-6)


def embedding(kind):
    """Return a model that looks a row of logits up by a number."""
    return model_of(
        [("Gather", "table x", "logits", {})], {"x": (kind, ["N"])}, {"logits": (FLOAT, ["N", 5])}, {"table": INPUTS}
    )


@pytest.mark.parametrize("kind", ["INT32", "INT64"])
@pytest.mark.parametrize("given", [np.uint8, np.int16, np.int32, np.int64, np.uint64])
def test_integers_are_cast_where_every_value_fits(kind, given):
    numbers = np.arange(9, dtype=given)[::-1]
    check(
        run(embedding(TensorProto.DataType.Value(kind)), numbers, output_mode="logits"),
        reference.softmax(INPUTS[8::-1]),
    )


def test_integers_that_do_not_fit_are_refused():
    numbers = np.array([0, 2**40])
    refused(ValueError, r"'x': the model wants int32, got int64; its values from 0 to 1099511627776 do not fit",
            embedding(TensorProto.INT32), numbers)  # fmt: skip


def test_pixels_are_not_scaled_by_guess_and_the_shown_getter_works():
    pixels = np.random.default_rng(0).integers(0, 256, (12, 5), dtype=np.uint8)
    samples = list(zip(pixels, LABELS, strict=False))
    message = refused(
        ValueError, r"'x': the model wants float32, got uint8; whether to scale it is not guessed", LIVE, samples
    )
    (code,) = re.findall(r"input_getter=(lambda .*? / 255)", message)
    rows = reference.softmax(reference.mlp_logits(WEIGHTS, (pixels / 255).astype(np.float32)))
    check(run(LIVE, samples, input_getter=eval(code)), rows)


@pytest.mark.parametrize(
    ("kind", "given", "pattern"),
    [
        (TensorProto.INT64, np.zeros((4, 3)), "wants int64, got float64"),
        (TensorProto.BOOL, np.zeros((4, 3), np.uint8), "wants bool, got uint8"),
        (FLOAT, np.zeros((4, 3), np.bool_), "wants float32, got bool"),
        (FLOAT, np.full((4, 3), "a"), "wants float32, got <U1"),
        (FLOAT, np.zeros((4, 3), np.complex64), "wants float32, got complex64"),
        (TensorProto.UINT8, np.full((4, 3), -1), "values from -1 to -1 do not fit"),
    ],
)
def test_other_dtypes_are_refused_by_name(kind, given, pattern):
    refused(ValueError, f"input 'x': .*{pattern}", identity(kind, FLOAT), given)


def test_text_goes_in():
    words = {"domain": "ai.onnx.ml", "keys_strings": ["a", "b"], "values_int64s": [1, 0]}
    nodes = [("LabelEncoder", "x", "position", words), ("Gather", "table position", "logits", {})]
    inputs, outputs = {"x": (TensorProto.STRING, ["N"])}, {"logits": (FLOAT, ["N", 5])}
    model = model_of(nodes, inputs, outputs, {"table": INPUTS}, domains=[("ai.onnx.ml", 3)])
    for texts in (np.array(["b", "a"]), np.array(["b", "a"], object), ["b", "a"]):
        check(run(model, texts, output_mode="logits"), reference.softmax(INPUTS[:2]))
    refused(ValueError, "wants text, got object", model, np.array(["b", None], object))


# Names


def two_inputs():
    """Return a model of left - 2 * right, with its inputs in this order."""
    nodes = [("Add", "right right", "twice", {}), ("Sub", "left twice", "logits", {})]
    shape = (FLOAT, ["N", 5])
    return model_of(nodes, {"left": shape, "right": shape}, {"logits": shape})


class Sides(NamedTuple):
    right: Any
    left: Any


RIGHT = np.roll(INPUTS, 1, axis=0)
BOTH = reference.softmax(INPUTS.astype(np.float64) - 2 * RIGHT)


@pytest.mark.parametrize(
    "inputs",
    [
        {"right": RIGHT, "left": INPUTS},
        (INPUTS, RIGHT),
        Sides(right=RIGHT, left=INPUTS),
    ],
    ids=["mapping", "tuple", "namedtuple"],
)
def test_several_inputs_go_by_name_or_in_order(inputs):
    pairs = [({"all": row}, 0) for row in range(50)]

    def getter(pair):
        row = pair[0]["all"]
        if isinstance(inputs, dict):
            return {name: array[row] for name, array in inputs.items()}
        return (
            type(inputs)(*(array[row] for array in inputs))
            if isinstance(inputs, Sides)
            else (inputs[0][row], inputs[1][row])
        )

    check(run(two_inputs(), pairs, input_getter=getter, output_mode="logits"), BOTH)
    if isinstance(inputs, dict):
        check(run(two_inputs(), inputs, output_mode="logits"), BOTH)


@pytest.mark.parametrize(
    ("inputs", "pattern"),
    [
        ({"left": INPUTS}, r"'left' \(tensor\(float\) \(N, 5\)\), 'right' .*; missing 'right': "),
        ({"left": INPUTS, "rigth": RIGHT}, r"missing 'right'; unknown 'rigth': "),
        ({"left": INPUTS, "right": RIGHT, "label": LABELS}, r"; unknown 'label': .*return a dict of them by name"),
        (INPUTS, r"has 2 inputs, 'left' .*, 'right' .*, but a batch has 1; return a dict by name"),
    ],
)
def test_missing_and_unknown_inputs_are_named(inputs, pattern):
    refused(ValueError, pattern, two_inputs(), inputs)


def test_samples_that_do_not_stack_are_refused():
    samples = [np.zeros(5, np.float32), np.zeros(4, np.float32)]
    refused(TypeError, r"'x': expected one array per batch, got 2 samples that do not stack", LIVE, samples)


def test_a_model_of_sequences_is_refused():
    sequence = helper.make_tensor_sequence_value_info("x", FLOAT, ["N"])
    output = helper.make_tensor_value_info("y", FLOAT, None)
    node = helper.make_node("ConcatFromSequence", ["x"], ["y"], axis=0)
    graph = helper.make_graph([node], "g", [sequence], [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    refused(TypeError, r"'x': expected a model with plain tensors as inputs, got one with seq", model)


# Shapes


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_the_other_layout_is_refused_and_the_shown_transposes_work(layout):
    model = cnn_model(IMAGE_WEIGHTS, layout=layout)
    images = IMAGES if layout == "NHWC" else IMAGES.transpose(0, 3, 1, 2)
    check(run(model, images), IMAGE_ROWS)
    other = IMAGES.transpose(0, 3, 1, 2) if layout == "NHWC" else IMAGES
    samples = list(zip(other, LABELS, strict=False))
    wrong = {"NHWC": "NCHW", "NCHW": "NHWC"}[layout]
    message = refused(ValueError, f"'x': .*the data is {wrong}, the model wants {layout}", model, samples)
    array_code, getter_code = re.search(r"(batch\.transpose\(.*?\)), .*input_getter=(.*)$", message).groups()
    check(run(model, samples, input_getter=eval(getter_code)), IMAGE_ROWS)
    check(run(model, eval(array_code, {"batch": other})), IMAGE_ROWS)


def test_other_orders_of_axes_are_shown():
    model = identity(FLOAT, axes=(7, 3))
    message = refused(ValueError, "the axes have another order", model, np.zeros((4, 3, 7), np.float32))
    assert "batch.transpose(0, 2, 1)" in message


@pytest.mark.parametrize(
    ("given", "axes", "code"),
    [((4, 8, 8), (1, 8, 8), "[:, None]"), ((4, 8, 8), (8, 8, 1), "[..., None]"), ((4,), (1,), "[:, None]")],
)
def test_a_missing_axis_is_shown(given, axes, code):
    message = refused(ValueError, "an axis is missing", identity(FLOAT, axes=axes), np.zeros(given, np.float32))
    assert f"batch{code}" in message
    assert eval(f"np.zeros({given}){code}").shape == (4, *axes)


def test_any_other_shape_is_named():
    refused(
        ValueError,
        r"'x': the model wants \(N, 5\), got \(16, 4\); bring each sample to that shape",
        LIVE,
        INPUTS[:, :4],
    )


@pytest.mark.parametrize(
    ("axes", "channels"),
    [((3, 8, 8), "first"), ((8, 8, 1), "last"), ((3, 8, 3), None), ((None, None, 3), "last"), ((8, 8), None)],
)
def test_the_axis_of_the_channels_is_told_where_the_shape_tells(axes, channels):
    assert models.load(identity(FLOAT, axes=axes), "cpu", {}).channels == channels
    assert models.load(two_inputs(), "cpu", {}).channels is None


def test_axes_without_a_number_take_any_size():
    nodes = [("ReduceMean", "x axes", "y", {"keepdims": 0})]
    model = model_of(nodes, {"x": (FLOAT, ["N", None, "length"])}, {"y": (FLOAT, ["N", None])}, {"axes": [2]})
    given = reference.samples(rows=4, shape=(3, 6))[0]
    check(run(model, given, output_mode="logits"), reference.softmax(given.mean(axis=2)))
    unknown = model_of([("Identity", "x", "y", {})], {"x": (FLOAT, None)}, {"y": (FLOAT, None)})
    check(run(unknown, INPUTS, output_mode="logits"), reference.softmax(INPUTS))


# A fixed number of rows


@pytest.mark.parametrize("fixed", [1, 4, 16, 64])
@pytest.mark.parametrize("batch_size", [1, 7, 16, 50])
def test_a_fixed_number_of_rows_takes_any_batch_size(fixed, batch_size):
    check(run(mlp_model(WEIGHTS, rows=fixed), INPUTS, batch_size=batch_size))


def test_an_output_without_rows_is_no_trap_for_a_fixed_number_of_rows():
    nodes = [("Identity", "x", "logits", {}), ("ReduceMean", "x", "loss", {"keepdims": 0})]
    model = model_of(nodes, {"x": (FLOAT, [4, 5])}, {"logits": (FLOAT, [4, 5]), "loss": (FLOAT, [])})
    check(run(model, INPUTS, output_mode="logits"), reference.softmax(INPUTS))
    refused(InvalidOutputError, "expected 4 rows, got 0", model, output_transform=lambda outputs: outputs["logits"])
    transformed = run(model, INPUTS, options={"output": "logits"}, output_transform=reference.softmax)
    check(transformed, reference.softmax(INPUTS))


def test_a_wrong_number_of_rows_is_not_hidden_by_parts():
    nodes = [("Concat", "x x", "y", {"axis": 0})]
    model = model_of(nodes, {"x": (FLOAT, [4, 5])}, {"y": (FLOAT, [8, 5])})
    refused(InvalidOutputError, "expected 4 rows, got 8", model, output_mode="logits")


def test_inputs_with_different_fixed_numbers_of_rows_are_refused():
    nodes = [("Identity", "left", "logits", {})]
    model = model_of(nodes, {"left": (FLOAT, [4, 5]), "right": (FLOAT, [1, 5])}, {"logits": (FLOAT, [4, 5])})
    with pytest.raises(ValueError, match=r"different fixed numbers of rows \('left': \(4, 5\), 'right': \(1, 5\)\)"):
        generator(model)


# Outputs


def several(*names, kinds=None):
    """Return a model with the inputs, and multiples of them, under several names."""
    nodes = [("Mul", f"x by{number}", name, {}) for number, name in enumerate(names)]
    factors = {f"by{number}": np.float32(number + 1) for number in range(len(names))}
    return model_of(nodes, {"x": (FLOAT, ["N", 5])}, dict.fromkeys(names, (FLOAT, ["N", 5])), factors)


@pytest.mark.parametrize("names", [("hidden", "logits"), ("logits", "hidden"), ("hidden", "class_logits", "aux")])
def test_the_output_called_logits_is_taken(names):
    factor = [number + 1 for number, name in enumerate(names) if "logits" in name][0]  # noqa: RUF015  # one there is
    for mode in ("auto", "logits"):
        check(run(several(*names), INPUTS, output_mode=mode), reference.softmax(factor * INPUTS))


def test_of_logits_and_probabilities_the_output_mode_decides():
    nodes = [("Identity", "x", "logits", {}), ("Softmax", "x", "probs", {}), ("Neg", "x", "hidden", {})]
    shape = (FLOAT, ["N", 5])
    model = model_of(nodes, {"x": shape}, {"logits": shape, "probs": shape, "hidden": shape})
    for mode in ("auto", "logits", "probs"):
        distributions = run(model, INPUTS, output_mode=mode)
        check(distributions, reference.softmax(INPUTS))
        assert distributions.meta["output_mode"] == {"auto": "probs"}.get(mode, mode)


@pytest.mark.parametrize("names", [("a", "b"), ("logits", "other_logits"), ("probs", "probabilities", "logits")])
def test_outputs_that_nobody_can_choose_between_are_named(names):
    message = refused(ValueError, r"several outputs, .*output_transform, which gets a dict by name", several(*names))
    for name in names:
        assert f"{name!r} (tensor(float))" in message
    (code,) = re.findall(r"options=(\{.*?\})", message)
    distributions = run(several(*names), INPUTS, options=eval(code), output_mode="logits")
    check(distributions, reference.softmax(INPUTS))
    assert distributions.meta["options"] == {"output": names[0]}


def test_output_transform_gets_several_outputs_by_name_and_one_alone():
    transformed = run(several("a", "b"), INPUTS, output_transform=lambda outputs: reference.softmax(outputs["b"]))
    check(transformed, reference.softmax(2 * INPUTS))
    check(run(LIVE, INPUTS, output_transform=reference.softmax))


def test_class_labels_are_no_scores():
    nodes = [("ArgMax", "x", "label", {"axis": 1, "keepdims": 0})]
    model = model_of(nodes, {"x": (FLOAT, ["N", 5])}, {"label": (TensorProto.INT64, ["N"])})
    refused(TypeError, "looks like class labels", model)
    text = identity(FLOAT, TensorProto.STRING, axes=(5,))
    refused(TypeError, "looks like class labels", text)


def test_options_are_checked():
    for options, pattern in (
        ({"output": "nope"}, r"option 'output': expected one of None, 'logits', got 'nope'"),
        ({"thread": 1}, "unknown option 'thread'; known: threads"),
        ({"threads": "2"}, r"option 'threads': expected one of range\(0, 1024\), got '2'"),
    ):
        with pytest.raises(ValueError, match=pattern):
            generator(mlp_model(WEIGHTS), options=options)
    with pytest.raises(ValueError, match="a live session has its own"):
        generator(LIVE, options={"threads": 1})
    made = generator(mlp_model(WEIGHTS), options={"threads": 1})
    assert made._loaded.session.get_session_options().intra_op_num_threads == 1
    check(made.generate_distributions(INPUTS, progress=False))


# Exported scikit-learn models: what their exporters make


def zipmap(labels, rows="N", classes=None):
    """Return a model that ends like one of scikit-learn: softmax, label, and a list of maps."""
    nodes = [
        ("Softmax", "x", "scores", {}),
        ("ArgMax", "scores", "position", {"axis": 1, "keepdims": 0}),
        ("ArrayFeatureExtractor", "classes position", "found", {"domain": "ai.onnx.ml"}),
        ("Reshape", "found flat", "output_label", {}),
        ("ZipMap", "scores", "output_probability", {"domain": "ai.onnx.ml", **labels}),
    ]
    (given,) = labels.values()
    key = TensorProto.STRING if isinstance(given[0], str) else TensorProto.INT64
    classes = np.array(classes or given, object if isinstance(given[0], str) else np.int64)
    weights = {"classes": classes, "flat": np.array([-1])}
    model = model_of(
        nodes, {"x": (FLOAT, [rows, 5])}, {"output_label": (key, [rows])}, weights, domains=[("ai.onnx.ml", 3)]
    )
    value = helper.make_map_type_proto(key, helper.make_tensor_type_proto(FLOAT, None))
    model.graph.output.append(helper.make_value_info("output_probability", helper.make_sequence_type_proto(value)))
    return model


@pytest.mark.parametrize("rows", ["N", 4])
@pytest.mark.parametrize("labels", [{"classlabels_strings": list("dbcea")}, {"classlabels_int64s": [30, -1, 7, 2, 10]}])
def test_maps_become_columns_in_the_models_order_of_classes(labels, rows):
    """ONNX Runtime sorts the maps; the order of the model is another one."""
    distributions = run(zipmap(labels, rows), INPUTS)
    check(distributions, reference.softmax(INPUTS))
    assert distributions.class_names == [str(label) for label in next(iter(labels.values()))]
    assert distributions.meta["output_mode"] == "probs"


def test_maps_of_a_session_that_does_not_show_its_graph_are_sorted():
    live = session(zipmap({"classlabels_strings": list("dbcea")}))
    live._model_bytes = None
    distributions = run(live, INPUTS)
    check(distributions, reference.softmax(INPUTS)[:, [4, 1, 2, 0, 3]])
    assert distributions.class_names is None


@pytest.mark.parametrize("row", [{"a": 1.0}, {"a": 0.5, "b": 0.25, "c": 0.25}, {"a": 0.5, "c": 0.5}])
def test_a_map_with_other_classes_is_refused(row):
    with pytest.raises(ValueError, match=r"a row has .*\['a', 'b'\]; set output_transform"):
        map_columns([{"a": 0.5, "b": 0.5}, row], None)


def test_a_graph_that_names_the_classes_in_two_orders_is_not_believed():
    distributions = run(zipmap({"classlabels_strings": list("dbcea")}, classes=list("edcba")), INPUTS)
    check(distributions, reference.softmax(INPUTS)[:, [4, 1, 2, 0, 3]])
    assert distributions.class_names is None


def test_output_transform_gets_the_maps_of_a_fixed_number_of_rows():
    model = zipmap({"classlabels_strings": list("abcde")}, rows=4)

    def transform(outputs):
        assert len(outputs["output_label"]) == len(outputs["output_probability"])
        return np.array([list(row.values()) for row in outputs["output_probability"]], np.float32)

    check(run(model, INPUTS, output_transform=transform), reference.softmax(INPUTS))


if "sklearn" in BACKENDS:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.datasets import load_iris
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    FLOWERS, SPECIES = load_iris(return_X_y=True)
    FLOWERS = FLOWERS.astype(np.float32)
    NAMES = np.array(["setosa", "virginica", "versicolor"])[SPECIES]  # not in the order of their numbers
    CLASSIFIERS = [
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
        RandomForestClassifier(5, random_state=0),
        GradientBoostingClassifier(n_estimators=3, random_state=0),
        GaussianNB(),
        KNeighborsClassifier(),
        CalibratedClassifierCV(LogisticRegression(max_iter=500), cv=3),
    ]

    @pytest.mark.filterwarnings("ignore::DeprecationWarning:skl2onnx", "ignore::DeprecationWarning:onnx")
    @pytest.mark.parametrize("maps", [True, False], ids=["zipmap", "arrays"])
    @pytest.mark.parametrize(
        "labels", [NAMES, SPECIES * 10 - 10, (SPECIES > 0).astype(np.int64)], ids=["text", "numbers", "two"]
    )
    @pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda classifier: type(classifier).__name__)
    def test_exported_scikit_learn_models_agree_with_scikit_learn(classifier, labels, maps, tmp_path):
        from skl2onnx import to_onnx

        classifier.fit(FLOWERS, labels)
        path = tmp_path / "model.onnx"
        path.write_bytes(to_onnx(classifier, FLOWERS[:1], options={"zipmap": maps}).SerializeToString())
        for model in (path, onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])):
            distributions = run(model, (FLOWERS, SPECIES))
            check(distributions, classifier.predict_proba(FLOWERS), 1e-5)
            assert distributions.class_names == [str(name) for name in classifier.classes_]
            assert distributions.meta["output_mode"] == "probs"

    def test_an_output_per_class_is_stacked_by_the_user():
        from skl2onnx import to_onnx

        classifier = CLASSIFIERS[0].fit(FLOWERS, SPECIES)
        model = to_onnx(classifier, FLOWERS[:1], options={"zipmap": "columns"})
        refused(ValueError, "several outputs", model, FLOWERS)

        def stack(outputs):
            return np.stack([outputs[name] for name in outputs if name != "output_label"], axis=1)

        check(run(model, FLOWERS, output_transform=stack), classifier.predict_proba(FLOWERS), 1e-5)

    def test_a_table_with_a_column_per_input_goes_in_by_name():
        import pandas as pd
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import FloatTensorType
        from sklearn.compose import ColumnTransformer

        table = pd.DataFrame(FLOWERS, columns=list("abcd"))
        scaled = ColumnTransformer([("scaled", StandardScaler(), list("abcd"))])
        classifier = make_pipeline(scaled, LogisticRegression(max_iter=500)).fit(table, SPECIES)
        types = [(name, FloatTensorType([None, 1])) for name in "abcd"]
        model = to_onnx(classifier, initial_types=types, options={"zipmap": False})
        expected = classifier.predict_proba(table)
        check(run(model, table), expected, 1e-5)
        check(run(model, table[list("dcba")]), expected, 1e-5)
        refused(ValueError, "missing 'a'", model, table[list("bcd")])


if "torch" in BACKENDS:
    import torch

    class ConvNet(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.features = torch.nn.Sequential(
                torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.MaxPool2d(2)
            )
            self.head = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(8 * 3 * 3, 4))

        def forward(self, images):
            return self.head(self.features(images))

    @pytest.mark.filterwarnings("ignore:::torch", "ignore:::onnxscript", "ignore:::copyreg")
    @pytest.mark.parametrize("rows", ["any", "fixed"])
    def test_an_exported_torch_cnn_agrees_with_the_torch_backend(rows, tmp_path):
        torch.manual_seed(0)
        network = ConvNet()
        network(torch.randn(64, 3, 8, 8))  # so that the batch statistics are not the initial ones
        network.eval()
        dynamic = {"dynamic_shapes": ({0: torch.export.Dim("N")},)} if rows == "any" else {}
        path = tmp_path / "network.onnx"
        example = torch.randn(5, 3, 8, 8)
        torch.onnx.export(network, (example,), path, dynamo=True, external_data=True, verbose=False, **dynamic)
        dataset = torch.utils.data.TensorDataset(torch.randn(70, 3, 8, 8), torch.arange(70) % 4)
        theirs = FirstOrderDataGenerator(network, batch_size=16).generate_distributions(dataset, progress=False)
        ours = run(path, dataset)
        check(ours, theirs.probabilities, 1e-5)
        np.testing.assert_array_equal(ours.labels, theirs.labels)
        loader = torch.utils.data.DataLoader(dataset, batch_size=16, shuffle=True)
        check(run(path, loader), theirs.probabilities, 1e-5)


# Memory


def greedy():
    """Return the identity, which takes 2**56 bytes for more than three rows."""
    nodes = [
        ("Shape", "x", "rows", {"end": 1}),
        ("Greater", "rows three", "many", {}),
        ("Where", "many huge one", "size", {}),
        ("ConstantOfShape", "size", "zeros", {}),
        ("ReduceMax", "zeros", "zero", {"keepdims": 0}),
        ("Add", "x zero", "logits", {}),
    ]
    numbers = {name: np.array([value]) for name, value in (("three", 3), ("huge", 2**54), ("one", 1))}
    return model_of(nodes, {"x": (FLOAT, ["N", 5])}, {"logits": (FLOAT, ["N", 5])}, numbers)


def test_a_real_lack_of_memory_halves_the_batch():
    with pytest.warns(UserWarning, match=r"out of memory; going on with smaller batches"):
        distributions = run(greedy(), INPUTS, output_mode="logits", batch_size=16)
    check(distributions, reference.softmax(INPUTS))


def test_other_errors_are_no_lack_of_memory():
    with pytest.raises(Exception, match="Invalid rank") as caught:
        LIVE.run(None, {"x": INPUTS[0]})
    assert type(caught.value).__module__.startswith("onnxruntime")
    assert not is_out_of_memory(error=caught.value)
    assert not is_out_of_memory(error=ValueError("out of memory"))
    assert is_out_of_memory(error=MemoryError())


def test_an_error_of_the_model_names_the_batch():
    nodes = [("Reshape", "x two", "y", {})]
    model = model_of(nodes, {"x": (FLOAT, ["N", 5])}, {"y": (FLOAT, None)}, {"two": np.array([16, 5])})
    with pytest.raises(Exception, match="cannot be reshaped") as caught:
        run(model, INPUTS, output_mode="logits")
    assert any("batch 3" in note for note in caught.value.__notes__)


# Weights, their digest, and posteriors


def digest(source):
    loaded = models.load(source, "cpu", {})
    return digest_model(loaded.stored)


def test_the_same_weights_have_the_same_digest(tmp_path, path):
    """However they are stored, and whatever the exporter wrote beside them."""
    wordy = mlp_model(WEIGHTS)
    wordy.producer_name, wordy.doc_string, wordy.graph.doc_string = "exporter", "text", "text"
    wordy.graph.node[0].doc_string = "text"
    fields = mlp_model(WEIGHTS)
    for tensor, array in zip(fields.graph.initializer, WEIGHTS, strict=True):
        tensor.ClearField("raw_data")
        tensor.float_data.extend(array.ravel().tolist())
    same = [path, str(path), path.read_bytes(), LIVE, wordy, fields, external_model(tmp_path)]
    digests = {digest(source) for source in same}
    assert len(digests) == 1
    assert digests.pop().startswith("sha256:")


def test_other_weights_have_another_digest():
    renamed, changed = mlp_model(WEIGHTS), mlp_model(WEIGHTS)
    changed.graph.node[1].op_type = "Sigmoid"
    other = WEIGHTS._replace(second_bias=np.nextafter(WEIGHTS.second_bias, 9).astype(np.float32))
    renamed.opset_import[0].version = 20
    shape = {"x": (FLOAT, ["N", 3])}, {"y": (FLOAT, ["N", 3])}
    constants = [numpy_helper.from_array(np.full(3, value, np.float32)) for value in (1, 2)]
    added = [
        model_of([("Constant", "", "c", {"value": value}), ("Add", "x c", "y", {})], *shape) for value in constants
    ]
    every = [mlp_model(WEIGHTS), mlp_model(other), changed, renamed, *added]
    assert len({digest(model) for model in every}) == len(every)


@pytest.mark.parametrize("kind", ["BFLOAT16", "FLOAT16", "INT4", "FLOAT8E4M3FN", "BOOL", "STRING"])
def test_weights_of_every_dtype_have_a_digest(kind):
    def model(values):
        code = TensorProto.DataType.Value(kind)
        data = [str(value).encode() for value in values] if kind == "STRING" else values
        tensor = helper.make_tensor("w", code, [2], data)
        graph = helper.make_graph([], "g", [], [helper.make_tensor_value_info("w", code, [2])], [tensor])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()

    first, again, other = (digest_model(stored(model(values))[0]) for values in ([0, 1], [0, 1], [1, 0]))
    assert first == again != other


def test_a_store_is_resumed_with_the_same_weights_only(tmp_path, path):
    out, stop, seen = tmp_path / "teacher.fod", tmp_path / "stop", []
    stop.touch()

    def getter(pair):
        seen.append(pair[1])
        if stop.exists() and pair[1] == 40:
            raise KeyboardInterrupt
        return pair[0]

    def resume(model):
        made = generator(model, input_getter=getter, output_mode="logits", batch_size=4)
        return made.generate_distributions(list(zip(INPUTS, range(50), strict=True)), out=out, shard_seconds=0.001)

    with pytest.raises(KeyboardInterrupt):
        resume(path)
    stop.unlink()
    with pytest.raises(StoreError, match="weights"):
        resume(mlp_model(reference.mlp_weights(seed=3)))
    with pytest.raises(StoreError, match="weights"):
        resume(session(mlp_model(reference.mlp_weights(seed=3))))
    before = len(seen)
    check(resume(path))
    assert len(seen) - before < 50, "what was there is not generated again"
    open_store(out).verify()


def test_a_finished_store_is_returned_for_the_same_weights_and_refused_for_others(tmp_path, path):
    out = tmp_path / "teacher.fod"
    first = generator(path).generate_distributions((INPUTS, LABELS), out=out, progress=False)
    check(first)
    again = generator(external_model(tmp_path)).generate_distributions((INPUTS, LABELS), out=out, progress=False)
    assert again == first
    open_store(out).verify()
    onnx.save(mlp_model(reference.mlp_weights(seed=3)), path)
    with pytest.raises(StoreError, match="weights"):
        generator(path).generate_distributions((INPUTS, LABELS), out=out, progress=False)
    chosen = generator(external_model(tmp_path), options={"output": "logits"})
    with pytest.raises(StoreError, match="output"):
        chosen.generate_distributions((INPUTS, LABELS), out=out, progress=False)


def test_a_file_that_changed_after_loading_is_noticed(tmp_path, path):
    made = generator(path)
    onnx.save(mlp_model(reference.mlp_weights(hidden=17)), path)
    with pytest.raises(ValueError, match=r"mlp.onnx has changed since the model was loaded; make a new generator"):
        made.generate_distributions(INPUTS, out=tmp_path / "teacher.fod", progress=False)


def test_the_weights_of_a_session_that_does_not_show_them_are_not_compared(tmp_path):
    live = session(mlp_model(WEIGHTS))
    live._model_bytes = None
    check(generator(live).generate_distributions(INPUTS, out=tmp_path / "teacher.fod", progress=False))
    with pytest.raises(ValueError, match="pass the path or the bytes of the model instead"):
        generator(live).get_posterior_distributions()


def test_posteriors_are_read_from_files_and_from_files_beside_them(tmp_path):
    mu, rho = np.arange(6, dtype=np.float32).reshape(3, 2), np.full((3, 2), -3, np.float32)
    weights = {
        "head.weight_mu": mu,
        "head.weight_rho": rho,
        "head.bias_mu": mu[0],
        "head.bias_rho": rho[0],
        "scale": mu,
    }
    model = model_of(
        [("MatMul", "x head.weight_mu", "y", {})], {"x": (FLOAT, ["N", 3])}, {"y": (FLOAT, ["N", 2])}, weights
    )
    file = tmp_path / "bayesian.onnx"
    for options in ({}, {"save_as_external_data": True, "size_threshold": 0, "location": "beside"}):
        onnx.save(onnx.ModelProto.FromString(model.SerializeToString()), file, **options)
        posterior = generator(file).get_posterior_distributions()
        assert posterior.keys() == {"head"}
        np.testing.assert_equal(posterior["head"], {"mu": mu, "rho": rho, "bias_mu": mu[0], "bias_rho": rho[0]})
        posterior["head"]["mu"][:] = 0  # it is the caller's


# Datasets


@pytest.mark.parametrize("shuffle", [False, True])
def test_samples_and_loaders_land_under_their_index(shuffle):
    pairs = Pairs(INPUTS.astype(np.float64), LABELS)
    loader = SimpleDataLoader(pairs, batch_size=7, shuffle=shuffle)
    for dataset in (pairs, loader, iter(list(zip(INPUTS, LABELS, strict=True)))):
        distributions = run(LIVE, dataset)
        check(distributions)
        np.testing.assert_array_equal(distributions.labels, LABELS)


def test_strided_memory_goes_in():
    wide = np.repeat(INPUTS, 2, axis=1)[:, ::2]
    check(run(LIVE, np.asfortranarray(wide)))
    check(run(LIVE, wide[::-1]), EXPECTED[::-1])
