"""What changes an ONNX model: each change is refused by a store; what changes nothing is not."""

import copy

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from probly.data_generator import StoreError
from probly_data_generator_onnx.digest import digest_model
from probly_data_generator_onnx.files import stored
from tests.frameworks.onnx import FLOAT, model_of, session
from tests.onnx_backend.runs import INPUTS as MLP_INPUTS
from tests.onnx_backend.runs import external_model, run

INPUTS = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
VECTOR = [1.0, 2.0, 3.0]
SPARSE = 3.0 * np.eye(3)[[1, 2, 0]]


def tensor(values, name="", dtype=np.float32):
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def branch(kind, name, *nodes):
    output = helper.make_tensor_value_info(name, FLOAT, ["N", 3])
    last = helper.make_node(kind, ["d", f"{name} by"] if nodes else ["d"], [name])
    return helper.make_graph([*nodes, last], name, [], [output])


def everything():
    """Return a model with a part of each sort."""
    by = helper.make_node("Constant", [], ["then by"], value=tensor(VECTOR))
    nodes = [
        ("LeakyRelu", "x", "a", {"alpha": 0.1}),
        ("Constant", "", "c", {"value": tensor(VECTOR)}),
        ("Constant", "", "number", {"value_float": 0.5}),
        ("Add", "a c", "b", {}),
        ("Mul", "b scale", "d", {}),
        ("If", "flag", "e", {"then_branch": branch("Add", "then", by), "else_branch": branch("Neg", "else")}),
        ("Louder", "e", "f", {"domain": "own"}),
        ("MatMul", "f sparse", "g", {}),
        ("LabelEncoder", "words", "added", {
            "domain": "ai.onnx.ml", "keys_strings": ["no", "yes"], "values_floats": [0.0, 1.0]
        }),
        ("Add", "g added", "h", {}),
        ("Mul", "h number", "scores", {}),
        ("Softmax", "scores", "probabilities", {}),
        ("ZipMap", "probabilities", "maps", {"domain": "ai.onnx.ml", "classlabels_strings": ["a", "b", "c"]}),
    ]  # fmt: skip
    weights = {"scale": np.float32(VECTOR), "flag": np.array(1, bool), "words": np.array(["yes", "no", "yes"], object)}
    domains = [("own", 1), ("ai.onnx.ml", 3)]
    model = model_of(nodes, {"x": (FLOAT, ["N", 3])}, {}, weights, domains=domains)
    kind = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(FLOAT, None))
    model.graph.output.append(helper.make_value_info("maps", helper.make_sequence_type_proto(kind)))
    values, places = SPARSE[SPARSE != 0], np.flatnonzero(SPARSE)
    sparse = helper.make_sparse_tensor(tensor(values, "sparse"), tensor(places, "places", np.int64), [3, 3])
    model.graph.sparse_initializer.append(sparse)
    # A function of the model's own, whose attribute has a value where the node gives none.
    gain = helper.make_node("Constant", [], ["gain"])
    gain.attribute.add(name="value_float", ref_attr_name="gain", type=onnx.AttributeProto.FLOAT)
    body = [gain, helper.make_node("Mul", ["rows", "gain"], ["louder"])]
    default = [helper.make_attribute("gain", 2.0)]
    imports = [helper.make_opsetid("", 21)]
    louder = helper.make_function("own", "Louder", ["rows"], ["louder"], body, imports, [], default)
    model.functions.append(louder)
    return model


def attribute(model, node, name):
    found = next(one for one in model.graph.node if node in (one.op_type, *one.output))
    return next(one for one in found.attribute if one.name == name)


def weight(model, name):
    return next(one for one in model.graph.initializer if one.name == name)


def of_branch(model, name):
    return attribute(model, "If", f"{name}_branch").g


CHANGES = {
    "a weight": lambda model: weight(model, "scale").CopyFrom(tensor([1, 2, 4], "scale")),
    "which branch is taken": lambda model: weight(model, "flag").CopyFrom(tensor(0, "flag", bool)),
    "a text": lambda model: weight(model, "words").CopyFrom(tensor(["no", "yes", "no"], "words", object)),
    "a sparse weight": lambda model: model.graph.sparse_initializer[0].values.CopyFrom(tensor([3, 3, 5], "sparse")),
    "the place of a sparse weight": lambda model: model.graph.sparse_initializer[0].indices.CopyFrom(
        tensor([0, 5, 6], "places", np.int64)
    ),
    "a float attribute": lambda model: setattr(attribute(model, "LeakyRelu", "alpha"), "f", 0.2),
    "an operator": lambda model: setattr(model.graph.node[4], "op_type", "Div"),
    "a constant of the graph": lambda model: attribute(model, "c", "value").t.CopyFrom(tensor([1, 2, 4])),
    "a constant that is a number": lambda model: setattr(attribute(model, "number", "value_float"), "f", 0.25),
    "a constant in a branch": lambda model: of_branch(model, "then").node[0].attribute[0].t.CopyFrom(tensor([1, 2, 4])),
    "an operator in a branch": lambda model: setattr(of_branch(model, "then").node[1], "op_type", "Sub"),
    "an operator in a function": lambda model: setattr(model.functions[0].node[1], "op_type", "Pow"),
    "an attribute's value in a function": lambda model: setattr(model.functions[0].attribute_proto[0], "f", 3.0),
    "the version of a function's operators": lambda model: setattr(model.functions[0].opset_import[0], "version", 20),
    "a vocabulary": lambda model: attribute(model, "LabelEncoder", "keys_strings").strings.reverse(),
    "what a vocabulary means": lambda model: attribute(model, "LabelEncoder", "values_floats").floats.reverse(),
    "the order of the classes": lambda model: attribute(model, "ZipMap", "classlabels_strings").strings.reverse(),
    "how the output is made": lambda model: setattr(model.graph.node[11], "op_type", "Sigmoid"),
    "the version of the operators": lambda model: setattr(model.opset_import[0], "version", 20),
    "the version of other operators": lambda model: setattr(model.opset_import[2], "version", 2),
}


def changed(change):
    model = everything()
    change(model)
    return model


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "a.fod"
    run(everything(), INPUTS, out=path)
    return path


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_model_is_refused(store, change):
    with pytest.raises(StoreError, match="model digest: the store has 'sha256:"):
        run(changed(CHANGES[change]), INPUTS, out=store)


def test_the_table_is_of_changes_that_matter():
    """All but versions give other numbers, or the same to other classes."""
    first = session(everything()).run(None, {"x": INPUTS})
    same = [change for change in CHANGES if session(changed(CHANGES[change])).run(None, {"x": INPUTS}) == first]
    assert [change for change in same if "version" not in change] == []


def wordy(model):
    model.doc_string, model.producer_name, model.graph.doc_string, model.functions[0].doc_string = "abcd"
    model.metadata_props.add(key="stride", value="32")
    for node in (*model.graph.node, *model.functions[0].node, *of_branch(model, "then").node):
        node.doc_string = "text"


SAME = {
    "itself": copy.deepcopy,
    "documentation": wordy,
    "the order of imports": lambda model: model.opset_import.reverse(),
}


@pytest.mark.parametrize("change", SAME)
def test_what_changes_nothing_is_not(store, change):
    assert run(changed(SAME[change]), INPUTS, out=store) == run(everything(), INPUTS)


def test_weights_in_another_file_count(tmp_path):
    path = external_model(tmp_path)
    run(path, MLP_INPUTS, out=tmp_path / "a.fod")
    with (tmp_path / "weights.data").open("r+b") as file:
        file.seek(2)
        file.write(b"\x01")
    with pytest.raises(StoreError, match="model digest: the store has 'sha256:"):
        run(path, MLP_INPUTS, out=tmp_path / "a.fod")


def test_names_in_the_metadata_count(tmp_path):
    model = model_of([("Identity", "x", "y", {})], {"x": (FLOAT, ["N", 3])}, {"y": (FLOAT, ["N", 3])})
    model.metadata_props.add(key="names", value="{0: 'cat', 1: 'dog', 2: 'emu'}")
    assert run(model, INPUTS, out=tmp_path / "a.fod").class_names == ["cat", "dog", "emu"]
    model.metadata_props[0].value = "{0: 'cat', 1: 'emu', 2: 'dog'}"
    with pytest.raises(StoreError, match="class_names"):
        run(model, INPUTS, out=tmp_path / "a.fod")


def test_the_files_of_a_compiled_model_count(tmp_path):
    """Another execution provider's own program, in a file beside the model."""
    settings = {"domain": "com.microsoft", "embed_mode": 0, "ep_cache_context": "program.bin"}
    model = model_of([("EPContext", "x", "y", settings)], {"x": (FLOAT, ["N"])}, {"y": (FLOAT, ["N"])})
    digests = []
    for content in (b"one", b"two", b"one"):
        (tmp_path / "program.bin").write_bytes(content)
        onnx.save(model, tmp_path / "model.onnx")
        digests.append(digest_model(stored(tmp_path / "model.onnx")[0]))
    assert digests[0] == digests[2] != digests[1]


def test_operators_of_other_libraries_are_not_seen():
    """They compute with what is in their library, or with any function of Python's."""
    inner = helper.make_graph([helper.make_node("Theirs", [], ["y"], domain="ai.onnx.contrib")], "inner", [], [])
    nodes = [("If", "x", "y", {"then_branch": inner, "else_branch": inner}), ("Louder", "y", "z", {"domain": "own"})]
    model = model_of(nodes, {"x": (TensorProto.BOOL, [])}, {"z": (FLOAT, ["N"])})
    model.functions.append(everything().functions[0])
    found = digest_model(stored(model.SerializeToString())[0])
    assert found.startswith("sha256:")
    assert found.endswith(", not seen: the operator ai.onnx.contrib.Theirs")


def test_weights_that_only_a_session_has_are_probed(tmp_path):
    """The model that it was made of has others."""
    model = model_of(
        [("Mul", "x scale", "y", {})], {"x": (FLOAT, ["N", 3])}, {"y": (FLOAT, ["N", 3])}, {"scale": np.float32(VECTOR)}
    )
    run(onnxruntime.InferenceSession(model.SerializeToString()), INPUTS, out=tmp_path / "a.fod")
    other = onnxruntime.OrtValue.ortvalue_from_numpy(np.float32([3, 2, 1]))
    settings = onnxruntime.SessionOptions()
    settings.add_initializer("scale", other)
    live = onnxruntime.InferenceSession(model.SerializeToString(), settings)
    with pytest.raises(StoreError, match="the model or its preprocessing has changed"):
        run(live, INPUTS, out=tmp_path / "a.fod")
