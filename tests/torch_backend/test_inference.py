"""What a run prepares once for several batches in a row: evaluation mode, and recording nothing for gradients."""

import threading

import numpy as np
import pytest
import torch

from probly.data_generator import HOST, FirstOrderDataGenerator, batches, hookimpl
from probly_data_generator_torch import inference, modes
from probly_data_generator_torch.models import load

INPUTS = torch.rand(200, 4)


@pytest.fixture
def prepared(monkeypatch):
    """Take every batch for a quick one, and count how often evaluation mode is looked after."""
    monkeypatch.setattr(batches, "QUICK", 1e9)
    counted = []
    evaluating = inference.evaluating
    monkeypatch.setattr(inference, "evaluating", lambda *given, **how: counted.append(1) or evaluating(*given, **how))
    return counted


def layers():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Dropout(0.9), torch.nn.Linear(16, 3))


class Own(torch.nn.Module):
    """A module of one's own, which switches its mode where it should not."""

    def __init__(self):
        super().__init__()
        self.layers = layers()

    def forward(self, inputs):
        rows = self.layers(inputs)
        self.train()
        return rows


def run(model, **options):
    generator = FirstOrderDataGenerator(model, batch_size=5, **{"output_mode": "logits", **options})
    return generator.generate_distributions(INPUTS, progress=False).probabilities


def test_plugins_around_to_device_may_keep_tensors_and_differentiate(prepared):
    """As one that perturbs the inputs along the model's gradient."""
    model = layers().eval()

    class Perturbs:
        @hookimpl(wrapper=True)
        def to_device(self, device):
            moved = yield
            if device == HOST:
                return moved
            moved = moved.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(model(moved).sum(), moved)
            return (moved + gradient).detach()

    perturbed = INPUTS.clone().requires_grad_()
    model(perturbed).sum().backward()
    expected = model(INPUTS + perturbed.grad).softmax(-1).detach().numpy()
    np.testing.assert_allclose(run(model, wrappers=[Perturbs()]), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("model", "times"), [(layers, 2), (Own, 40)])
def test_evaluation_mode_is_prepared_once_for_several_batches_of_torchs_own_layers(prepared, model, times, training):
    model = model().train(training)
    rows = run(model)
    assert len(prepared) == times
    assert model.training == (training or times == 40)
    expected = layers().eval()(INPUTS).softmax(-1).detach().numpy()
    np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-6)


def test_raw_outputs_are_prepared_one_by_one_and_may_take_part_in_training(prepared):
    temperature = torch.nn.Parameter(torch.tensor(2.0))
    kept = []

    def transform(outputs):
        rows = (outputs / temperature).softmax(-1)
        kept.append(rows.sum().requires_grad)
        return rows

    run(layers(), output_transform=transform)
    assert len(prepared) == len(kept) == 40
    assert all(kept)


def test_what_one_thread_has_prepared_holds_there_alone():
    model = load(layers(), torch.device("cpu"))
    found = {}

    def infer(name):
        found[name] = model.infer(INPUTS, "logits", 200).requires_grad

    with model.forward_context():
        infer("inside")
        thread = threading.Thread(target=infer, args=("another",))
        thread.start()
        thread.join()
    infer("after")
    assert found == {"inside": False, "another": False, "after": False}
    assert not torch.is_inference_mode_enabled()


def test_a_run_that_ends_leaves_the_layers_of_another_in_evaluation_mode():
    """To restore the mode of its own module it calls train(), which would reach into the one that they share."""

    class Shared(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.asked = []

        def train(self, mode=True):
            self.asked.append(mode)
            return super().train(mode)

    shared = Shared().eval()
    outer = torch.nn.Sequential(shared, torch.nn.Dropout())
    shared.asked.clear()
    with modes.evaluating(shared, list(shared.modules()), long=True):
        with modes.evaluating(outer, list(outer.modules())):
            assert not outer.training
        assert outer.training
        assert outer[1].training
        assert shared.asked == [False]
    with modes.evaluating(outer, list(outer.modules())):
        pass
    assert not shared.training
    assert outer.training
    assert not modes._USES


def test_a_mode_that_is_changed_during_a_long_run_is_kept():
    model = layers().eval()
    with modes.evaluating(model, list(model.modules()), long=True):
        model.train()
    assert all(part.training for part in model.modules())
    with modes.evaluating(model, list(model.modules()), long=True):
        assert not model.training
    assert all(part.training for part in model.modules())


def test_an_interrupt_while_the_mode_is_switched_leaves_nothing_behind():
    class Interrupted(torch.nn.Module):
        def train(self, mode=True):
            if not mode:
                raise KeyboardInterrupt
            return super().train(mode)

    model = torch.nn.Sequential(torch.nn.Dropout(), Interrupted())
    with pytest.raises(KeyboardInterrupt), modes.evaluating(model, list(model.modules())):
        pass
    assert not modes._USES
    assert all(part.training for part in model.modules())


def test_an_interrupt_between_two_layers_gives_back_the_first():
    class Interrupted(torch.nn.Module):
        ready = False

        @property
        def training(self):
            if self.ready:
                raise KeyboardInterrupt
            return True

        @training.setter
        def training(self, mode):
            self.ready = True

    with pytest.raises(KeyboardInterrupt), modes.evaluating(outer := layers(), [outer, Interrupted()], long=True):
        pass
    assert not modes._USES
    assert outer.training


def test_other_runs_know_of_the_layers_that_a_context_holds():
    model = layers().eval()
    with load(model, torch.device("cpu")).forward_context():
        assert set(modes._USES) == set(model.modules())
    assert not modes._USES
