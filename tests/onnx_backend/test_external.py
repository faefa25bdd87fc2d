"""Files that a model names: only those in its own folder are read."""

import re
import shutil

import hypothesis
import hypothesis.strategies as st
import onnx
import pytest
from onnx import TensorProto, helper

from probly_data_generator_onnx.digest import digest_model
from probly_data_generator_onnx.external import check_file
from probly_data_generator_onnx.files import stored
from tests.frameworks.onnx import FLOAT, mlp_model
from tests.onnx_backend.runs import INPUTS, WEIGHTS, check, external_model, generator, refused, run


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
