"""Models that end as exporters of scikit-learn let them end: with a label and a list of maps."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from probly.data_generator.testing import reference
from probly_data_generator_onnx.classes import map_columns, metadata_names
from tests.frameworks.onnx import FLOAT, model_of, session
from tests.onnx_backend.runs import INPUTS, check, run


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


def one_output_per_class(labels, prefix, order):
    """Return a model that ends as exporters let it that are asked for a column, and so an output, per class."""
    nodes = [
        ("Softmax", "x", "scores", {}),
        ("ArgMax", "scores", "position", {"axis": 1, "keepdims": 0}),
        ("ArrayFeatureExtractor", "classes position", "found", {"domain": "ai.onnx.ml"}),
        ("Reshape", "found flat", "output_label", {}),
        *(
            ("ArrayFeatureExtractor", f"scores at{place}", f"{prefix}{label}", {"domain": "ai.onnx.ml"})
            for place, label in enumerate(labels)
        ),
    ]
    text = isinstance(labels[0], str)
    weights = {"classes": np.array(labels, object if text else np.int64), "flat": np.array([-1])}
    weights |= {f"at{place}": np.array([place]) for place in range(len(labels))}
    outputs = {"output_label": (TensorProto.STRING if text else TensorProto.INT64, ["N"])}
    outputs |= {f"{prefix}{labels[place]}": (FLOAT, ["N", 1]) for place in order}
    return model_of(nodes, {"x": (FLOAT, ["N", 5])}, outputs, weights, domains=[("ai.onnx.ml", 3)])


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [3, 1, 4, 0, 2]])
@pytest.mark.parametrize(("labels", "prefix"), [(list("dbcea"), "s"), ([30, -1, 7, 2, 10], "i")])
def test_one_output_per_class_is_a_column_in_the_models_order_of_classes(labels, prefix, order):
    model = one_output_per_class(labels, prefix, order)
    distributions = run(model, INPUTS)
    check(distributions, reference.softmax(INPUTS))
    assert distributions.class_names == [str(label) for label in labels]
    with pytest.raises(ValueError, match="is the column of one class; leave output out"):
        run(model, INPUTS, options={"output": f"{prefix}{labels[1]}"})


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


CATS = ["cat", "dog", "emu"]


def scored(**metadata):
    model = model_of([("Identity", "x", "y", {})], {"x": (FLOAT, ["N", 3])}, {"y": (FLOAT, ["N", 3])})
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    return model


@pytest.mark.parametrize(
    "metadata",
    [
        {"names": "{0: 'cat', 1: 'dog', 2: 'emu'}"}, {"names": '{"2": "emu", "0": "cat", "1": "dog"}', "other": "[1]"},
        {"class_names": '["cat", "dog", "emu"]', "id2label": "{2: 'emu', 1: 'dog', 0: 'cat'}"},
    ],
)  # fmt: skip
def test_names_come_from_the_metadata(metadata):
    assert run(scored(**metadata), INPUTS[:, :3]).class_names == CATS
    assert run(session(scored(**metadata)), INPUTS[:, :3]).class_names == CATS


@pytest.mark.parametrize(
    "metadata",
    [
        {"names": "{0: 'cat', 2: 'emu'}"}, {"names": "cat, dog, emu"}, {"names": "['cat', 1, 2]"}, {"names": "cat"},
        {"names": str(CATS), "labels": str(CATS[::-1])}, {"names": "[" * 10**6}, {"names": f"{CATS}{' ' * 2**20}"},
        {"names": "{'cat': 0, 'dog': 1, 'emu': 2}"}, {"names": "__import__('os')"}, {}, {"names": "['positive']"},
    ],
)  # fmt: skip
def test_what_else_is_in_the_metadata_is_not_taken(metadata):
    assert metadata_names(metadata) is None


def test_the_graph_is_believed_first():
    """Positions are no names, and maps whose order is not known have none."""
    model = zipmap({"classlabels_int64s": list(range(5))})
    model.metadata_props.add(key="names", value=str(list("abcde")))
    assert run(model, INPUTS).class_names == list("abcde")
    with pytest.raises(ValueError, match="column 0 is 'a' to the model, but class 0 is 'b' to the user"):
        run(model, INPUTS, class_names=list("bacde"))
    model = zipmap({"classlabels_strings": list("dbcea")})
    model.metadata_props.add(key="names", value=str(list("abcde")))
    assert run(model, INPUTS).class_names == list("dbcea")
    live = session(model)
    live._model_bytes = None
    assert run(live, INPUTS).class_names is None
