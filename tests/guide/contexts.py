"""The names that each block of the guide takes for granted, and what must hold when it has run.

A context is a generator: it yields the names before the block runs, gets the names after it, and checks them.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.guide.names import (
    CLASSES,
    FEATURES,
    ROWS,
    B,
    W,
    X,
    Y,
    check_report,
    check_rows,
    expected,
    jax_names,
    keras_model,
    save_torch_model,
    tensorflow_names,
    torch_names,
    two_cpus,
)


def block_1_factory_pattern():
    after = yield torch_names()
    report = after["generator"].generate()
    assert report["info"]["framework"] == "pytorch"
    assert report["metrics"]["accuracy"] == np.mean(expected().argmax(1) == Y)


def block_2_direct_imports():
    after = yield {}
    assert after["FirstOrderDataGenerator"].__module__ == "probly.data_generator.first_order_datagenerator"
    assert after["TensorFlowDataGenerator"].__module__ == "probly.data_generator.tensorflow_generator"


def block_3_torch_quick_start():
    save_torch_model("pretrained_model.pt")
    after = yield {"dataset": torch_names()["dataset"]}
    check_rows(after["distributions"])
    document = json.loads(Path("pytorch_dists.json").read_text(encoding="utf-8"))
    assert document["meta"]["framework"] == "pytorch"
    assert document["meta"]["device"] == "cuda", "what the user says is stronger"
    assert document["meta"]["model_name"] == "resnet50"
    assert document["meta"]["output_mode"] == "logits"
    assert len(document["distributions"]) == ROWS


def block_4_torch_devices():
    after = yield torch_names()
    check_rows(after["generator"].generate_distributions(after["dataset"]))


def block_5_output_dataloader():
    names = torch_names()
    names["distributions"] = {
        index: [0.2, 0.3, 0.5] for index in range(ROWS)
    }  # a teacher that the student differs from
    before = names["model"][0].weight.detach().clone()
    after = yield names
    assert len(after["fo_loader"]) == 2
    assert after["target_dists"].shape == (ROWS - 32, CLASSES)
    assert after["target_dists"].dtype == after["torch"].float32
    assert not after["torch"].equal(before, names["model"][0].weight)


def block_6_posterior():
    names = torch_names()
    torch = names["torch"]

    class BayesLinear(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight_mu = torch.nn.Parameter(torch.randn(CLASSES, FEATURES))
            self.weight_rho = torch.nn.Parameter(torch.full((CLASSES, FEATURES), -3.0))

        def forward(self, x):
            return x @ self.weight_mu.T

    names["model"] = torch.nn.Sequential(torch.nn.ReLU(), BayesLinear())
    names["generator"] = names["FirstOrderDataGenerator"](model=names["model"])
    after = yield names
    loaded = torch.load("posterior_params.pt")
    for posterior in (after["posterior_dists"], loaded):
        assert set(posterior) == {"1"}
        assert torch.equal(posterior["1"]["mu"], names["model"][1].weight_mu)
        assert torch.equal(posterior["1"]["rho"], names["model"][1].weight_rho)


def block_7_tensor_operations():
    after = yield torch_names()
    assert after["data_on_device"]["metadata"]["features"].shape == (10, 128)
    assert after["torch"].equal(after["data_on_device"]["images"], after["data"]["images"])


def block_8_torch_best_practices():
    after = yield torch_names()
    check_rows(after["distributions"])
    assert after["generator"].batch_size == 64


def block_9_jax_quick_start():
    names = jax_names()
    after = yield {"params": names["params"], "jax_dataset": names["jax_dataset"]}
    check_rows(after["distributions"])
    assert json.loads(Path("jax_dists.json").read_text(encoding="utf-8"))["meta"]["framework"] == "jax"


def block_10_jax_devices():
    after = yield jax_names()
    check_rows(after["generator"].generate_distributions(after["dataset"]))
    assert after["devices"]


def block_11_jit():
    names = jax_names()
    after = yield names
    check_rows(after["distributions"])
    assert type(after["model_fn"]) is not type(names["forward_pass"])


def block_12_vmap():
    after = yield jax_names()
    check_rows(after["generator"].generate_distributions(after["dataset"]))


def block_13_placement():
    after = yield {**jax_names(), "generator": jax_names()["FirstOrderDataGenerator"](jax_names()["model_fn"])}
    np.testing.assert_array_equal(after["data_on_device"]["inputs"]["features"], X)
    assert isinstance(after["data_on_device"]["metadata"], after["jax"].Array)


def block_14_jax_best_practices():
    names = jax_names()
    model_fn = names["model_fn"]
    names["model_fn"] = lambda x, static_params: model_fn(x) if static_params else None
    names["forward"] = names["forward_pass"]
    after = yield names
    check_rows(after["generator"].generate_distributions(after["dataset"]))
    assert after["images"].shape == (4, 224, 224, 3)


def block_15_tensorflow_quick_start():
    keras_model().save("pretrained_model.h5")
    after = yield {"x": X, "y": Y}
    check_report(after["results"])
    assert json.loads(Path("tf_results.json").read_text(encoding="utf-8")) == after["results"]


def block_16_tf_data():
    after = yield tensorflow_names()
    check_rows(after["generator"].generate_distributions())
    check_report(after["generator"].generate())


def block_17_strategy():
    two_cpus()
    after = yield tensorflow_names()
    assert after["strategy"].num_replicas_in_sync == 2
    assert after["generator"].get_info()["batch_size"] == 64
    check_rows(after["generator"].generate_distributions())


def block_18_tpu():
    two_cpus()
    after = yield tensorflow_names()
    check_rows(after["generator"].generate_distributions())


def block_19_tensorflow_best_practices():
    names = tensorflow_names()
    after = yield names
    check_rows(names["TensorFlowDataGenerator"](after["model"], after["dataset"]).generate_distributions())
    mixed = names["TensorFlowDataGenerator"](keras_model(), after["dataset"]).generate_distributions()
    np.testing.assert_allclose(mixed.probabilities, expected(), rtol=0, atol=5e-3)
    assert mixed.probabilities.dtype == np.float32


def block_20_agnostic_quick_start():
    import builtins

    build_class = builtins.__build_class__

    def with_data(function, name, *bases, **keywords):
        made = build_class(function, name, *bases, **keywords)
        if name == "MyDataset":
            made.data, made.labels = X, Y
        return made

    builtins.__build_class__ = with_data
    after = yield {"predictions": X @ W + B, "dataset": list(zip(X, Y, strict=True))}
    check_rows(after["distributions"])
    assert len(after["loader"]) == 2
    assert len(after["batch"][0]) == ROWS - 32


def block_21_json_is_independent():
    names = torch_names()
    after = yield {
        "torch_model": names["model"],
        "distributions": names["distributions"],
        "jax_model": jax_names()["model_fn"],
    }
    assert after["dists"] == names["distributions"]
    assert after["meta"]["framework"] == "pytorch"


def block_22_metadata():
    names = torch_names()
    yield names
    _, meta = names["generator"].load_distributions("dists.json")
    assert meta["device"] == "cuda" or meta["device"] == "cpu"
    assert meta["model_name"] == "resnet50"
    assert meta["framework"] == "pytorch"


def block_23_conversion():
    after = yield {**jax_names(), "torch": torch_names()["torch"]}
    np.testing.assert_array_equal(after["torch_tensor"].numpy(), np.ones((10, 10)))


def block_24_torch_to_jax():
    save_torch_model("model.pt")
    names = jax_names()
    after = yield {
        "torch_dataset": torch_names()["dataset"],
        "jax_dataset": names["jax_dataset"],
        "jax_forward_pass": names["jax_forward_pass"],
        "converted_params": names["params"],
    }
    check_rows(after["dists"])


def block_25_dataset_conversion():
    names = {**torch_names(), **jax_names()}
    from probly.data_generator import torch_first_order_generator as for_torch

    after = yield names
    for kind, made in (
        (after["PyTorchDataset"], for_torch.FirstOrderDataGenerator(torch_names()["model"])),
        (after["JAXDataset"], names["FirstOrderDataGenerator"](names["model_fn"])),
    ):
        dataset = kind()
        dataset.data, dataset.labels = X, Y
        with pytest.raises(TypeError, match="give it __len__"):  # out of range, JAX clamps and never ends
            made.generate_distributions(dataset)
        kind.__len__ = lambda self: len(self.data)
        check_rows(made.generate_distributions(dataset))


def block_26_benchmark_setup():
    after = yield {}
    assert (after["dataset_size"], after["num_classes"], after["batch_size"]) == (10_000, 10, 64)


def block_27_optimization():
    names = {**torch_names(), **tensorflow_names(), **jax_names()}
    names["model"] = names["model_fn"]
    after = yield names
    check_rows(names["FirstOrderDataGenerator"](after["optimized_model"]).generate_distributions((X, Y)))


def block_28_out_of_memory():
    after = yield torch_names()
    assert after["generator"].batch_size == 32
    check_rows(after["generator"].generate_distributions(after["dataset"]))


def block_29_same_device():
    after = yield torch_names()
    check_rows(after["generator"].generate_distributions(after["dataset"]))


def block_30_copy():
    names = jax_names()
    after = yield {**names, "x": names["params"]["W"]}
    np.testing.assert_array_equal(after["x_copy"], W)


def block_31_disable_jit():
    names = jax_names()
    traced = []

    def model_fn(x):
        traced.append(isinstance(x, names["jax"].core.Tracer))
        return names["model_fn"](x)

    names["generator"] = names["FirstOrderDataGenerator"](model_fn)
    after = yield names
    check_rows(after["distributions"])
    assert traced
    assert not any(traced)


def block_32_precision():
    after = yield {**jax_names(), "torch_tensor": torch_names()["torch"].tensor(X)}
    np.testing.assert_array_equal(after["jax_array"], X)


def block_33_best_practices():
    from datetime import datetime

    names = {**torch_names(), "datetime": datetime}
    after = yield names
    check_rows(after["distributions"])
    names["generator"].save_distributions("dists.json", after["distributions"], meta=after["meta"])
    assert names["generator"].load_distributions("dists.json")[1]["accuracy"] == 0.95


def block_34_framework_specific():
    names = {**tensorflow_names(), **jax_names(), **torch_names()}
    after = yield names
    check_rows(after["distributions"])
    after["model"] = jax_names()["model_fn"]
    np.testing.assert_allclose(after["optimized_forward"](X), X @ W + B, atol=1e-5)
    after["model"] = keras_model()
    np.testing.assert_allclose(after["predict"](names["tf"].constant(X)), X @ W + B, atol=1e-5)
