"""Inputs are copied for every model but those that are known to leave them alone."""

import types

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from probly.data_generator import FirstOrderDataGenerator
from probly_data_generator_torch.purity import spares_inputs

INPUTS = torch.rand(20, 4) + 0.5


class Doubled(torch.nn.Module):
    """A module of one's own may do anything."""

    def forward(self, batch):
        return batch.mul_(2)


class Scaled(torch.nn.Linear):
    """So may a subclass of a layer of torch's."""

    def forward(self, batch):
        return super().forward(batch.mul_(2))


def hooked(register):
    layer = torch.nn.Linear(4, 3)

    def double(module, inputs, *outputs):
        inputs[0].mul_(2)

    getattr(layer, register)(double)
    return layer


def patched():
    layer = torch.nn.Linear(4, 3)
    layer.forward = lambda batch: batch.mul_(2)
    return layer


def patched_inside():
    layer = torch.nn.Conv1d(1, 1, 1)

    def double(self, inputs, weight, bias):
        return torch.nn.functional.conv1d(inputs.mul_(2), weight, bias)

    layer._conv_forward = types.MethodType(double, layer)
    return torch.nn.Sequential(torch.nn.Unflatten(1, (1, 4)), layer, torch.nn.Flatten())


WRITERS = {
    "patched inside": patched_inside(),
    "own": Doubled(),
    "subclass": Scaled(4, 3),
    "nested": torch.nn.Sequential(torch.nn.Identity(), Doubled()),
    "in place": torch.nn.Sequential(torch.nn.ReLU6(inplace=True), torch.nn.Linear(4, 3)),
    "hook before": hooked("register_forward_pre_hook"),
    "hook after": hooked("register_forward_hook"),
    "patched": patched(),
}


def run(model, dataset, **options):
    generator = FirstOrderDataGenerator(
        model, **{"backend": "torch", "batch_size": 8, "output_mode": "logits", **options}
    )
    return generator.generate_distributions(dataset, progress=False)


@pytest.mark.parametrize("name", WRITERS)
def test_what_may_work_in_place_gets_copies(name):
    assert not spares_inputs(WRITERS[name])
    for dataset in (TensorDataset(INPUTS.clone()), INPUTS.numpy().copy()):
        before = dataset.tensors[0].clone() if isinstance(dataset, TensorDataset) else dataset.copy()
        run(WRITERS[name], dataset)
        after = dataset.tensors[0] if isinstance(dataset, TensorDataset) else dataset
        np.testing.assert_array_equal(after, before)


def test_a_hook_for_all_modules_makes_every_model_suspect():
    layer = torch.nn.Linear(4, 3)
    assert spares_inputs(layer)
    handle = torch.nn.modules.module.register_module_forward_pre_hook(lambda module, inputs: None)
    try:
        assert not spares_inputs(layer)
    finally:
        handle.remove()


@pytest.mark.parametrize("training", [True, False])
def test_torchs_own_layers_read_the_callers_memory(training):
    seen = []
    linear = torch.nn.functional.linear
    model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Linear(4, 3)).train(training)
    assert spares_inputs(model)

    def watch(inputs, *others):
        seen.append(inputs.data_ptr())
        return linear(inputs, *others)

    torch.nn.functional.linear = watch
    try:
        distributions = run(model, TensorDataset(INPUTS))
    finally:
        torch.nn.functional.linear = linear
    assert seen == [INPUTS[start:].data_ptr() for start in (0, 8, 16)]
    expected = model.eval()(INPUTS).softmax(-1).detach()
    np.testing.assert_allclose(distributions.probabilities, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("options", [{"output_mode": "probs"}, {"output_transform": lambda rows: rows.mul_(1)}])
def test_outputs_that_are_views_of_the_inputs_are_the_runs_own(options):
    rows = INPUTS / INPUTS.sum(1, keepdim=True)
    data = rows.clone()
    distributions = run(torch.nn.Sequential(torch.nn.Flatten()), TensorDataset(data), **options)
    data.zero_()
    np.testing.assert_allclose(distributions.probabilities, rows, rtol=0, atol=1e-6)


def test_a_transform_that_works_in_place_changes_nothing_of_the_callers():
    data = INPUTS.clone()
    run(torch.nn.Identity(), TensorDataset(data), output_transform=lambda rows: rows.div_(rows.sum(1, keepdim=True)))
    np.testing.assert_array_equal(data, INPUTS)


def test_arrays_that_torch_cannot_share_are_copied():
    backwards = INPUTS.numpy()[::-1]
    readonly = INPUTS.numpy().copy()
    readonly.flags.writeable = False
    expected = INPUTS.softmax(-1)
    np.testing.assert_allclose(run(torch.nn.Identity(), backwards).probabilities, expected.flip(0), rtol=0, atol=1e-6)
    np.testing.assert_allclose(run(torch.nn.Identity(), readonly).probabilities, expected, rtol=0, atol=1e-6)


def test_a_patched_class_is_no_longer_torchs_own(monkeypatch):
    layer, forward, data = torch.nn.Linear(4, 3), torch.nn.Linear.forward, INPUTS.clone()
    monkeypatch.setattr(torch.nn.Linear, "forward", lambda self, inputs: forward(self, inputs.mul_(2)))
    assert not spares_inputs(layer)
    run(layer, TensorDataset(data))
    np.testing.assert_array_equal(data, INPUTS)
