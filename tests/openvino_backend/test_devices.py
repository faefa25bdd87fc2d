"""Devices by OpenVINO's names, and the precision in which they compute."""

import numpy as np
import openvino
import pytest

from probly_data_generator_openvino.devices import available_devices, precision_of
from tests.frameworks.openvino import compiled, mlp_model
from tests.openvino_backend.runs import EXPECTED, INPUTS, WEIGHTS, check, generator, run


@pytest.mark.parametrize("device", ["CPU", "cpu", "AUTO", "AUTO:CPU", "MULTI:CPU", "HETERO:CPU", None])
def test_the_cpu_goes_by_several_names(device):
    found = run(mlp_model(WEIGHTS), device=device)
    check(found)
    assert found.meta["device"] == "CPU"


@pytest.mark.parametrize("device", ["cuda", "CPU.1", "AUTO:CPU,TPU", "", "GPU.7"])
def test_an_unavailable_device_is_refused_with_the_list(device, path):
    for model in (path, compiled(mlp_model(WEIGHTS))):
        with pytest.raises(ValueError, match=rf"device '{device}' is not available to openvino .*available: 'CPU'"):
            generator(model, device=device)
    assert available_devices() == openvino.Core().available_devices


def test_rows_are_of_float32_whatever_the_processor_would_do():
    """Many processors compute in bfloat16 by default, this or another; the default of a run is f32."""
    loaded = generator(mlp_model(WEIGHTS))._loaded
    assert precision_of(loaded.compiled) == "f32"
    assert str(loaded.compiled.get_property("EXECUTION_MODE_HINT")) == "ExecutionMode.ACCURACY"


def test_the_precision_that_is_asked_for_is_recorded_or_refused():
    can = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if can:
        found = run(mlp_model(WEIGHTS), options={"precision": "bf16"})
        assert found.meta["options"] == {"precision": "bf16"}
        check(found, tolerance=0.03)
        assert np.abs(found.probabilities - EXPECTED).max() > 1e-5, "it is another precision"
    else:
        with pytest.raises(ValueError, match="CPU computes in f32, not in bf16"):
            generator(mlp_model(WEIGHTS), options={"precision": "bf16"})
    half = precision_of(openvino.Core().compile_model(mlp_model(WEIGHTS), "CPU", {"INFERENCE_PRECISION_HINT": "f16"}))
    if half != "f16":  # most processors; OpenVINO takes another one then without a word
        with pytest.raises(
            ValueError, match=f"CPU computes in {half}, not in f16; set options={{'precision': '{half}'}}"
        ):
            generator(mlp_model(WEIGHTS), options={"precision": "f16"})
    own = precision_of(openvino.Core().compile_model(mlp_model(WEIGHTS), "CPU"))
    found = run(mlp_model(WEIGHTS), options={"precision": "device"})
    live = run(openvino.Core().compile_model(mlp_model(WEIGHTS), "CPU"))
    recorded = None if own == "f32" else {"precision": own}
    assert found.meta.get("options") == live.meta.get("options") == recorded
    np.testing.assert_allclose(found.probabilities, live.probabilities, rtol=0, atol=1e-6)


def test_options_are_checked():
    for options, pattern in (
        ({"precision": "f64"}, "option 'precision': expected one of 'f32', 'bf16', 'f16', 'device', got 'f64'"),
        ({"thread": 1}, "unknown option 'thread'; known: precision, threads"),
        ({"threads": "2"}, r"option 'threads': expected one of range\(0, 1024\), got '2'"),
    ):
        with pytest.raises(ValueError, match=pattern):
            generator(mlp_model(WEIGHTS), options=options)
    live = compiled(mlp_model(WEIGHTS))
    for option in ({"threads": 1}, {"precision": "f32"}):
        with pytest.raises(ValueError, match="a CompiledModel has its own; set INFERENCE_"):
            generator(live, options=option)
    made = generator(mlp_model(WEIGHTS), options={"threads": 1})
    assert made._loaded.compiled.get_property("INFERENCE_NUM_THREADS") == 1
    check(made.generate_distributions(INPUTS, progress=False))


def test_a_compiled_model_stays_where_it_is():
    live = compiled(mlp_model(WEIGHTS))
    check(run(live, device="CPU"))
    with pytest.raises(ValueError, match="the CompiledModel runs on 'CPU', not on 'AUTO'; set device='CPU' or None"):
        generator(live, device="AUTO")
