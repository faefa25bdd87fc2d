"""What a model gets and gives: every batch once, inputs as they were, nothing for gradients, rows of any outputs."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Subset, TensorDataset

from probly.data_generator import HOST, FirstOrderDataGenerator, hookimpl
from probly.data_generator.temperature import Temperature
from probly.data_generator.testing import reference
from tests.torch_backend.support import DOUBLED, EXPECTED, INPUTS, TENSORS, WEIGHTS, check, framework, mlp, run

MODES = {
    "auto, of logits": (torch.nn.Identity(), {}),
    "auto, of probabilities": (torch.nn.Softmax(-1), {}),
    "logits": (torch.nn.Identity(), {"output_mode": "logits"}),
    "probs": (torch.nn.Softmax(-1), {"output_mode": "probs"}),
    "transform": (torch.nn.Identity(), {"output_transform": lambda outputs: outputs.softmax(-1)}),
}


class Counting(torch.nn.Module):
    """Counts how often it has seen each sample."""

    def __init__(self, last):
        super().__init__()
        self.inner, self.last = mlp(), last
        self.calls, self.rows = 0, []

    def forward(self, inputs):
        self.calls += 1
        self.rows += inputs.tolist()
        return self.last(self.inner(inputs))


@pytest.mark.parametrize("rows", [1, 16, 50])
@pytest.mark.parametrize("mode", MODES)
def test_a_model_sees_every_batch_exactly_once(mode, rows):
    last, options = MODES[mode]
    model = Counting(last)
    check(run(TENSORS[0][:rows], model, **options), range(rows))
    assert model.calls == -(-rows // 16)
    np.testing.assert_array_equal(np.array(model.rows, np.float32), INPUTS[:rows])


class InPlace(torch.nn.Module):
    """Changes its inputs, and runs out of memory whenever it sees more than ``limit`` rows."""

    def __init__(self, limit=50):
        super().__init__()
        self.inner = mlp()
        self.limit = limit

    def forward(self, inputs):
        inputs.mul_(2)
        if len(inputs) > self.limit:
            raise torch.OutOfMemoryError
        return self.inner(inputs)


@pytest.mark.parametrize("kind", [TensorDataset, Subset, DataLoader, "tensors", "arrays"])
def test_a_model_that_works_in_place_gets_its_inputs_as_they_were(kind):
    tensors = tuple(tensor.clone() for tensor in TENSORS)
    dataset = {
        TensorDataset: TensorDataset(*tensors),
        Subset: Subset(TensorDataset(*tensors), range(50)),
        DataLoader: DataLoader(TensorDataset(*tensors), batch_size=16),
        "tensors": tensors,
        "arrays": tuple(tensor.numpy() for tensor in tensors),
    }[kind]
    check(run(dataset, InPlace()), expected=DOUBLED)
    assert torch.equal(tensors[0], TENSORS[0])
    with pytest.warns(UserWarning, match="out of memory"):
        check(run(dataset, InPlace(limit=8)), expected=DOUBLED)
    assert torch.equal(tensors[0], TENSORS[0])


def test_torchs_own_layers_may_work_in_place_too():
    inputs = torch.tensor([[-1.0, 2.0], [3.0, -4.0]])
    rows = run(inputs, torch.nn.Sequential(torch.nn.ReLU(inplace=True)), output_mode="logits").probabilities
    np.testing.assert_allclose(rows, reference.softmax(np.array([[0.0, 2.0], [3.0, 0.0]])), rtol=0, atol=1e-6)
    assert inputs.tolist() == [[-1.0, 2.0], [3.0, -4.0]]


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_model_may_write_every_batch_to_the_same_tensor(wrapped):
    buffer, inner = torch.empty(10, 3), mlp().eval()

    def model(batch):
        buffer.copy_(inner(batch).softmax(-1))
        return {"logits": buffer} if wrapped else buffer

    check(run(TENSORS, model, batch_size=10, output_mode="probs"))


def test_a_module_that_keeps_a_tensor_can_be_trained_after_a_run():
    class Keeps(torch.nn.Module):
        scale = None

        def __init__(self):
            super().__init__()
            self.inner = mlp()

        def forward(self, inputs):
            if self.scale is None:
                self.scale = torch.ones(5)
            return self.inner(inputs * self.scale)

    model = Keeps()
    check(run(TENSORS, model))
    model(TENSORS[0].clone().requires_grad_()).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_transforms_with_parameters_and_in_place():
    temperature = torch.nn.Parameter(torch.tensor(2.0))
    expected = reference.softmax(reference.mlp_logits(WEIGHTS, INPUTS) / 2)
    learns = []

    def transform(outputs):
        rows = (outputs / temperature).softmax(-1)
        learns.append(rows.requires_grad)
        return rows

    check(run(TENSORS, output_transform=transform), expected=expected)
    assert learns == [True] * 4, "outputs may take part in the training of a transform"
    check(run(TENSORS, output_transform=lambda outputs: outputs.div_(2).softmax(-1)), expected=expected)
    assert temperature.grad is None


def test_plugins_around_to_device_may_keep_tensors_and_differentiate():
    """As one that perturbs the inputs along the model's gradient."""
    model = mlp().eval()

    class Perturbs:
        @hookimpl(wrapper=True)
        def to_device(self, data, device):
            moved = yield
            if device == HOST or tuple(moved.shape[1:]) != (5,):
                return moved
            moved = moved.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(model(moved).sum(), moved)
            return (moved + gradient).detach()

    perturbed = TENSORS[0].clone().requires_grad_()
    model(perturbed).sum().backward()
    expected = model(TENSORS[0] + perturbed.grad).softmax(-1).detach().numpy()
    check(run(TENSORS[0], model, wrappers=[Perturbs()], output_mode="logits"), expected=expected)


def test_logits_that_are_no_tensor_are_refused():
    class Lists(torch.nn.Module):
        def forward(self, batch):
            return {"logits": batch.tolist()}

    with pytest.raises(TypeError, match=r"its scores in one array, got list of 8; set output_transform"):
        run(TENSORS[0], Lists(), batch_size=8)


def test_a_model_that_returns_nothing_is_told_what_to_return():
    with pytest.raises(TypeError, match=r"Model must return one array with a row per input.*got NoneType"):
        run(TENSORS[0], lambda batch: None)


def test_to_probs_with_a_temperature_answers_in_tensors():
    generator = FirstOrderDataGenerator(torch.nn.Identity(), output_transform=Temperature(2.0))
    rows = generator.to_probs(2.0 * TENSORS[0])
    torch.testing.assert_close(rows, TENSORS[0].softmax(-1))


def test_autocast_and_half_models():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = run(TENSORS)
    np.testing.assert_allclose(mixed.probabilities, EXPECTED, atol=0.02)
    assert np.abs(mixed.probabilities - EXPECTED).max() > 1e-6, "nothing was cast"
    half = run(TENSORS, mlp().bfloat16(), input_getter=lambda pair: pair[0].bfloat16())
    np.testing.assert_allclose(half.probabilities, EXPECTED, atol=0.02)
    softmaxed = torch.nn.Sequential(mlp(), torch.nn.Softmax(-1)).bfloat16()
    probs = run(TENSORS, softmaxed, input_getter=lambda pair: pair[0].bfloat16())
    assert probs.meta["output_mode"] == "probs", "rounded probabilities are still probabilities"
    np.testing.assert_allclose(probs.probabilities, EXPECTED, atol=0.02)


def test_channels_last_images():
    weights = reference.cnn_weights()
    images, labels = reference.samples(rows=20, shape=(8, 8, 1))
    model = framework.cnn(weights).to(memory_format=torch.channels_last)
    expected = reference.softmax(reference.cnn_logits(weights, images))
    check(run((images, labels), model), range(20), expected)


def test_a_real_allocation_failure_is_halved():
    def model(batch):
        if len(batch) > 4:
            torch.empty(2**60, dtype=torch.uint8)
        return batch

    logits = reference.samples(rows=50, shape=(3,))[0]
    with pytest.warns(UserWarning, match="out of memory"):
        check(run(logits, model, output_mode="logits"), expected=reference.softmax(logits))


def test_torchs_out_of_memory_errors_are_recognized():
    from probly_data_generator_torch.backend import is_out_of_memory

    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
    assert not is_out_of_memory(ValueError("out of memory"))
