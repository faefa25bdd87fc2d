"""Models that end as exporters of scikit-learn let them end: with a label and a list of maps."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from probly.data_generator.testing import reference
from probly_data_generator_onnx.classes import map_columns
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
