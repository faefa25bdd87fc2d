"""Execution providers and their names."""

import numpy as np
import onnxruntime
import pytest

from probly.data_generator.testing import reference
from probly_data_generator_onnx import devices, models
from probly_data_generator_onnx.files import stored
from tests.frameworks.onnx import mlp_model
from tests.onnx_backend.runs import EXPECTED, INPUTS, LIVE, WEIGHTS, generator


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
    with pytest.warns(UserWarning, match="cannot be used, continuing with 'cpu'"):
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
    rows = [hook.forward(model=loaded, inputs=INPUTS[part], batch_size=16) for part in (slice(0, 16), slice(16, 27))]
    np.testing.assert_allclose(reference.softmax(np.concatenate(rows)), EXPECTED[:27], rtol=0, atol=1e-6)
    assert seen == [16, 16]
