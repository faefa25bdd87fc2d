"""Weights and their digest, what a store makes of it, and posteriors."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from probly.data_generator import StoreError
from probly.data_generator.store import open_store
from probly.data_generator.testing import reference
from probly_data_generator_onnx import models
from probly_data_generator_onnx.digest import digest_model
from probly_data_generator_onnx.files import stored
from tests.frameworks.onnx import FLOAT, mlp_model, model_of, session
from tests.onnx_backend.runs import INPUTS, LABELS, LIVE, WEIGHTS, check, external_model, generator


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
    with pytest.raises(StoreError, match="model digest"):
        resume(mlp_model(reference.mlp_weights(seed=3)))
    with pytest.raises(StoreError, match="model digest"):
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
    with pytest.raises(StoreError, match="model digest"):
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
    with pytest.warns(UserWarning, match="what the model learned cannot be seen"):
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
